/* options.c: one table of what can be set, in which unit, and what it is
 * otherwise; reading, checking and ws.defaults all follow it. */
#include "binding/options.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#include <lauxlib.h>

#include "binding/option_compression.h"
#include "binding/suggest.h"

enum type { SECONDS, COUNT, FLAG, RATE, OTHER };
enum place { CONN, HTTP, ELSEWHERE };

struct option {
  const char *name;
  enum type type;
  enum place place;
  int scope;
  size_t at;    /* offset in struct ws_conn_options or ws_http_options */
  double value; /* the default; negative: false */
  double least;
  double most; /* 0: no bound */
  bool can_be_off;
};

#define BOTH (WS_FOR_LISTEN | WS_FOR_CONNECT | WS_FOR_ROUTE)
#define SERVE (WS_FOR_LISTEN | WS_FOR_ROUTE)
#define ENDPOINT (WS_FOR_LISTEN | WS_FOR_CONNECT)
#define C(field) offsetof(struct ws_conn_options, field)
#define H(field) offsetof(struct ws_http_options, field)
#define KIB 1024.0
#define MIB (1024.0 * 1024.0)
#define HTTP_KEEPALIVE_TIMEOUT 75 /* balancers keep theirs for 60 */
#define HTTP_KEEPALIVE_REQUESTS 1000
#define WORD 65535.0 /* lengths of the request's parts are kept in 16 bits */

static const struct option options[] = {
  /* the connection */
  {"close_timeout", SECONDS, CONN, BOTH, C(close_timeout), 5, 0, 0, true},
  {"concurrency", COUNT, CONN, BOTH, C(concurrency), 1, 1, 60000, false},
  {"control_rate", RATE, CONN, BOTH, C(control_rate), 50, 0, 10, true},
  {"high_water", COUNT, CONN, BOTH, C(high_water), 64 * KIB, 1, 0, false},
  {"idle_timeout", SECONDS, CONN, BOTH, C(idle_timeout), -1, 0, 0, true},
  {"keepalive_interval", SECONDS, CONN, BOTH, C(keepalive_interval), 120, 0, 0,
   true},
  {"keepalive_timeout", SECONDS, CONN, BOTH, C(keepalive_timeout), 240, 0, 0,
   true},
  {"low_water", COUNT, CONN, BOTH, C(low_water), 32 * KIB, 0, 0, false},
  {"max_fragments", COUNT, CONN, BOTH, C(protocol.max_fragments), 4096, 1, 0,
   true},
  {"max_lifetime", SECONDS, CONN, BOTH, C(max_lifetime), -1, 0, 0, true},
  {"max_message", COUNT, CONN, BOTH, C(protocol.max_message), MIB, 0, 0, true},
  {"max_ratio", COUNT, CONN, BOTH, C(protocol.max_ratio), -1, 1, 0, true},
  {"max_queued", COUNT, CONN, BOTH, C(max_queued), MIB, 1, 0, true},
  {"message_rate", RATE, CONN, BOTH, C(message_rate), -1, 0, 0, true},
  {"read_ahead", FLAG, CONN, BOTH, C(read_ahead), 0, 0, 0, false},
  {"read_budget", COUNT, CONN, BOTH, C(read_budget), 256, 1, 0, false},
  {"receive_queue", COUNT, CONN, BOTH, C(receive_queue), 64 * KIB, 1, 0, false},
  {"require_origin", FLAG, CONN, SERVE, C(require_origin), 0, 0, 0, false},
  {"stall_timeout", SECONDS, CONN, BOTH, C(stall_timeout), 10, 0, 0, true},
  {"upgrade_timeout", SECONDS, CONN, SERVE, C(upgrade_timeout), 30, 0, 0, true},
  /* the handshake and HTTP */
  {"handshake_timeout", SECONDS, HTTP, WS_FOR_LISTEN, H(handshake_timeout), 10,
   0, 0, true},
  {"max_body", COUNT, HTTP, WS_FOR_LISTEN, H(max_body), MIB, 0, 0, false},
  {"max_connections", COUNT, HTTP, WS_FOR_LISTEN, H(max_connections), -1, 1, 0,
   true},
  {"max_header_bytes", COUNT, HTTP, WS_FOR_LISTEN, H(max_header_bytes),
   32 * KIB, 64, MIB, false},
  {"max_header_line", COUNT, HTTP, WS_FOR_LISTEN, H(max_header_line), 8 * KIB,
   64, MIB, false},
  {"max_headers", COUNT, HTTP, WS_FOR_LISTEN, H(max_headers), 100, 8, 10000,
   false},
  {"max_memory", COUNT, HTTP, WS_FOR_LISTEN, H(max_memory), -1, MIB, 0, true},
  {"max_per_address", COUNT, HTTP, WS_FOR_LISTEN, H(max_per_address), -1, 1, 0,
   true},
  {"max_pending", COUNT, HTTP, WS_FOR_LISTEN, H(max_pending), 1024, 1, 0, true},
  {"max_request_line", COUNT, HTTP, WS_FOR_LISTEN, H(max_request_line), 8192,
   64, WORD, false},
  /* read one by one */
  {.name = "backlog", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "backplane", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "compression", .type = OTHER, .scope = BOTH},
  {.name = "fd", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "headers", .type = OTHER, .scope = WS_FOR_CONNECT},
  {.name = "history", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "host", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "hosts", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "http_keepalive", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "on_chunk", .type = OTHER, .scope = BOTH},
  {.name = "on_close", .type = OTHER, .scope = BOTH},
  {.name = "on_closing", .type = OTHER, .scope = SERVE},
  {.name = "on_drain", .type = OTHER, .scope = BOTH},
  {.name = "on_error", .type = OTHER, .scope = BOTH},
  {.name = "on_flood", .type = OTHER, .scope = BOTH},
  {.name = "on_full", .type = OTHER, .scope = BOTH},
  {.name = "on_message", .type = OTHER, .scope = BOTH},
  {.name = "on_metrics", .type = OTHER, .scope = SERVE},
  {.name = "on_open", .type = OTHER, .scope = BOTH},
  {.name = "on_ping", .type = OTHER, .scope = BOTH},
  {.name = "on_pong", .type = OTHER, .scope = BOTH},
  {.name = "on_presence", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "on_request", .type = OTHER, .scope = SERVE},
  {.name = "on_upgrade", .type = OTHER, .scope = SERVE},
  {.name = "origin", .type = OTHER, .scope = WS_FOR_CONNECT},
  {.name = "origins", .type = OTHER, .scope = SERVE},
  {.name = "path", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "port", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "proxy", .type = OTHER, .scope = WS_FOR_CONNECT},
  {.name = "proxy_tls", .type = OTHER, .scope = WS_FOR_CONNECT},
  {.name = "proxy_protocol", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "reconnect", .type = OTHER, .scope = WS_FOR_CONNECT},
  {.name = "reuse_port", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "routes", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "shared", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "subprotocols", .type = OTHER, .scope = BOTH},
  {.name = "timeout", .type = OTHER, .scope = WS_FOR_CONNECT},
  {.name = "tls", .type = OTHER, .scope = ENDPOINT},
  {.name = "trusted_proxies", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "unix", .type = OTHER, .scope = WS_FOR_LISTEN},
  {.name = "unix_mode", .type = OTHER, .scope = WS_FOR_LISTEN},
};

#define N_OPTIONS (sizeof options / sizeof *options)

/* ---- names ---- */

static bool has(const char *name, int scope) {
  size_t i = 0;
  while (i < N_OPTIONS && strcmp(name, options[i].name) != 0) i++;
  return i < N_OPTIONS && options[i].scope & scope;
}

static int unknown(lua_State *L, const char *name, const char *function,
                   int scope) {
  struct ws_guess g;
  if (scope == WS_FOR_ROUTE && has(name, WS_FOR_LISTEN))
    return luaL_error(L, "option '%s' belongs to 'listen', not to a route",
                      name);
  if (ws_suggest_other(L, name, has, scope))
    return luaL_error(L, "unknown option '%s' for '%s' %s", name, function,
                      lua_tostring(L, -1));
  ws_guess_begin(&g, name);
  for (size_t i = 0; i < N_OPTIONS; i++)
    if (options[i].scope & scope) ws_guess_try(&g, options[i].name);
  if (g.best)
    return luaL_error(L, "unknown option '%s' for '%s' (did you mean '%s'?)",
                      name, function, g.best);
  return luaL_error(L, "unknown option '%s' for '%s'", name, function);
}

/* A plain table in the place of the caller's, which may have an __index that
 * makes another value (and another string) at each look. */
static void take_copy(lua_State *L, int arg, int scope) {
  lua_createtable(L, 0, 8);
  for (size_t i = 0; i < N_OPTIONS; i++) {
    if (!(options[i].scope & scope)) continue;
    lua_getfield(L, arg, options[i].name);
    lua_setfield(L, -2, options[i].name);
  }
  lua_replace(L, arg);
}

void ws_options_check(lua_State *L, int arg, const char *function, int scope) {
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    size_t i = 0;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "options of '%s' have names, not positions", function);
    const char *name = lua_tostring(L, -2);
    while (i < N_OPTIONS &&
           (strcmp(name, options[i].name) != 0 || !(options[i].scope & scope)))
      i++;
    if (i == N_OPTIONS) unknown(L, name, function, scope);
  }
  take_copy(L, arg, scope);
}

/* One of the two takes the messages. */
static bool is_message_handler(const char *name) {
  return strcmp(name, "on_message") == 0 || strcmp(name, "on_chunk") == 0;
}

/* What stands beside the routes is not for them. */
static bool is_own(const char *name) {
  return strcmp(name, "on_request") == 0 || strcmp(name, "on_closing") == 0 ||
         strcmp(name, "on_metrics") == 0;
}

void ws_options_inherit(lua_State *L, int route, int listener) {
  bool has_own = ws_option_is_given(L, route, "on_message") ||
                 ws_option_is_given(L, route, "on_chunk");
  for (size_t i = 0; i < N_OPTIONS; i++) {
    if (!(options[i].scope & WS_FOR_ROUTE)) continue;
    if (has_own && is_message_handler(options[i].name)) continue;
    if (is_own(options[i].name)) continue;
    if (lua_getfield(L, route, options[i].name) == LUA_TNIL) {
      lua_getfield(L, listener, options[i].name);
      lua_setfield(L, route, options[i].name);
    }
    lua_pop(L, 1);
  }
}

/* ---- values ---- */

static double read_number(lua_State *L, const struct option *o) {
  double v;
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
    if (!o->can_be_off) ws_option_bad(L, o->name, "number");
    return -1;
  }
  if (lua_type(L, -1) != LUA_TNUMBER)
    ws_option_bad_number(L, o->name,
                         o->can_be_off ? "number or false" : "number");
  v = lua_tonumber(L, -1);
  bool is_whole = o->type != COUNT || v == floor(v);
  if (isnan(v) || v < o->least || !is_whole || (o->type == SECONDS && v <= 0) ||
      (o->most > 0 && v > o->most)) {
    lua_Number least = o->least;
    const char *kind = o->type == COUNT ? "a whole number" : "seconds";
    if (o->most > 0)
      lua_pushfstring(L, "%s from %I to %I", kind, (LUAI_UACINT)least,
                      (LUAI_UACINT)o->most);
    else if (o->type == SECONDS)
      lua_pushliteral(L, "seconds above 0");
    else
      lua_pushfstring(L, "%s of at least %I", kind, (LUAI_UACINT)least);
    lua_insert(L, -2);
    ws_option_bad(L, o->name, lua_tostring(L, -2));
  }
  return v;
}

static void read_rate(lua_State *L, const struct option *o,
                      struct ws_rate *rate) {
  static const char *const fields[] = {"burst", "rate", NULL};
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
    rate->burst = 0;
    return;
  }
  if (!lua_istable(L, -1))
    ws_option_bad(L, o->name, "{ burst =, rate = } or false");
  ws_option_fields(L, o->name, fields);
  bool has_burst = lua_getfield(L, -1, "burst") == LUA_TNUMBER;
  bool has_rate = lua_getfield(L, -2, "rate") == LUA_TNUMBER;
  double burst = lua_tonumber(L, -2), per_second = lua_tonumber(L, -1);
  lua_pop(L, 2);
  if (!has_burst || !has_rate || !(burst >= 1) || !(per_second >= 0))
    ws_option_bad(L, o->name, "{ burst =, rate = } with numbers");
  rate->burst = burst;
  rate->per_second = per_second;
}

static void store(void *base, const struct option *o, double v) {
  char *at = (char *)base + o->at;
  if (o->type == SECONDS)
    *(double *)(void *)at = v > 0 ? v : 0;
  else if (o->type == FLAG)
    *(bool *)(void *)at = v > 0;
  else if (o->type == COUNT)
    *(uint64_t *)(void *)at = v < 0 || v >= 9e18 ? WS_NO_LIMIT : (uint64_t)v;
  else
    *(struct ws_rate *)(void *)at = (struct ws_rate){v > 0 ? v : 0, o->most};
}

static void read_all(lua_State *L, int arg, enum place place, void *base) {
  for (size_t i = 0; i < N_OPTIONS; i++) {
    const struct option *o = &options[i];
    if (o->type == OTHER || o->place != place) continue;
    store(base, o, o->value);
    if (lua_getfield(L, arg, o->name) == LUA_TNIL) {
      lua_pop(L, 1);
      continue;
    }
    if (o->type == RATE) {
      read_rate(L, o, (void *)((char *)base + o->at));
    } else if (o->type == FLAG) {
      if (!lua_isboolean(L, -1)) ws_option_bad(L, o->name, "boolean");
      store(base, o, lua_toboolean(L, -1));
    } else {
      store(base, o, read_number(L, o));
    }
    lua_pop(L, 1);
  }
}

/* One of two words, the first of which is the default. */
static bool is_second(lua_State *L, int arg, const char *name,
                      const char *first, const char *second) {
  const char *word = ws_option_string(L, arg, name, first);
  bool is_it = strcmp(word, second) == 0;
  if (!is_it && strcmp(word, first) != 0)
    luaL_error(L, "bad option '%s' (\"%s\" or \"%s\" expected)", name, first,
               second);
  return is_it;
}

void ws_options_conn(lua_State *L, int arg, struct ws_conn_options *o) {
  read_all(L, arg, CONN, o);
  ws_options_compression(L, arg, &o->protocol);
  bool is_stream = ws_option_is_given(L, arg, "on_chunk");
  o->protocol.max_stream = ws_option_is_given(L, arg, "max_message")
                             ? o->protocol.max_message
                             : WS_NO_LIMIT;
  if (is_stream && ws_option_is_given(L, arg, "on_message"))
    luaL_error(L, "options 'on_message' and 'on_chunk' exclude each other");
  if (is_stream && o->concurrency > 1)
    luaL_error(L, "bad option 'concurrency' (1 expected, beside 'on_chunk')");
  o->close_when_full = is_second(L, arg, "on_full", "reject", "close");
  o->waits_for_rate = is_second(L, arg, "on_flood", "close", "wait");
  if (o->waits_for_rate &&
      (o->message_rate.burst <= 0 || o->message_rate.per_second <= 0))
    luaL_error(L, "option 'on_flood' needs 'message_rate' with a rate above 0");
  if (!ws_option_is_given(L, arg, "keepalive_timeout"))
    o->keepalive_timeout = o->keepalive_interval * 2; /* the 2 X rule */
  if (o->keepalive_timeout > 0 && o->keepalive_interval > 0 &&
      o->keepalive_timeout <= o->keepalive_interval * 1.1)
    luaL_error(L, "bad option 'keepalive_timeout' (above 1.1 times "
                  "'keepalive_interval' expected)");
  if (!ws_option_is_given(L, arg, "low_water"))
    o->low_water = o->high_water / 2;
  if (o->low_water > o->high_water)
    luaL_error(L, "bad option 'low_water' (not above 'high_water' expected)");
}

/* Descriptors are needed for more than connections. */
static uint64_t most_connections(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
    return WS_NO_LIMIT;
  return limit.rlim_cur > 128 ? limit.rlim_cur - 64 : limit.rlim_cur / 2;
}

/* http_keepalive on top of the stack. */
static void read_http_keepalive(lua_State *L, struct ws_http_options *o) {
  static const char name[] = "http_keepalive";
  static const char *const fields[] = {"timeout", "requests", NULL};
  int is_int = 1;
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
    o->keepalive_requests = 1;
    return;
  }
  if (!lua_istable(L, -1))
    ws_option_bad(L, name, "{ timeout =, requests = } or false");
  ws_option_fields(L, name, fields);
  if (lua_getfield(L, -1, "timeout") != LUA_TNIL) {
    o->keepalive_timeout = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(o->keepalive_timeout > 0))
      ws_option_bad(L, name, "a timeout in seconds above 0");
  }
  if (lua_getfield(L, -2, "requests") != LUA_TNIL) {
    lua_Integer n = lua_tointegerx(L, -1, &is_int);
    if (lua_type(L, -1) != LUA_TNUMBER || !is_int || n < 1)
      ws_option_bad(L, name, "a whole number of requests above 0");
    o->keepalive_requests = (uint64_t)n;
  }
  lua_pop(L, 2);
}

void ws_options_http(lua_State *L, int arg, struct ws_http_options *o) {
  read_all(L, arg, HTTP, o);
  if (!ws_option_is_given(L, arg, "max_connections"))
    o->max_connections = most_connections();
  o->keepalive_timeout = HTTP_KEEPALIVE_TIMEOUT;
  o->keepalive_requests = HTTP_KEEPALIVE_REQUESTS;
  if (lua_getfield(L, arg, "http_keepalive") != LUA_TNIL)
    read_http_keepalive(L, o);
  lua_pop(L, 1);
}

void ws_options_push_defaults(lua_State *L) {
  static const struct {
    const char *name, *value;
  } words[] = {{"hosts", "*"},
               {"on_flood", "close"},
               {"on_full", "reject"},
               {"origins", "*"}};
  lua_newtable(L);
  for (size_t i = 0; i < N_OPTIONS; i++) {
    const struct option *o = &options[i];
    if (o->type == OTHER) continue;
    if (o->type == FLAG || o->value < 0) {
      lua_pushboolean(L, o->value > 0);
    } else if (o->type == RATE) {
      lua_newtable(L);
      lua_pushinteger(L, (lua_Integer)o->value);
      lua_setfield(L, -2, "burst");
      lua_pushinteger(L, (lua_Integer)o->most);
      lua_setfield(L, -2, "rate");
    } else {
      lua_pushinteger(L, (lua_Integer)o->value);
    }
    lua_setfield(L, -2, o->name);
  }
  lua_newtable(L);
  lua_pushinteger(L, HTTP_KEEPALIVE_TIMEOUT);
  lua_setfield(L, -2, "timeout");
  lua_pushinteger(L, HTTP_KEEPALIVE_REQUESTS);
  lua_setfield(L, -2, "requests");
  lua_setfield(L, -2, "http_keepalive");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "compression");
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    lua_pushstring(L, words[i].value);
    lua_setfield(L, -2, words[i].name);
  }
}
