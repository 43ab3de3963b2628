/* conn_task.h: a task for a handler of one connection. */
#ifndef EVWS_BINDING_CONN_TASK_H
#define EVWS_BINDING_CONN_TASK_H

#include "binding/task.h"

/* A task with this body and the connection as its argument. Without memory
 * the connection ends: its events could not be told any more. */
struct ws_task *ws_conn_task_new(struct lua_conn *lc, lua_CFunction body);

/* The same; without memory nothing else happens. */
struct ws_task *ws_conn_task_try(struct lua_conn *lc, lua_CFunction body);

/* As ws_conn_task_new, started. False without memory. */
bool ws_conn_task_start(struct lua_conn *lc, lua_CFunction body);

/* In such a body: replaces the light userdata at index 1 by the object. */
struct lua_conn *ws_conn_task_take(lua_State *L);

#endif
