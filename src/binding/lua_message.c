/* lua_message.c: what methods that send take for a message, and what they
 * return. */
#include "binding/lua_message.h"

#include "protocol/utf8.h"

#define TOPIC_MAX 65535

uint8_t ws_no_kind(lua_State *L, int arg) {
  if (lua_istable(L, arg))
    luaL_argerror(L, arg,
                  "\"text\" or \"binary\" expected, options stand behind it");
  luaL_typeerror(L, arg, "string");
  return 0;
}

uint8_t ws_check_message(lua_State *L, int arg, struct ws_slice *message) {
  message->p = luaL_checklstring(L, arg, &message->n);
  uint8_t opcode = ws_check_kind(L, arg + 1);
  if (opcode == WS_OP_TEXT && !ws_utf8_is_valid(message->p, message->n))
    luaL_argerror(L, arg, WS_NOT_UTF8);
  return opcode;
}

struct ws_slice ws_check_topic(lua_State *L, int arg) {
  struct ws_slice name;
  name.p = luaL_checklstring(L, arg, &name.n);
  luaL_argcheck(L, name.n > 0 && name.n <= TOPIC_MAX, arg,
                "a name of 1 to 65535 bytes expected");
  return name;
}

int ws_push_failure(lua_State *L, enum ws_err err) {
  lua_pushnil(L);
  lua_pushstring(L, err == WS_ERR_FULL     ? "queue full"
                    : err == WS_ERR_MEMORY ? "out of memory"
                                           : "closed");
  return 2;
}

int ws_push_closed(lua_State *L) {
  return ws_push_failure(L, WS_ERR_CLOSED);
}

int ws_push_self(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}
