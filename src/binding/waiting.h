/* waiting.h: what calls that wait take and return. */
#ifndef EVWS_BINDING_WAITING_H
#define EVWS_BINDING_WAITING_H

#include "binding/task.h"

/* nil and why nothing came, for a wait that may have no end. */
int ws_push_why(lua_State *L, enum ws_wake why);

/* Until less is queued for the peer, or the end; negative: without a limit. */
int ws_wait_for_drain(lua_State *L, struct lua_conn *lc, double timeout,
                      ws_task_k *k);

/* Those of the option `wait` in what is at arg, or nothing; negative: none. */
double ws_option_wait(lua_State *L, int arg);

/* The seconds of an optional timeout argument; negative: none. */
double ws_check_timeout(lua_State *L, int arg);

#endif
