/* answer_table.h: the answer to a client's request as a table. */
#ifndef EVWS_BINDING_ANSWER_TABLE_H
#define EVWS_BINDING_ANSWER_TABLE_H

#include "binding/state.h"

/* Pushes the last answer that this client has had, or nil. */
void ws_push_answer(lua_State *L, const struct ws_conn *c);

#endif
