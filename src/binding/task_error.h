/* task_error.h: what becomes of an error that a task has raised. */
#ifndef EVWS_BINDING_TASK_ERROR_H
#define EVWS_BINDING_TASK_ERROR_H

#include "binding/state.h"

/* Takes the error on top of the stack of a thread that failed to on_error,
 * and ends the connection it was about (which may be NULL). is_last: it came
 * from an error handler, so it goes to stderr. */
void ws_task_error(struct ws_state *st, struct lua_conn *lc, lua_State *from,
                   bool is_last);

/* ws.on_error(f) */
int ws_lua_on_error(lua_State *L);

#endif
