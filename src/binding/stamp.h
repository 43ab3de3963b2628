/* stamp.h: the stamp "json" of a topic with a history: a message and its place
 * as a JSON text. */
#ifndef EVWS_BINDING_STAMP_H
#define EVWS_BINDING_STAMP_H

#include <lauxlib.h>

#include "engine/carrier.h"

/* Is it a JSON text, as "text" has to be that is stamped so? */
bool ws_stamp_is_json(const struct ws_publication *p);

/* Adds any bytes as a JSON string; each byte of what is no UTF-8 as if it were
 * a character. */
void ws_stamp_add_string(luaL_Buffer *b, struct ws_slice s);

/* Pushes {"offset":7,"epoch":"k3f9","topic":"room/1","data":<message>}. */
void ws_stamp_push(lua_State *L, const struct ws_publication *p);

#endif
