/* task_error.h: what becomes of an error that a task has raised. */
#ifndef EVWS_BINDING_TASK_ERROR_H
#define EVWS_BINDING_TASK_ERROR_H

#include "binding/task.h"

/* Takes the error on top of the stack of a thread that failed to on_error,
 * and ends the connection that the failed task was about, if it was about one.
 * What came from an error handler goes to stderr. */
void ws_task_error(const struct ws_task *failed, lua_State *from);

/* ws.on_error(f) */
int ws_lua_on_error(lua_State *L);

#endif
