/* host.c: what rises from the engine, as calls of Lua handlers. Each entry
 * makes a task whose body, a C function, pushes the arguments and calls. */
#include <stdio.h>
#include <string.h>

#include "binding/log.h"
#include "binding/task.h"
#include "engine/client.h"
#include "engine/response.h"
#include "engine/retry.h"

static struct ws_engine *engine_of(const struct ws_conn *c) {
  return ws_engine_of_loop(c->stream.loop);
}

static struct lua_conn *lua_of(struct ws_conn *c) {
  return WS_LIST_ENTRY(c, struct lua_conn, c);
}

struct ws_task *ws_host_task(struct lua_conn *lc, lua_CFunction body) {
  struct ws_task *t = ws_task_new(engine_of(&lc->c));
  if (!t) {
    ws_conn_cut(&lc->c, 1006, "out of memory");
    return NULL;
  }
  ws_task_set_conn(t, lc);
  lua_pushcfunction(t->co, body);
  lua_pushlightuserdata(t->co, lc);
  return t;
}

static bool start(struct lua_conn *lc, lua_CFunction body) {
  struct ws_task *t = ws_host_task(lc, body);
  if (t) ws_task_start(t, 1);
  return t != NULL;
}

struct lua_conn *ws_host_take_conn(lua_State *L) {
  struct lua_conn *lc = lua_touserdata(L, 1);
  ws_anchor_push(L, engine_of(&lc->c), lc);
  lua_replace(L, 1);
  return lc;
}

/* ---- opening and closing ---- */

void ws_host_open_done(struct lua_conn *lc) {
  struct ws_conn *c = &lc->c;
  if (lc->is_opened) return;
  lc->is_opened = true;
  bool is_pulled = lc->is_pulled && !lc->was_callback;
  if (c->mode == WS_PULL)
    c->mode = lc->has_on_message && !is_pulled ? WS_CALLBACK
                                               : ws_mode_without_handler(lc);
  ws_conn_resume(c);
}

static void open_done(struct ws_task *t, bool ok) {
  (void)ok;
  /* the on_open of a connection that was lost meanwhile has no say */
  if (t->n == t->conn->opens) ws_host_open_done(t->conn);
}

/* As the first time: whoever receives in on_open gets the messages. */
static void reopened(struct lua_conn *lc) {
  if (lc->opens++ == 0) return;
  lc->was_callback = lc->c.mode == WS_CALLBACK;
  lc->is_opened = false;
  lc->c.mode = WS_PULL;
}

static int after_call(lua_State *L, int status, lua_KContext ctx) {
  (void)L;
  (void)status;
  (void)ctx;
  return 0;
}

static int open_body(lua_State *L) {
  struct lua_conn *lc = ws_host_take_conn(L);
  ws_route_take(L, lc);
  ws_handlers_opened(L, lc);
  ws_push_handler(L, 1, "on_open");
  if (lua_isnil(L, -1)) return 0;
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 0, 0, after_call);
  return 0;
}

static void opened(struct ws_conn *c) {
  struct lua_conn *lc = lua_of(c);
  struct ws_task *t = lc->waiting, *next, *body;
  if (!(body = ws_host_task(lc, open_body))) {
    lc->is_untold = !c->is_client; /* of a client: an attempt that failed */
    return;
  }
  reopened(lc);
  body->done = open_done;
  body->n = lc->opens;
  ws_task_start(body, 1);
  for (; t; t = next) {
    next = t->next;
    if (t->wait_for == WS_FOR_OPEN) ws_task_wake_now(t, WS_WAKE_DONE);
  }
}

static void on_opened(struct ws_conn *c) {
  ws_log_opened(engine_of(c), c);
  opened(c);
}

static int close_body(lua_State *L) {
  struct lua_conn *lc = ws_host_take_conn(L);
  ws_push_handler(L, 1, "on_close");
  if (lua_isnil(L, -1)) return 0;
  struct ws_slice reason = ws_conn_reason(&lc->c);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, ws_conn_code(&lc->c));
  lua_pushlstring(L, reason.p, reason.n);
  lua_callk(L, 3, 0, 0, after_call);
  return 0;
}

/* Those that wait now. One that is woken may wait again at once, behind them,
 * for the next connection of a client that reconnects. */
static void on_ended(struct ws_conn *c) {
  struct lua_conn *lc = lua_of(c);
  size_t n = 0;
  for (struct ws_task *t = lc->waiting; t; t = t->next) n++;
  while (n-- && lc->waiting) ws_task_wake_now(lc->waiting, WS_WAKE_CLOSED);
}

/* Whoever waits to receive goes on waiting when only an attempt failed. */
static bool on_closed(struct ws_conn *c) {
  if (c->was_opened || !ws_retry_is_due(c)) on_ended(c);
  bool is_told = lua_of(c)->is_untold || start(lua_of(c), close_body);
  if (is_told) ws_log_closed(engine_of(c), c);
  return is_told;
}

static int drain_body(lua_State *L) {
  ws_host_take_conn(L);
  ws_push_handler(L, 1, "on_drain");
  if (lua_isnil(L, -1)) return 0;
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 0, 0, after_call);
  return 0;
}

static void on_drained(struct ws_conn *c, bool was_high) {
  struct lua_conn *lc = lua_of(c);
  struct ws_task *t = lc->waiting, *next;
  for (; t; t = next) {
    next = t->next;
    if (t->wait_for == WS_FOR_DRAIN) ws_task_wake(t, WS_WAKE_DONE);
  }
  if (was_high) start(lc, drain_body);
}

/* ---- errors ---- */

static int default_error(lua_State *L) {
  ws_log_print("", lua_tostring(L, 3), true);
  return 0;
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* The text of the error value at an index, whose __tostring may fail. */
static void push_text(lua_State *L, int index) {
  lua_pushcfunction(L, to_text);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
}

/* Arguments: connection or NULL, the thread that failed, its error value.
 * Calls on_error(conn, message, traceback). */
static int error_body(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  lua_State *from = lua_touserdata(L, 2);
  bool has_conn = lua_touserdata(L, 1) != NULL;
  if (has_conn)
    ws_host_take_conn(L);
  else
    lua_pushnil(L), lua_replace(L, 1);
  push_text(L, 3);
  ws_log_error(e, has_conn ? &ws_check_conn(L, 1)->c : NULL,
               lua_tostring(L, -1));
  luaL_traceback(L, from, lua_tostring(L, -1), 0); /* 1 . 3 message trace */
  lua_pushnil(L);
  if (has_conn) ws_push_handler(L, 1, "on_error");
  if (lua_isnil(L, -1)) lua_rawgeti(L, LUA_REGISTRYINDEX, e->on_error);
  if (!lua_isfunction(L, -1)) lua_pushcfunction(L, default_error);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 4);
  lua_pushvalue(L, 5);
  lua_callk(L, 3, 0, 0, after_call);
  return 0;
}

void ws_host_error(struct ws_engine *e, struct lua_conn *lc, lua_State *from,
                   bool is_last) {
  struct ws_task *t = is_last ? NULL : ws_task_new(e);
  bool has_room = t && lua_checkstack(t->co, 8) && lua_checkstack(from, 1);
  if (t && !has_room) ws_task_discard(t);
  if (has_room) {
    t->is_error = true;
    if (lc) ws_task_set_conn(t, lc);
    lua_pushcfunction(t->co, error_body);
    lua_pushlightuserdata(t->co, lc);
    lua_pushlightuserdata(t->co, from);
    lua_pushvalue(from, -1);
    lua_xmove(from, t->co, 1);
    ws_task_start(t, 3);
  } else {
    const char *text = lua_type(from, -1) == LUA_TSTRING
                         ? lua_tostring(from, -1)
                         : "an error that is no string";
    ws_log_print("error in an error handler: ", text, true);
  }
  if (lc) ws_conn_fail(&lc->c, 1011, "handler error");
}

/* ---- objects ---- */

struct making {
  struct ws_engine *e;
  int handlers;
  struct lua_conn *made;
};

static int make_conn(lua_State *L) {
  struct making *m = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->handlers);
  m->made = ws_anchor_object(L, m->e, 2);
  ws_anchor_add(L, m->e, 3);
  return 0;
}

static struct ws_conn *on_new(struct ws_host *host, struct ws_server *s) {
  struct ws_engine *e = WS_LIST_ENTRY(host, struct ws_engine, host);
  struct making m = {.e = e, .handlers = s->route.user};
  if (!ws_engine_protect(e, make_conn, &m)) return NULL;
  m.made->c.is_freed = false;
  return &m.made->c;
}

static void on_free(struct ws_conn *c) {
  struct lua_conn *lc = lua_of(c);
  on_ended(c); /* ended between two attempts */
  if (lc->tasks == 0) ws_anchor_drop(engine_of(c), lc);
}

static void on_server_gone(struct ws_server *s) {
  struct lua_server *ls = WS_LIST_ENTRY(s, struct lua_server, s);
  ws_server_wake(ws_engine_of_loop(s->loop), ls);
  ws_log_server(ws_engine_of_loop(s->loop), "server_closed", s);
}

void ws_host_fill(struct ws_host *host) {
  *host = (struct ws_host){
    .new_conn = on_new,
    .free_conn = on_free,
    .request = ws_host_request,
    .opened = on_opened,
    .readable = ws_deliver_readable,
    .control = ws_deliver_control,
    .drained = on_drained,
    .ended = on_ended,
    .closed = on_closed,
    .server_gone = on_server_gone,
  };
  ws_log_fill(host);
}
