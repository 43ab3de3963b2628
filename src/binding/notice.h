/* notice.h: tasks by which functions of a script are told of what has happened
 * to a server: tried again later where there is no memory to begin. */
#ifndef EVWS_BINDING_NOTICE_H
#define EVWS_BINDING_NOTICE_H

#include "binding/state.h"

/* Starts a task whose body gets two light userdata, which are there until it
 * waits. False: it could not begin, and nothing has happened. In a turn. */
bool ws_notice(struct ws_state *st, lua_CFunction body, const void *a,
               const void *b);

#endif
