/* collect.h: the garbage that connections leave. */
#ifndef EVWS_COLLECT_H
#define EVWS_COLLECT_H

#include "binding/state.h"

/* A connection's object is nobody's any more. While many go Lua's collector
 * takes a step for each thousand; when for a second no more go, they are
 * collected, a little at a time. */
void ws_collect_note(struct ws_state *st);

#endif
