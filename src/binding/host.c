/* host.c: what rises from the engine, as calls of Lua handlers. Each entry
 * makes a task whose body, a C function, pushes the arguments and calls. */
#include "binding/host.h"

#include "binding/anchors.h"
#include "binding/collect.h"
#include "binding/conn_handlers.h"
#include "binding/conn_task.h"
#include "binding/deliver.h"
#include "binding/log.h"
#include "binding/lua_body.h"
#include "binding/lua_closing.h"
#include "binding/lua_hear.h"
#include "binding/lua_presence.h"
#include "binding/lua_request.h"
#include "binding/lua_route.h"
#include "binding/lua_server.h"
#include "binding/lua_timer.h"
#include "binding/lua_view.h"
#include "engine/conn_flow.h"
#include "engine/retry.h"

/* ---- opening and closing ---- */

static void greeted(struct lua_conn *lc) {
  struct ws_conn *c = &lc->c;
  if (lc->is_greeted) return;
  lc->is_greeted = true;
  bool is_pulled = lc->is_pulled && !lc->was_callback;
  if (c->mode == WS_PULL)
    c->mode = lc->has_on_message && !is_pulled ? WS_CALLBACK
                                               : ws_mode_without_handler(lc);
  ws_conn_resume(c);
}

/* No memory for on_open. Of a client: an attempt that failed. */
static void not_opened(struct lua_conn *lc) {
  lc->is_untold = !ws_conn_is_client(&lc->c);
  ws_conn_cut(&lc->c, 1006, "out of memory");
}

static void open_done(struct ws_task *t, bool ok) {
  struct lua_conn *lc = t->conn;
  (void)ok;
  if (t->is_unbegun) {
    lc->opens--;
    not_opened(lc);
  } else if (t->n == lc->opens) { /* else it was lost meanwhile: no say */
    greeted(lc);
  }
}

/* As the first time: whoever receives in on_open gets the messages. */
static void reopened(struct lua_conn *lc) {
  if (lc->opens++ == 0) return;
  if (lc->opens == 0) lc->opens = 2; /* it is for long that it reconnects */
  lc->was_callback = lc->c.mode == WS_CALLBACK;
  lc->is_greeted = false;
  lc->c.mode = WS_PULL;
}

static int open_body(lua_State *L) {
  struct lua_conn *lc = ws_conn_task_take(L);
  ws_route_take(L, lc);
  ws_handlers_opened(L, lc);
  ws_push_handler(L, 1, "on_open");
  if (lua_isnil(L, -1)) return 0;
  lua_pushvalue(L, 1);
  return ws_task_call(L, 1, "on_open");
}

static void opened(struct ws_conn *c) {
  struct lua_conn *lc = ws_lua_conn(c);
  struct ws_task *t = lc->waiting, *next, *body;
  if (!(body = ws_conn_task_new(lc, open_body))) {
    not_opened(lc);
    return;
  }
  reopened(lc);
  uint32_t n = body->n = lc->opens;
  body->done = open_done;
  body->is_untried = true;
  ws_task_start(body, 1);
  if (lc->opens != n) return; /* it was not begun */
  for (; t; t = next) {
    next = t->next;
    if (t->wait_for == WS_FOR_OPEN) ws_task_wake_now(t, WS_WAKE_DONE);
  }
}

static void on_opened(struct ws_conn *c) {
  ws_log_opened(ws_state_of_conn(c), c);
  opened(c);
}

static int close_body(lua_State *L) {
  struct lua_conn *lc = ws_conn_task_take(L);
  ws_push_handler(L, 1, "on_close");
  if (lua_isnil(L, -1)) return 0;
  struct ws_slice reason = ws_conn_reason(&lc->c);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, ws_conn_code(&lc->c));
  lua_pushlstring(L, reason.p, reason.n);
  return ws_task_call(L, 3, "on_close");
}

static void close_done(struct ws_task *t, bool ok) {
  (void)ok;
  t->conn->is_close_due = t->is_unbegun;
}

/* False: there was no memory for on_close to begin. What is owed to the peer
 * leaves all the same, and on_close is tried again in a while. */
static bool tell_end(struct lua_conn *lc) {
  struct ws_task *t;
  if (lc->is_untold) return true;
  if (!(t = ws_conn_task_try(lc, close_body))) return false;
  t->done = close_done;
  t->is_untried = true;
  lc->is_close_due = false;
  ws_task_start(t, 1);
  return !lc->is_close_due;
}

/* Those that wait now. One that is woken may wait again at once, behind them,
 * for the next connection of a client that reconnects. */
static void on_ended(struct ws_conn *c) {
  struct lua_conn *lc = ws_lua_conn(c);
  size_t n = 0;
  ws_timers_end(lc);
  for (struct ws_task *t = lc->waiting; t; t = t->next) n++;
  while (n-- && lc->waiting) ws_task_wake_now(lc->waiting, WS_WAKE_CLOSED);
}

/* Whoever waits to receive goes on waiting when only an attempt failed. */
static bool on_closed(struct ws_conn *c) {
  if (c->was_opened || !ws_retry_is_due(c)) on_ended(c);
  bool is_told = tell_end(ws_lua_conn(c));
  if (is_told) ws_log_closed(ws_state_of_conn(c), c);
  return is_told;
}

static int drain_body(lua_State *L) {
  ws_conn_task_take(L);
  ws_push_handler(L, 1, "on_drain");
  if (lua_isnil(L, -1)) return 0;
  lua_pushvalue(L, 1);
  return ws_task_call(L, 1, "on_drain");
}

static void on_drained(struct ws_conn *c, bool was_high) {
  struct lua_conn *lc = ws_lua_conn(c);
  struct ws_task *t = lc->waiting, *next;
  for (; t; t = next) {
    next = t->next;
    if (t->wait_for == WS_FOR_DRAIN) ws_task_wake(t, WS_WAKE_DONE);
  }
  if (was_high) ws_conn_task_start(lc, drain_body);
}

/* ---- objects ---- */

struct making {
  struct ws_state *st;
  int handlers;
  struct lua_conn *made;
};

static int make_conn(lua_State *L) {
  struct making *m = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->handlers);
  m->made = ws_anchor_object(L, m->st, 2);
  ws_anchor_add(L, m->st, 3);
  return 0;
}

static struct ws_conn *on_new(struct ws_host *host, struct ws_server *s) {
  struct ws_state *st = WS_LIST_ENTRY(host, struct ws_state, host);
  struct making m = {.st = st, .handlers = s->route.user};
  return ws_state_protect(st, make_conn, &m) ? &m.made->c : NULL;
}

static void on_free(struct ws_conn *c) {
  struct lua_conn *lc = ws_lua_conn(c);
  struct ws_state *st = ws_state_of_conn(c);
  lc->tasks++; /* whoever is woken may be the last one that holds it */
  on_ended(c);
  ws_anchor_leave(st, lc);
  ws_collect_note(st);
}

/* Who only waits for the end is not. */
static bool is_at_work(struct ws_conn *c) {
  const struct lua_conn *lc = ws_lua_conn(c);
  uint32_t n = lc->tasks;
  for (const struct ws_task *t = lc->waiting; t; t = t->next)
    n -= t->wait_for == WS_FOR_END && t->conn == lc;
  return n > 0;
}

void ws_host_fill(struct ws_host *host) {
  *host = (struct ws_host){
    .new_conn = on_new,
    .free_conn = on_free,
    .request = ws_request_handle,
    .gone = ws_body_gone,
    .opened = on_opened,
    .readable = ws_deliver_readable,
    .is_at_work = is_at_work,
    .control = ws_deliver_control,
    .drained = on_drained,
    .ended = on_ended,
    .closed = on_closed,
    .closing = ws_closing_begin,
    .server_gone = ws_server_gone,
    .view = ws_view_make,
    .viewed = ws_view_done,
    .heard = ws_hear_heard,
    .deaf = ws_hear_deaf,
    .present = ws_presence_present,
  };
  ws_log_fill(host);
}
