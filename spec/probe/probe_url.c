/* probe_url: parse(text) -> { host=, zone=, authority=, socket=, target=,
 * port=, secure= } | nil, why; authority: as it is sent. The text is a heap copy of exactly its size. */
#include "probe.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "protocol/url.h"

void probe_open_url(lua_State *L);

static void set_slice(lua_State *L, const char *name, struct ws_slice s) {
  if (s.p == NULL) return;
  lua_pushlstring(L, s.p, s.n);
  lua_setfield(L, -2, name);
}

static void push_url(lua_State *L, const struct ws_url *url) {
  lua_newtable(L);
  set_slice(L, "host", url->host);
  if (url->zone.n) set_slice(L, "zone", url->zone);
  char text[WS_URL_HOST_MAX];
  set_slice(L, "authority",
            (struct ws_slice){text, ws_url_write_host(url, text)});
  set_slice(L, "socket", url->socket);
  set_slice(L, "target", url->target);
  lua_pushinteger(L, url->port);
  lua_setfield(L, -2, "port");
  lua_pushboolean(L, url->is_secure);
  lua_setfield(L, -2, "secure");
}

static int url_parse(lua_State *L) {
  struct ws_slice text;
  struct ws_url url;
  const char *why = NULL, *bytes = luaL_checklstring(L, 1, &text.n);
  char *copy = malloc(text.n);
  if (copy == NULL && text.n > 0) return luaL_error(L, "no memory");
  if (text.n > 0) memcpy(copy, bytes, text.n);
  text.p = copy;
  bool ok = ws_url_parse(text, &url, &why);
  if (ok) {
    push_url(L, &url);
  } else {
    lua_pushnil(L);
    lua_pushstring(L, why);
  }
  free(copy);
  return ok ? 1 : 2;
}

static const luaL_Reg functions[] = {{"parse", url_parse}, {NULL, NULL}};

void probe_open_url(lua_State *L) {
  luaL_newlib(L, functions);
}
