/* payload.h: what a peer has said, as a string of Lua's. */
#ifndef EVWS_BINDING_PAYLOAD_H
#define EVWS_BINDING_PAYLOAD_H

#include <lauxlib.h>

#include "engine/conn_base.h"

/* Lua 5.5 takes the memory of others for a string. A shorter message is copied
 * in less time than its buffer is missed. */
#define WS_PAYLOAD_MIN (32 * 1024)
#define WS_HAS_EXTERNAL (LUA_VERSION_NUM >= 505)

/* Pushes the long message that was delivered last. Raises without memory. */
void ws_push_long_payload(lua_State *L, struct ws_conn *c,
                          const struct ws_event *ev);

/* Pushes the message that was delivered last. */
static inline void ws_push_payload(lua_State *L, struct ws_conn *c,
                                   const struct ws_event *ev) {
  if (WS_HAS_EXTERNAL && ev->len >= WS_PAYLOAD_MIN)
    ws_push_long_payload(L, c, ev);
  else
    lua_pushlstring(L, (const char *)ev->data, ev->len);
}

#endif
