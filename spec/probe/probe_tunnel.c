/* probe_tunnel: proxy(text) -> { host=, port=, login=, is_secure= } |
 *   nil, why;
 * is_spared(list, host, port); request(host, port, login). Texts are heap
 * copies of exactly their size. */
#include "probe.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "protocol/tunnel.h"

void probe_open_tunnel(lua_State *L);

static struct ws_slice copy_of(lua_State *L, int arg) {
  struct ws_slice s;
  const char *bytes = luaL_optlstring(L, arg, "", &s.n);
  char *copy = malloc(s.n + !s.n);
  if (!copy) luaL_error(L, "no memory");
  memcpy(copy, bytes, s.n);
  s.p = copy;
  return s;
}

static int tunnel_proxy(lua_State *L) {
  struct ws_slice text = copy_of(L, 1);
  struct ws_proxy_url url;
  char login[WS_TUNNEL_LOGIN_MAX];
  const char *why = NULL;
  int n = -1;
  if (ws_proxy_url_parse(text, &url, &why))
    n = ws_proxy_url_login(&url, login, &why);
  if (n < 0) {
    lua_pushnil(L);
    lua_pushstring(L, why);
  } else {
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, url.host.p, url.host.n);
    lua_setfield(L, -2, "host");
    lua_pushinteger(L, url.port);
    lua_setfield(L, -2, "port");
    lua_pushlstring(L, login, (size_t)n);
    lua_setfield(L, -2, "login");
    lua_pushboolean(L, url.is_secure);
    lua_setfield(L, -2, "is_secure");
  }
  free((char *)text.p);
  return n < 0 ? 2 : 1;
}

static int tunnel_is_spared(lua_State *L) {
  int port = (int)luaL_checkinteger(L, 3);
  struct ws_slice list = copy_of(L, 1), host = copy_of(L, 2);
  lua_pushboolean(L, ws_tunnel_is_spared(list, host, port));
  free((char *)list.p);
  free((char *)host.p);
  return 1;
}

static int tunnel_request(lua_State *L) {
  struct ws_buf out = {0};
  int port = (int)luaL_checkinteger(L, 2);
  struct ws_slice host = copy_of(L, 1), login = copy_of(L, 3);
  bool ok = ws_tunnel_write_request(&out, host, port, login);
  free((char *)host.p);
  free((char *)login.p);
  if (ok)
    lua_pushlstring(L, (char *)ws_buf_begin(&out), out.len);
  else
    lua_pushnil(L);
  ws_buf_free(&out);
  return 1;
}

static const luaL_Reg functions[] = {{"proxy", tunnel_proxy},
                                     {"is_spared", tunnel_is_spared},
                                     {"request", tunnel_request},
                                     {NULL, NULL}};

void probe_open_tunnel(lua_State *L) {
  luaL_newlib(L, functions);
}
