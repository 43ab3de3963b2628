/* lua_server.c: ws.listen and the server object. */
#include "binding/lua_server.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "binding/anchors.h"
#include "binding/log.h"
#include "binding/lua_backplane.h"
#include "binding/lua_presence.h"
#include "binding/lua_route.h"
#include "binding/lua_stats.h"
#include "binding/lua_hear.h"
#include "binding/lua_history.h"
#include "binding/lua_topic.h"
#include "binding/lua_view.h"
#include "binding/option_lists.h"
#include "binding/options.h"
#include "binding/task.h"
#include "binding/tls_options.h"
#include "binding/worker.h"
#include "engine/farewell.h"
#include "engine/server.h"
#include "engine/server_log.h"
#include "engine/topic.h"
#include "protocol/utf8.h"

#define CLOSE_TIMEOUT 10.0 /* seconds */

/* Nothing of it is left: the object is an ordinary one from now on. Its
 * handlers, which may name it, are let go: no connection will ask for them. */
void ws_server_gone(struct ws_server *s) {
  struct lua_server *ls = WS_LIST_ENTRY(s, struct lua_server, s);
  struct ws_state *st = ws_state_of_loop(s->loop);
  lua_State *L = ws_state_thread(st);
  ws_list_remove(&ls->link);
  ws_topics_stop(s);
  ws_topics_leave(s);
  ws_worker_unlisten(ls);
  ws_share_leave(s);
  ws_log_server(st, "server_closed", s); /* while it cannot be collected */
  while (ls->waiting) ws_task_wake(ls->waiting, WS_WAKE_DONE);
  ws_object_drop(L, st, ls);
  if (!lua_checkstack(L, 3)) return;
  ws_route_unref(L, ls);
  ws_view_unref(L, ls);
}

/* ---- listen ---- */

static char *copy(lua_State *L, const char *text) {
  size_t n = strlen(text) + 1;
  char *p = ws_mem_alloc(n);
  if (p)
    memcpy(p, text, n);
  else
    luaL_error(L, "not enough memory");
  return p;
}

/* Three octal digits, or four with 0 in front, as chmod takes them. */
static int read_mode(lua_State *L) {
  const char *text = ws_option_string(L, 1, "unix_mode", NULL);
  if (!text) return 0;
  const char *digits = text[0] == '0' && strlen(text) == 4 ? text + 1 : text;
  if (strlen(digits) != 3 || strspn(digits, "01234567") != 3 ||
      strcmp(digits, "000") == 0) {
    lua_getfield(L, 1, "unix_mode");
    ws_option_bad(L, "unix_mode", "octal digits as \"660\"");
  }
  return (int)strtol(digits, NULL, 8);
}

/* In a worker the supervisor opens what is listened on, unless it is said
 * otherwise. */
static bool read_shared(lua_State *L, const struct ws_net_listen *what) {
  bool is_own = what->reuse_port || what->has_fd;
  bool is_shared = ws_option_bool(L, 1, "shared", !is_own);
  if (is_shared && is_own)
    luaL_error(L, "options 'shared' and '%s' exclude each other",
               what->has_fd ? "fd" : "reuse_port");
  return is_shared && ws_state_of(L)->worker;
}

/* One of port, unix and fd tells where to listen. */
static void read_place(lua_State *L, struct ws_net_listen *what) {
  what->unix_path = ws_option_string(L, 1, "unix", NULL);
  what->unix_mode = read_mode(L);
  what->host = ws_option_string(L, 1, "host", "localhost");
  what->port = (int)ws_option_integer(L, 1, "port", -1, 0, 65535);
  what->backlog = (int)ws_option_integer(L, 1, "backlog", 1024, 1, 65535);
  what->reuse_port = ws_option_bool(L, 1, "reuse_port", false);
  what->fd = (int)ws_option_integer(L, 1, "fd", -1, 0, INT_MAX);
  what->has_fd = what->fd >= 0;
  if (what->port < 0 && !what->unix_path && !what->has_fd)
    luaL_error(L, "option 'port' is missing (0 is any free port)");
  if (what->unix_mode && !what->unix_path)
    luaL_error(L, "option 'unix_mode' needs 'unix'");
  if (what->unix_path && what->port >= 0)
    luaL_error(L, "options 'port' and 'unix' exclude each other");
  if (what->has_fd && (what->unix_path || what->port >= 0))
    luaL_error(L, "option 'fd' excludes 'port' and 'unix'");
}

static void read_options(lua_State *L, struct ws_server *s,
                         struct ws_net_listen *what, bool *is_shared) {
  read_place(L, what);
  *is_shared = read_shared(L, what);
  ws_options_conn(L, 1, &s->route.options);
  ws_options_http(L, 1, &s->http);
  ws_options_origins(L, 1, &s->route);
  ws_options_hosts(L, 1, s);
  ws_options_proxies(L, 1, s);
  ws_options_subprotocols(L, 1, &s->route.subprotocols);
  s->address = copy(L, what->unix_path ? what->unix_path : what->host);
  if (what->unix_path) s->unix_path = copy(L, what->unix_path);
}

/* A server object on the stack, with its handlers; nothing is opened yet. */
static struct lua_server *new_server(lua_State *L, struct ws_state *st) {
  struct lua_server *ls = lua_newuserdatauv(L, sizeof *ls, UV_SERVER_COUNT);
  struct ws_server *s = &ls->s;
  memset(ls, 0, sizeof *ls);
  ws_list_init(&ls->link);
  s->loop = &st->loop;
  s->is_gone = true;
  s->host = s->route.host = &st->host;
  s->route.server = s;
  s->route.user = LUA_NOREF;
  luaL_setmetatable(L, WS_SERVER_NAME);
  ws_server_mark(ls, true);
  return ls;
}

/* The server at index 2 keeps what it will read again for a reload. */
static bool load_tls(lua_State *L, struct ws_server *s,
                     char problem[WS_TLS_WHY_MAX]) {
  struct ws_tls_settings tls;
  if (!ws_options_tls(L, 1, "tls", "listen", WS_FOR_LISTEN, &tls)) return true;
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 2, UV_TLS);
  s->tls = ws_tls_context_new(&tls, problem);
  return s->tls != NULL;
}

/* The handlers of its own route, and those of the others. 2: the server. */
static void read_routes(lua_State *L, struct lua_server *ls) {
  struct ws_server *s = &ls->s;
  ws_options_push_handlers(L, 1);
  s->tells_presence = ws_option_is_given(L, 3, "on_presence");
  s->route.asks_request = ws_option_is_given(L, 3, "on_request");
  s->route.asks_upgrade |= ws_option_is_given(L, 3, "on_upgrade");
  s->route.user = luaL_ref(L, LUA_REGISTRYINDEX);
  ws_route_read(L, ls);
}

static int cannot_listen(lua_State *L, const struct ws_net_listen *what,
                         const char *why, int error) {
  lua_pushnil(L);
  if (what->unix_path)
    lua_pushfstring(L, "cannot listen on %s: %s", what->unix_path, why);
  else if (what->has_fd)
    lua_pushfstring(L, "cannot listen on descriptor %d: %s", what->fd, why);
  else
    lua_pushfstring(L, "cannot listen on %s port %d: %s", what->host,
                    what->port < 0 ? 0 : what->port, why);
  lua_pushinteger(L, error);
  return 3;
}

/* 0, or a negated errno and why. */
static int start(struct ws_state *st, struct lua_server *ls,
                 struct ws_net_listen *what, bool is_shared, const char **why,
                 char text[WS_WORKER_WHY_MAX]) {
  int r, key;
  if (is_shared && (r = ws_worker_listen(st->worker, what, &key, text)) < 0) {
    *why = text;
    return r;
  }
  if ((r = ws_server_start(&ls->s, &st->loop, what, why)) < 0) return r;
  if (is_shared) ws_worker_listens(st->worker, ls, key);
  ls->s.is_gone = false;
  ls->is_started = true;
  if (what->has_fd) ws_server_read_address(&ls->s);
  ws_list_append(&st->servers, &ls->link);
  return 0;
}

int ws_lua_listen(lua_State *L) {
  ws_state_check_dot(L, "listen");
  struct ws_state *st = ws_state_of(L);
  struct ws_net_listen what = {.host = NULL};
  char problem[WS_TLS_WHY_MAX], text[WS_WORKER_WHY_MAX];
  bool is_shared;
  const char *why = NULL;
  lua_settop(L, 1);
  ws_state_check_fork(L, st);
  ws_task_check_opener(L);
  ws_options_check(L, 1, "listen", WS_FOR_LISTEN);
  struct lua_server *ls = new_server(L, st);
  struct ws_server *s = &ls->s;
  read_options(L, s, &what, &is_shared);
  ws_history_read(L, 1, ls);
  read_routes(L, ls);
  if (!load_tls(L, s, problem)) {
    lua_pushnil(L);
    lua_pushstring(L, problem);
    return 2;
  }
  lua_settop(L, 2);
  if (!ws_option_backplane(L, 1)) {
    lua_pushnil(L);
    lua_replace(L, -3);
    return 2;
  }
  ws_backplane_join(L, -1, s);
  s->warned_alone = ws_option_is_given(L, 1, "backplane");
  lua_settop(L, 2);
  ws_object_keep(L, st, ls, 2);
  int r = start(st, ls, &what, is_shared, &why, text);
  if (r < 0) {
    ws_object_drop(L, st, ls);
    return cannot_listen(L, &what, why ? why : strerror(-r), -r);
  }
  ws_server_warn(s);
  ws_log_server(st, "listening", s);
  return 1;
}

/* ---- methods ---- */

static int close_k(lua_State *L, const struct ws_woken *w) {
  struct lua_server *ls = ws_check_server(L, 1);
  (void)w;
  if (ls->s.is_gone && !ls->s.was_cut) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, ls->s.is_gone ? "timeout" : "interrupted");
  return 2;
}

static const char *const close_options[] = {"code", "reason", "timeout", NULL};

static double read_timeout(lua_State *L) {
  double seconds = CLOSE_TIMEOUT;
  if (lua_getfield(L, 2, "timeout") != LUA_TNIL) {
    seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
      luaL_error(L,
                 "bad option 'timeout' (seconds of at least 0 expected, "
                 "got %s)",
                 ws_option_got_number(L, -1));
  }
  lua_pop(L, 1);
  return seconds;
}

static void read_close(lua_State *L, int *code, struct ws_slice *reason,
                       double *timeout) {
  *code = 1001;
  *timeout = CLOSE_TIMEOUT;
  *reason = (struct ws_slice){"", 0};
  if (lua_isnoneornil(L, 2)) return;
  luaL_checktype(L, 2, LUA_TTABLE);
  ws_option_names(L, 2, "close", close_options);
  *code = (int)ws_option_integer(L, 2, "code", 1001, 1000, 4999);
  if (!ws_protocol_may_send_code(*code))
    luaL_error(L, "bad option 'code' (a close code that may be sent "
                  "expected)");
  const char *text = ws_option_string(L, 2, "reason", "");
  *reason = (struct ws_slice){text, strlen(text)};
  if (reason->n > WS_REASON_MAX || !ws_utf8_is_valid(text, reason->n))
    luaL_error(L, "bad option 'reason' (at most 123 bytes of UTF-8 expected)");
  *timeout = read_timeout(L);
}

static int server_close(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  struct lua_server *ls = ws_check_server(L, 1);
  struct ws_task here, *t = NULL;
  struct ws_slice reason;
  double timeout;
  int code;
  ws_state_check_fork(L, st);
  read_close(L, &code, &reason, &timeout);
  lua_settop(L, 2);
  if (!ls->s.is_gone && ls->s.n_conns) t = ws_task_waiter(L, st, &here);
  ws_worker_unlisten(ls);
  ws_farewell_begin(&ls->s, code, reason, timeout);
  /* the backlog may have held somebody after all */
  if (!ls->s.is_gone && !t && ws_task_can_wait(L, st))
    t = ws_task_waiter(L, st, &here);
  if (ls->s.is_gone || !t) {
    lua_pushboolean(L, true);
    return 1;
  }
  ws_task_wait_in(t, &ls->waiting);
  return ws_task_wait(L, st, t, close_k);
}

/* A variable goes out of scope, perhaps with an error as the 2nd argument:
 * closes, and waits where that is possible. */
static int server_leave(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  lua_settop(L, 1);
  if (s->loop && ws_loop_is_forked(s->loop)) return 0;
  if (ws_task_can_wait(L, ws_state_of(L))) return server_close(L);
  ws_farewell_begin(s, 1001, (struct ws_slice){"", 0}, CLOSE_TIMEOUT);
  return 0;
}

/* Connections that are open keep the certificates they began with. */
static int server_reload_tls(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  char problem[WS_TLS_WHY_MAX];
  struct ws_tls_settings tls;
  ws_state_check_fork(L, ws_state_of(L));
  if (lua_getiuservalue(L, 1, UV_TLS) != LUA_TTABLE)
    return luaL_error(L, "cannot reload: the server has no option 'tls'");
  ws_options_tls_settings(L, lua_gettop(L), &tls);
  struct ws_tls_context *fresh = NULL;
  if (!s->is_closing && !s->is_gone) fresh = ws_tls_context_new(&tls, problem);
  if (!fresh) {
    lua_pushnil(L);
    lua_pushstring(L, s->is_closing || s->is_gone ? "closed" : problem);
    return 2;
  }
  ws_tls_context_release(s->tls);
  s->tls = fresh;
  lua_pushboolean(L, true);
  return 1;
}

static int server_index(lua_State *L) {
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  struct ws_server *s = &ws_check_server(L, 1)->s;
  const char *key = lua_tostring(L, 2);
  if (!key) return 0;
  if (strcmp(key, "port") == 0 && s->port > 0)
    lua_pushinteger(L, s->port);
  else if (strcmp(key, "host") == 0)
    lua_pushstring(L, s->address);
  else if (strcmp(key, "connections") == 0)
    lua_pushinteger(L, (lua_Integer)s->n_open);
  else
    return 1;
  return 1;
}

static int server_newindex(lua_State *L) {
  return luaL_error(L, "cannot set '%s' of a server (ws.listen takes options)",
                    luaL_tolstring(L, 2, NULL));
}

static int server_tostring(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  const char *state = s->is_gone      ? "closed"
                      : s->is_closing ? "closing"
                                      : "listening";
  if (s->port <= 0)
    lua_pushfstring(L, WS_SERVER_NAME ": %s (%s)", s->address, state);
  else
    lua_pushfstring(L, WS_SERVER_NAME ": %s:%d (%s)", s->address, s->port,
                    state);
  return 1;
}

/* The commonest way to serve nobody; said once. */
static void warn_unserved(lua_State *L, const struct ws_server *s) {
  struct ws_state *st = ws_state_of(L);
  if (st->has_turned || ws_loop_is_forked(s->loop)) return;
  st->has_turned = true;
  ws_log_warning(st, "warning",
                 "the program ended with a server listening; ws.run() serves "
                 "it");
}

/* Only when the state is closed, or when listening failed: a server that
 * listens is anchored. Connections have had their own __gc before. */
static int server_gc(lua_State *L) {
  struct lua_server *ls = ws_check_server(L, 1);
  struct ws_server *s = &ls->s;
  if (s->loop && ws_loop_is_forked(s->loop)) { /* the parent's file */
    ws_mem_free(s->unix_path);
    s->unix_path = NULL;
  }
  if (ls->is_started && !s->is_gone) {
    warn_unserved(L, s);
    ws_server_abandon(s);
  }
  ws_list_remove(&ls->link);
  ls->s.is_gone = true;
  ws_route_unref(L, ls);
  ws_view_unref(L, ls);
  ws_server_free(s);
  ws_server_mark(ls, false);
  return 0;
}

void ws_open_server(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", server_close},
                                     {"metrics", ws_server_metrics},
                                     {"stats", ws_server_stats},
                                     {"route", ws_route_add},
                                     {"reload_tls", server_reload_tls},
                                     {"hear", ws_server_hear},
                                     {"view", ws_server_view},
                                     {"history", ws_server_history},
                                     {"reset", ws_server_reset},
                                     {"presence", ws_server_presence},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", server_gc},
                                  {"__close", server_leave},
                                  {"__newindex", server_newindex},
                                  {"__tostring", server_tostring},
                                  {NULL, NULL}};
  luaL_newmetatable(L, WS_SERVER_NAME);
  luaL_setfuncs(L, meta, 0);
  lua_pushliteral(L, WS_SERVER_NAME);
  lua_setfield(L, -2, "__metatable");
  luaL_newlib(L, methods);
  luaL_setfuncs(L, ws_topic_server_methods, 0);
  lua_pushcclosure(L, server_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
