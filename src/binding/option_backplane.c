/* option_backplane.c: what ws.backplane takes. No message repeats a URL, which
 * may hold a password. */
#include "binding/option_backplane.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "binding/option_reconnect.h"
#include "binding/option_values.h"
#include "binding/tls_client.h"
#include "binding/tls_options.h"
#include "protocol/redis_url.h"

#define URLS_MAX 64
#define MIB (1024 * 1024)
#define PREFIX "evws:"
#define PREFIX_MAX 1024

static const char *const names[] = {
  "max_queued",    "max_reply", "on_presence",  "password",  "pending_timeout",
  "ping_interval", "prefix",    "presence_ttl", "reconnect", "timeout",
  "tls",           "url",       "username",     NULL};

/* A plain table in the place of the caller's, which may have an __index that
 * makes another value at each look. A URL alone is one as well. */
static void take_copy(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TSTRING) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, arg);
    lua_setfield(L, -2, "url");
    lua_replace(L, arg);
    return;
  }
  luaL_argexpected(L, lua_istable(L, arg), arg, "a URL or a table");
  ws_option_names(L, arg, "backplane", names);
  lua_createtable(L, 0, 8);
  for (int i = 0; names[i]; i++) {
    lua_getfield(L, arg, names[i]);
    lua_setfield(L, -2, names[i]);
  }
  lua_replace(L, arg);
}

static double read_seconds(lua_State *L, int arg, const char *name,
                           double absent) {
  double v = absent;
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    v = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(v > 0) || !isfinite(v))
      ws_option_bad_number(L, name, "seconds above 0");
  }
  lua_pop(L, 1);
  return v;
}

/* A string of any bytes; absent: p NULL. The table keeps it. */
static struct ws_slice read_bytes(lua_State *L, int arg, const char *name,
                                  size_t most) {
  struct ws_slice s = {NULL, 0};
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "bad option '%s' (string expected)", name);
    s.p = lua_tolstring(L, -1, &s.n);
    if (s.n > most)
      luaL_error(L, "bad option '%s' (at most %d bytes expected)", name,
                 (int)most);
  }
  lua_pop(L, 1);
  return s;
}

/* Puts the value on top of the stack into the table of what is kept. */
static void keep(lua_State *L, int kept) {
  lua_rawseti(L, kept, (lua_Integer)lua_rawlen(L, kept) + 1);
}

/* The text without its escapes, kept. */
static struct ws_slice decode(lua_State *L, int kept, struct ws_slice text) {
  struct ws_slice s = {NULL, 0};
  luaL_Buffer b;
  if (!text.p) return s;
  char *to = luaL_buffinitsize(L, &b, text.n + 1);
  luaL_pushresultsize(&b, ws_redis_url_decode(text, to));
  s.p = lua_tolstring(L, -1, &s.n);
  keep(L, kept);
  return s;
}

/* The URL on top of the stack. */
static void read_url(lua_State *L, int kept, struct ws_redis_settings *r) {
  struct ws_redis_url url;
  struct ws_slice text;
  const char *why;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "bad option 'url' (a string, or a list of them, expected)");
  text.p = lua_tolstring(L, -1, &text.n);
  if (!ws_redis_url_parse(text, &url, &why))
    luaL_error(L, "bad option 'url' (%s)", why);
  r->host = decode(L, kept, url.host).p;
  r->path = decode(L, kept, url.path).p;
  r->username = decode(L, kept, url.username);
  r->password = decode(L, kept, url.password);
  r->port = url.port;
  r->db = url.db;
  r->is_secure = url.is_secure;
  r->server_name = r->host;
}

static struct ws_link *new_links(lua_State *L, int kept, struct ws_bus *bus,
                                 size_t n) {
  struct ws_link *links = lua_newuserdatauv(L, n * sizeof *links, 0);
  memset(links, 0, n * sizeof *links);
  keep(L, kept);
  bus->links = links;
  bus->n_links = n;
  return links;
}

static void read_urls(lua_State *L, int arg, int kept, struct ws_bus *bus) {
  int type = lua_getfield(L, arg, "url");
  if (type == LUA_TNIL) luaL_error(L, "option 'url' is missing");
  if (type != LUA_TTABLE) {
    read_url(L, kept, &new_links(L, kept, bus, 1)->redis);
  } else {
    size_t n = lua_rawlen(L, -1);
    if (n == 0 || n > URLS_MAX)
      luaL_error(L, "bad option 'url' (1 to %d URLs expected)", URLS_MAX);
    struct ws_link *links = new_links(L, kept, bus, n);
    for (size_t i = 0; i < n; i++) {
      lua_rawgeti(L, -1, (lua_Integer)i + 1);
      read_url(L, kept, &links[i].redis);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

static void read_bus(lua_State *L, int arg, struct ws_bus_settings *s) {
  static const struct ws_reconnect usual = {0.1, 5, 0.5};
  s->prefix = read_bytes(L, arg, "prefix", PREFIX_MAX);
  if (!s->prefix.p) s->prefix = WS_SLICE(PREFIX);
  s->max_queued = (size_t)ws_option_integer(L, arg, "max_queued", MIB, 1,
                                            (lua_Integer)MIB * 1024);
  s->pending_timeout = read_seconds(L, arg, "pending_timeout", 5);
  bool is_given = ws_option_is_given(L, arg, "reconnect");
  if (!ws_options_reconnect(L, arg, &usual, &s->reconnect) && is_given)
    luaL_error(L, "bad option 'reconnect' (a backplane always reconnects)");
}

static void read_links(lua_State *L, int arg, int kept, struct ws_bus *bus) {
  struct ws_slice user = read_bytes(L, arg, "username", 65535);
  struct ws_slice password = read_bytes(L, arg, "password", 65535);
  double timeout = read_seconds(L, arg, "timeout", 5);
  double interval = read_seconds(L, arg, "ping_interval", 10);
  struct ws_slice name;
  size_t most = (size_t)ws_option_integer(L, arg, "max_reply", 16 * MIB, 1024,
                                          (lua_Integer)MIB * 1024);
  lua_pushfstring(L, "evws-%d", (int)getpid());
  name.p = lua_tolstring(L, -1, &name.n);
  keep(L, kept);
  for (size_t i = 0; i < bus->n_links; i++) {
    struct ws_redis_settings *r = &bus->links[i].redis;
    r->name = name;
    r->timeout = timeout;
    r->ping_interval = interval;
    r->max_reply = most;
    if (user.p) r->username = user;
    if (password.p) r->password = password;
  }
}

void ws_options_backplane(lua_State *L, int arg, int kept, struct ws_bus *bus) {
  take_copy(L, arg);
  lua_pushvalue(L, arg);
  keep(L, kept);
  read_urls(L, arg, kept, bus);
  read_bus(L, arg, &bus->settings);
  bus->presence_ttl = read_seconds(L, arg, "presence_ttl", 60);
  if (!ws_option_function(L, arg, "on_presence")) bus->heard.present = NULL;
  read_links(L, arg, kept, bus);
}

bool ws_options_backplane_tls(lua_State *L, int arg, int kept,
                              struct ws_bus *bus,
                              char problem[WS_TLS_WHY_MAX]) {
  struct ws_tls_settings tls;
  bool ok = true;
  int top = lua_gettop(L);
  ws_options_tls(L, arg, "tls", "backplane", WS_FOR_CONNECT, &tls);
  struct ws_slice name = ws_options_tls_name(L, "tls");
  if (name.p) {
    name.p = lua_pushlstring(L, name.p, name.n);
    keep(L, kept);
  }
  for (size_t i = 0; i < bus->n_links && ok; i++) {
    struct ws_redis_settings *r = &bus->links[i].redis;
    if (!r->is_secure) continue;
    if (name.p) r->server_name = name.p;
    r->tls = ws_tls_client_open(ws_state_of(L), &tls, problem);
    ok = r->tls != NULL;
  }
  lua_settop(L, top);
  return ok;
}
