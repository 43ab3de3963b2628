/* lua_client.c: ws.connect. */
#include "binding/lua_client.h"

#include <string.h>

#include "binding/anchors.h"
#include "binding/answer_table.h"
#include "binding/fields.h"
#include "binding/option_lists.h"
#include "binding/option_proxy.h"
#include "binding/option_reconnect.h"
#include "binding/options.h"
#include "binding/task.h"
#include "binding/tls_client.h"
#include "binding/tls_options.h"
#include "engine/retry.h"
#include "protocol/http.h"

#define URL_MAX 32768        /* bytes */
#define CONNECT_TIMEOUT 30.0 /* seconds */

/* Scheme, host and port of a URL, 1: the path may hold a secret. */
static void push_address(lua_State *L) {
  struct ws_slice text;
  text.p = lua_tolstring(L, 1, &text.n);
  size_t scheme = strcspn(text.p, ":") + 1;
  if (strncmp(text.p + scheme, "//", 2) == 0) scheme += 2;
  bool is_unix = text.n > 3 && text.p[2] == '+';
  lua_pushlstring(L, text.p,
                  scheme + strcspn(text.p + scheme, is_unix ? ":" : "/?"));
}

static int failure(lua_State *L, struct lua_conn *lc) {
  struct ws_slice reason = ws_conn_reason(&lc->c);
  push_address(L);
  lua_pushlstring(L, reason.p, reason.n);
  lua_pushfstring(L, "cannot connect to %s: %s", lua_tostring(L, -2),
                  lua_tostring(L, -1));
  lua_pushnil(L);
  lua_insert(L, -2);
  if (lc->c.rare && lc->c.rare->status)
    lua_pushinteger(L, lc->c.rare->status);
  else
    lua_pushnil(L);
  ws_push_answer(L, &lc->c);
  return 4;
}

/* Nobody would hear of it. */
static void give_up(void *lc) {
  ws_conn_cut(&((struct lua_conn *)lc)->c, 1006, "cancelled");
}

static int connect_k(lua_State *L, const struct ws_woken *w) {
  struct lua_conn *lc = ws_check_conn(L, -1);
  if (w->why == WS_WAKE_DONE) return 1;
  ws_retry_end(&lc->c); /* nobody has it */
  if (w->why == WS_WAKE_CLOSED) return failure(L, lc);
  ws_conn_cut(&lc->c, 1006, "interrupted");
  lua_pushnil(L);
  lua_pushliteral(L, "interrupted");
  return 2;
}

/* "a, b" from the list option, checked; pushes the string. */
static struct ws_slice push_subprotocols(lua_State *L, int arg,
                                         struct ws_strings *list) {
  struct ws_slice text;
  luaL_Buffer b;
  ws_options_subprotocols(L, arg, list);
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < list->n; i++) {
    if (i) luaL_addstring(&b, ", ");
    luaL_addstring(&b, list->list[i]);
  }
  luaL_pushresult(&b);
  text.p = lua_tolstring(L, -1, &text.n);
  return text;
}

static struct ws_slice push_origin(lua_State *L, int arg) {
  const char *text = ws_option_string(L, arg, "origin", "");
  struct ws_slice origin = {text, strlen(text)};
  if (!ws_http_is_value(origin) || strpbrk(text, " \t,"))
    luaL_error(L, "bad option 'origin' (an origin expected, got %s)", text);
  return origin;
}

/* "localhost:5000/ws", "http://a", "ws:/a": pushes what was meant, or
 * nothing. */
static bool push_meant(lua_State *L, const char *text) {
  static const char *const said[] = {"http://", "https://", "ws:/", "wss:/",
                                     "ws//",    "wss//",    NULL};
  struct ws_url url;
  const char *why, *scheme = "ws://", *rest = text;
  int i = 0;
  while (said[i] && strncmp(text, said[i], strlen(said[i])) != 0) i++;
  if (said[i]) {
    scheme = i % 2 ? "wss://" : "ws://";
    rest = text + strlen(said[i]);
  } else if (strstr(text, "://")) {
    return false;
  }
  struct ws_slice meant;
  lua_pushfstring(L, "%s%s", scheme, rest);
  meant.p = lua_tolstring(L, -1, &meant.n);
  return ws_url_parse(meant, &url, &why);
}

static void parse_url(lua_State *L, struct ws_url *url) {
  const char *why = "";
  struct ws_slice text;
  text.p = luaL_checklstring(L, 1, &text.n);
  if (text.n > URL_MAX) luaL_argerror(L, 1, "bad URL: too long");
  if (ws_url_parse(text, url, &why)) return;
  if (strcmp(why, WS_URL_NO_SCHEME) == 0 && push_meant(L, text.p))
    luaL_argerror(L, 1,
                  lua_pushfstring(L, "bad URL: %s (did you mean \"%s\"?)", why,
                                  lua_tostring(L, -1)));
  luaL_argerror(L, 1, lua_pushfstring(L, "bad URL: %s", why));
}

static double read_timeout(lua_State *L) {
  double seconds = CONNECT_TIMEOUT;
  if (lua_getfield(L, 2, "timeout") == LUA_TBOOLEAN && !lua_toboolean(L, -1))
    seconds = 0;
  else if (!lua_isnil(L, -1)) {
    seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds > 0))
      luaL_error(L, "bad option 'timeout' (seconds above 0 expected, got %s)",
                 ws_option_got_number(L, -1));
  }
  lua_pop(L, 1);
  return seconds;
}

/* A connection object at index 4 whose route holds the options; both are
 * freed by its __gc, whatever happens from here on. */
static struct lua_conn *new_client(lua_State *L, struct ws_state *st) {
  ws_options_push_handlers(L, 2);
  struct lua_conn *lc = ws_anchor_object(L, st, 3);
  struct ws_route *route = ws_retry_prepare(&lc->c, &st->host);
  if (!route) luaL_error(L, "not enough memory");
  ws_options_conn(L, 2, &route->options);
  if (!ws_option_is_given(L, 2, "read_ahead"))
    route->options.read_ahead = true; /* its queue grows by its own will */
  lc->c.is_unheard = true;
  return lc;
}

static void read_options(lua_State *L, struct lua_conn *lc,
                         struct ws_client_request *what) {
  static const struct ws_reconnect usual = {1, 30, 0.5};
  struct ws_fields f = {.has_type = false};
  what->origin = push_origin(L, 2);
  what->timeout = read_timeout(L);
  if (!ws_options_reconnect(L, 2, &usual, &what->reconnect))
    what->reconnect.initial = 0;
  ws_options_proxy(L, 2, &what->url, &what->proxy);
  what->subprotocols = push_subprotocols(L, 2, &lc->c.route->subprotocols);
  lua_getfield(L, 2, "headers");
  if (!ws_push_fields(L, lua_gettop(L), &f))
    luaL_error(L, "bad option 'headers' (%s)", lua_tostring(L, -1));
  what->fields.p = lua_tolstring(L, -1, &what->fields.n);
}

/* How the server and the proxy in front of it speak TLS, if they do. */
struct both {
  struct ws_tls_settings server, proxy;
};

static void read_both(lua_State *L, struct both *b,
                      struct ws_client_request *what) {
  ws_options_tls(L, 2, "tls", "connect", WS_FOR_CONNECT, &b->server);
  what->server_name = ws_options_tls_name(L, "tls");
  ws_options_tls(L, 2, "proxy_tls", "connect", WS_FOR_CONNECT, &b->proxy);
  what->proxy.name = ws_options_tls_name(L, "proxy_tls");
}

/* False, and the problem: the caller has no context then. */
static bool open_both(struct ws_state *st, const struct both *b,
                      struct ws_client_request *what,
                      char problem[WS_TLS_WHY_MAX]) {
  if (what->url.is_secure &&
      !(what->tls = ws_tls_client_open(st, &b->server, problem)))
    return false;
  if (what->proxy.is_secure)
    what->proxy.tls = ws_tls_client_open(st, &b->proxy, problem);
  if (!what->proxy.is_secure || what->proxy.tls) return true;
  ws_tls_context_release(what->tls);
  return false;
}

/* 2: the options, which may be absent. */
static void check_options(lua_State *L) {
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  ws_options_check(L, 2, "connect", WS_FOR_CONNECT);
}

/* False without memory: it is no connection then. */
static bool start(struct ws_state *st, struct lua_conn *lc,
                  struct ws_client_request *what) {
  bool ok = ws_retry_start(&lc->c, &st->loop, ++st->loop.last_id, what);
  ws_tls_context_release(what->tls);
  ws_tls_context_release(what->proxy.tls);
  if (!ok) ws_anchor_drop(st, lc);
  return ok;
}

int ws_lua_connect(lua_State *L) {
  ws_state_check_dot(L, "connect");
  struct ws_state *st = ws_state_of(L);
  struct ws_client_request what = {.timeout = 0};
  struct both tls;
  char problem[WS_TLS_WHY_MAX];
  struct ws_task here, *t = NULL;
  parse_url(L, &what.url);
  check_options(L);
  ws_state_check_fork(L, st);
  bool is_async = ws_option_is_given(L, 2, "on_open");
  if (is_async)
    ws_task_check_opener(L);
  else
    t = ws_task_waiter(L, st, &here);
  struct lua_conn *lc = new_client(L, st);
  read_options(L, lc, &what);
  what.is_awaited = !is_async;
  read_both(L, &tls, &what);
  ws_anchor_add(L, st, 4);
  if (!open_both(st, &tls, &what, problem)) {
    ws_anchor_drop(st, lc);
    lua_pushnil(L);
    lua_pushstring(L, problem);
    return 2;
  }
  if (!start(st, lc, &what)) return luaL_error(L, "not enough memory");
  lua_settop(L, 4);
  if (is_async) return 1;
  ws_task_wait_on(t, lc, WS_FOR_OPEN);
  t->undo = give_up;
  t->undone = lc;
  return ws_task_wait(L, st, t, connect_k);
}
