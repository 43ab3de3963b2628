/* lua_body.h: the body of an answer that a function writes, and what is told
 * to who answers. */
#ifndef EVWS_BINDING_LUA_BODY_H
#define EVWS_BINDING_LUA_BODY_H

#include "binding/state.h"

/* Pushes the object with which the answer of the connection at index 1, which
 * has been begun, is written. */
void ws_body_push(lua_State *L, struct lua_conn *lc);

#define WS_BODY_PIECE ((size_t)(64 * 1024)) /* of a long string, in a turn */

/* (body, string, bytes of it that are written): the rest of it. */
int ws_body_write_string(lua_State *L);

/* The request at index 2 is the one that the connection at 1 is asked about:
 * request:on_close finds it, until ws_body_forget. */
void ws_body_remember(lua_State *L);
void ws_body_forget(lua_State *L);

/* Pushes the connection of the request at an index and returns it, while that
 * is being answered; NULL, and nothing pushed, afterwards. */
struct lua_conn *ws_body_asked(lua_State *L, int at);

/* The host's entry: the client has gone. */
void ws_body_gone(struct ws_conn *c);

/* Makes the metatables of bodies and of requests. */
void ws_open_body(lua_State *L);

#endif
