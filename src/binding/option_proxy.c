/* option_proxy.c: the option proxy of ws.connect: a URL, or true for what the
 * environment says. No message repeats a URL, which may hold a password. */
#include "binding/option_proxy.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "binding/option_values.h"
#include "protocol/tunnel.h"

#define NAMES 4

/* HTTP_PROXY is what a CGI program is given for a field `Proxy` of a request,
 * by whoever sends it. */
static const char *find(const char *const names[NAMES], const char **name) {
  for (int i = 0; i < NAMES; i++) {
    bool is_foreign =
      strcmp(names[i], "HTTP_PROXY") == 0 && getenv("REQUEST_METHOD");
    const char *value = is_foreign ? NULL : getenv(names[i]);
    *name = names[i];
    if (value) return *value ? value : NULL;
  }
  return NULL;
}

static bool is_spared(const struct ws_url *url) {
  const char *list = getenv("no_proxy");
  if (!list) list = getenv("NO_PROXY");
  return list && ws_tunnel_is_spared((struct ws_slice){list, strlen(list)},
                                     url->host, url->port);
}

/* Pushes what the environment says for this URL, or nil. */
static const char *push_environment(lua_State *L, const struct ws_url *url) {
  static const char *const plain[NAMES] = {"http_proxy", "HTTP_PROXY",
                                           "all_proxy", "ALL_PROXY"};
  static const char *const secure[NAMES] = {"https_proxy", "HTTPS_PROXY",
                                            "all_proxy", "ALL_PROXY"};
  const char *name = NULL;
  const char *value = find(url->is_secure ? secure : plain, &name);
  bool is_wanted = value && !url->socket.p && !is_spared(url);
  lua_pushstring(L, is_wanted ? value : NULL);
  return name;
}

/* name: of the variable; NULL: the option itself. */
static void parse(lua_State *L, const char *name, struct ws_tunnel_to *to) {
  struct ws_proxy_url url;
  struct ws_slice text;
  char login[WS_TUNNEL_LOGIN_MAX];
  const char *why = NULL;
  int n = -1;
  text.p = lua_tolstring(L, -1, &text.n);
  if (ws_proxy_url_parse(text, &url, &why))
    n = ws_proxy_url_login(&url, login, &why);
  if (n < 0 && name)
    luaL_error(L, "bad option 'proxy' (%s of the environment: %s)", name, why);
  if (n < 0) luaL_error(L, "bad option 'proxy' (%s)", why);
  to->host = url.host;
  to->port = url.port;
  to->is_secure = url.is_secure;
  to->login.p = lua_pushlstring(L, login, (size_t)n);
  to->login.n = (size_t)n;
}

void ws_options_proxy(lua_State *L, int arg, const struct ws_url *url,
                      struct ws_tunnel_to *to) {
  const char *name = NULL;
  int type = lua_getfield(L, arg, "proxy");
  *to = (struct ws_tunnel_to){.port = 0};
  if (type == LUA_TBOOLEAN) {
    bool is_on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (is_on)
      name = push_environment(L, url);
    else
      lua_pushnil(L);
  } else if (type != LUA_TNIL && type != LUA_TSTRING) {
    ws_option_bad(L, "proxy", "\"http://host:port\" or a boolean");
  } else if (type == LUA_TSTRING && url->socket.p) {
    luaL_error(L, "bad option 'proxy' (none leads to a Unix socket)");
  }
  if (lua_isnil(L, -1))
    lua_pushnil(L);
  else
    parse(L, name, to);
}
