/* send_options.c: what may be asked for with one message. */
#include "binding/send_options.h"

#include <lauxlib.h>

#include "binding/option_values.h"
#include "engine/carrier.h"

#define TTL_MAX 1e9 /* seconds: more is a mistake */

static double check_ttl(lua_State *L) {
  double ttl = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
  if (lua_type(L, -1) != LUA_TNUMBER || !(ttl > 0) || ttl > TTL_MAX)
    ws_option_bad_number(L, "ttl", "seconds above 0");
  return ttl;
}

static struct ws_slice check_key(lua_State *L) {
  struct ws_slice key = {NULL, 0};
  if (lua_type(L, -1) == LUA_TSTRING) key.p = lua_tolstring(L, -1, &key.n);
  if (key.n == 0 || key.n > WS_FLEETING_KEY_MAX)
    ws_option_bad(L, "key", "string of 1 to 255 bytes");
  return key; /* the options table keeps it */
}

struct ws_slice ws_read_meta(lua_State *L, int arg) {
  struct ws_slice meta = {NULL, 0};
  int type = lua_getfield(L, arg, "meta");
  if (type == LUA_TSTRING) meta.p = lua_tolstring(L, -1, &meta.n);
  if ((type != LUA_TNIL && type != LUA_TSTRING) || meta.n > WS_META_MAX)
    ws_option_bad(L, "meta", "a string of at most 4096 bytes");
  lua_pop(L, 1);
  return meta;
}

void ws_read_fleet(lua_State *L, int arg, struct ws_fleet *how) {
  if (lua_getfield(L, arg, "ttl") != LUA_TNIL) how->ttl = check_ttl(L);
  if (lua_getfield(L, arg, "key") != LUA_TNIL) how->key = check_key(L);
  lua_pop(L, 2);
}

void ws_check_send_options(lua_State *L, int arg, const char *function,
                           struct ws_fleet *how) {
  static const char *const names[] = {"compress", "key", "ttl", NULL};
  *how = (struct ws_fleet){.ttl = 0};
  luaL_checktype(L, arg, LUA_TTABLE);
  ws_option_names(L, arg, function, names);
  how->is_plain = !ws_option_bool(L, arg, "compress", true);
  ws_read_fleet(L, arg, how);
}
