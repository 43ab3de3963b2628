/* option_lists.c: options that are lists: origins, hosts, sub-protocols,
 * proxies; and the handlers. */
#include "binding/option_lists.h"

#include <string.h>

#include "base/buf.h"
#include "binding/option_values.h"
#include "protocol/http.h"
#include "protocol/origin.h"

/* Hands each string of the list at the top of the stack to `take`. What is no
 * list of strings raises. */
static void read_list(lua_State *L, const char *name, void *out,
                      void (*take)(lua_State *, const char *, struct ws_slice,
                                   void *)) {
  int list = lua_gettop(L);
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
    struct ws_slice text;
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "bad option '%s' (entry %I is no string)", name,
                 (LUAI_UACINT)i);
    text.p = lua_tolstring(L, -1, &text.n);
    take(L, name, text, out);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  for (lua_pushnil(L); lua_next(L, list); lua_pop(L, 1))
    if (!lua_isinteger(L, -2))
      luaL_error(L, "bad option '%s' (a list of strings expected)", name);
}

static void keep(lua_State *L, struct ws_strings *out, struct ws_slice text) {
  if (!ws_strings_add(out, text.p, text.n)) luaL_error(L, "not enough memory");
}

static void add_origin(lua_State *L, const char *name, struct ws_slice text,
                       void *out) {
  const char *why = "";
  if (!ws_origin_is_pattern(text, &why))
    luaL_error(L, "bad option '%s' ('%s': %s)", name, text.p, why);
  keep(L, out, text);
}

void ws_options_origins(lua_State *L, int arg, struct ws_route *route) {
  int type = lua_getfield(L, arg, "origins");
  const char *word = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (type == LUA_TNIL || strcmp(word, "*") == 0) {
    route->origin_rule = WS_ORIGIN_ANY;
  } else if (strcmp(word, "same") == 0) {
    route->origin_rule = WS_ORIGIN_SAME;
  } else if (type == LUA_TFUNCTION) {
    route->origin_rule = WS_ORIGIN_ASK;
    route->asks_upgrade = true;
  } else if (type == LUA_TTABLE) {
    route->origin_rule = WS_ORIGIN_LIST;
    read_list(L, "origins", &route->origins, add_origin);
  } else {
    luaL_error(L,
               "bad option 'origins' (\"*\", \"same\", a list of origins "
               "or a function expected, got %s)",
               ws_option_got(L, -1));
  }
  lua_pop(L, 1);
}

static void add_host(lua_State *L, const char *name, struct ws_slice text,
                     void *out) {
  const char *why = "";
  if (!ws_origin_is_host_pattern(text, &why))
    luaL_error(L, "bad option '%s' ('%s': %s)", name, text.p, why);
  keep(L, out, text);
}

/* However it is written: who listens there is reached by names of this
 * machine alone. */
static bool is_loopback_host(const char *host) {
  static const char *const loopback[] = {"127.0.0.0/8", "::1"};
  struct ws_slice text = {host, strlen(host)};
  struct ws_ip ip;
  if (!ws_ip_parse(text, &ip))
    return ws_origin_host_matches(text, WS_SLICE("localhost")) ||
           ws_origin_host_matches(text, WS_SLICE("*.localhost"));
  for (size_t i = 0; i < 2; i++) {
    struct ws_ip_range r;
    struct ws_slice range = {loopback[i], strlen(loopback[i])};
    if (!ws_ip_parse_range(range, &r) && ws_ip_is_in(&ip, &r)) return true;
  }
  return false;
}

void ws_options_hosts(lua_State *L, int arg, struct ws_server *s) {
  static const char *const local[] = {"localhost", "*.localhost", "127.0.0.1",
                                      "[::1]"};
  int type = lua_getfield(L, arg, "hosts");
  const char *word = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (strcmp(word, "auto") == 0) {
    const char *host = ws_option_string(L, arg, "host", "localhost");
    for (size_t i = 0; i < 4 && is_loopback_host(host); i++)
      if (!ws_strings_add(&s->hosts, local[i], strlen(local[i])))
        luaL_error(L, "not enough memory");
  } else if (type == LUA_TTABLE) {
    read_list(L, "hosts", &s->hosts, add_host);
  } else if (type != LUA_TNIL && strcmp(word, "*") != 0) {
    luaL_error(L,
               "bad option 'hosts' (\"*\", \"auto\" or a list of host "
               "names expected, got %s)",
               ws_option_got(L, -1));
  }
  lua_pop(L, 1);
}

static void add_token(lua_State *L, const char *name, struct ws_slice text,
                      void *out) {
  if (!ws_http_is_token(text))
    luaL_error(L, "bad option '%s' ('%s' is no token)", name, text.p);
  keep(L, out, text);
}

void ws_options_subprotocols(lua_State *L, int arg, struct ws_strings *list) {
  int type = lua_getfield(L, arg, "subprotocols");
  if (type == LUA_TTABLE)
    read_list(L, "subprotocols", list, add_token);
  else if (type != LUA_TNIL)
    luaL_error(L,
               "bad option 'subprotocols' (a list of names expected, got "
               "%s)",
               ws_option_got(L, -1));
  lua_pop(L, 1);
}

/* Words that stand for the ranges everybody would write. */
static const char *const ranges[][6] = {
  {"loopback", "127.0.0.0/8", "::1"},
  {"private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"},
};

static bool trust(struct ws_trusted *t, const struct ws_ip_range *range) {
  struct ws_ip_range *list = ws_mem_resize(t->list, (t->n + 1) * sizeof *list);
  if (!list) return false;
  t->list = list;
  list[t->n++] = *range;
  return true;
}

static const char *trust_text(struct ws_trusted *t, struct ws_slice text) {
  struct ws_ip_range range = {.first = {.kind = WS_IP_UNIX}};
  const char *why = NULL;
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    const char *const *r = ranges[i];
    if (!ws_slice_equal(text, (struct ws_slice){*r, strlen(*r)})) continue;
    while (*++r && !why) why = trust_text(t, (struct ws_slice){*r, strlen(*r)});
    return why;
  }
  if (!ws_slice_equal(text, WS_SLICE("unix")))
    why = ws_ip_parse_range(text, &range);
  if (!why && !trust(t, &range)) why = "not enough memory";
  return why;
}

static void add_trusted(lua_State *L, const char *name, struct ws_slice text,
                        void *out) {
  const char *why = trust_text(out, text);
  if (why) luaL_error(L, "bad option '%s' ('%s': %s)", name, text.p, why);
}

void ws_options_proxies(lua_State *L, int arg, struct ws_server *s) {
  int type = lua_getfield(L, arg, "trusted_proxies");
  if (type == LUA_TTABLE)
    read_list(L, "trusted_proxies", &s->trusted, add_trusted);
  else if (type != LUA_TNIL)
    luaL_error(L,
               "bad option 'trusted_proxies' (a list of addresses and ranges "
               "expected, got %s)",
               ws_option_got(L, -1));
  lua_pop(L, 1);
  s->proxy_protocol = ws_option_bool(L, arg, "proxy_protocol", false);
  if (s->proxy_protocol && !s->trusted.n)
    luaL_error(L, "option 'proxy_protocol' needs 'trusted_proxies'");
}

static const char *const handlers[] = {
  "on_open",     "on_chunk",   "on_message", "on_close", "on_closing",
  "on_drain",    "on_error",   "on_metrics", "on_ping",  "on_pong",
  "on_presence", "on_request", "on_upgrade"};

void ws_options_push_handlers(lua_State *L, int arg) {
  lua_newtable(L);
  for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
    if (lua_getfield(L, arg, handlers[i]) == LUA_TNIL) {
      lua_pop(L, 1);
      continue;
    }
    if (!lua_isfunction(L, -1))
      luaL_error(L, "bad option '%s' (function expected, got %s)", handlers[i],
                 ws_option_got(L, -1));
    lua_setfield(L, -2, handlers[i]);
  }
  if (lua_getfield(L, arg, "origins") == LUA_TFUNCTION)
    lua_setfield(L, -2, "origins");
  else
    lua_pop(L, 1);
}
