/* lua_message.h: what methods that send take for a message, and what they
 * return. */
#ifndef EVWS_BINDING_LUA_MESSAGE_H
#define EVWS_BINDING_LUA_MESSAGE_H

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>
#include "base/err.h"
#include "base/slice.h"
#include "protocol/frame.h"

#define WS_NOT_UTF8 "text is not UTF-8 (kind \"binary\" takes any bytes)"

/* Raises: what is at arg is no string. */
uint8_t ws_no_kind(lua_State *L, int arg);

/* The opcode of a kind, text without one. */
static inline uint8_t ws_check_kind(lua_State *L, int arg) {
  size_t n;
  const char *kind;
  if (lua_isnoneornil(L, arg)) return WS_OP_TEXT;
  if (!(kind = lua_tolstring(L, arg, &n))) return ws_no_kind(L, arg);
  if (n == 4 && memcmp(kind, "text", 4) == 0) return WS_OP_TEXT;
  /* in two steps no function is called for it */
  if (n == 6 && memcmp(kind, "bina", 4) == 0 && memcmp(kind + 4, "ry", 2) == 0)
    return WS_OP_BINARY;
  luaL_argerror(L, arg, "\"text\" or \"binary\" expected");
  return 0;
}

/* The message at arg, of the kind behind it; returns the opcode. */
uint8_t ws_check_message(lua_State *L, int arg, struct ws_slice *message);

/* The name of a topic at arg. */
struct ws_slice ws_check_topic(lua_State *L, int arg);

/* nil and why. */
int ws_push_failure(lua_State *L, enum ws_err err);

/* nil, "closed" */
int ws_push_closed(lua_State *L);

/* The first argument: the object whose method it is. */
int ws_push_self(lua_State *L);

#endif
