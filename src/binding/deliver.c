/* deliver.c: what a peer has said, as calls of its connection's handlers or
 * as what a receiver gets. */
#include "binding/deliver.h"

#include "binding/anchors.h"
#include "binding/conn_task.h"
#include "binding/payload.h"
#include "engine/conn_event.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"

/* ---- messages, called out ---- */

/* A handler has returned, or counts as if it had. */
static void be_done(struct ws_task *t) {
  if (t->is_busy) t->conn->c.busy--;
  t->is_busy = false;
}

static int after_message(lua_State *L, int status, lua_KContext ctx) {
  struct ws_task *t = ws_state_of(L)->current;
  (void)status;
  (void)ctx;
  be_done(t);
  return 0;
}

/* 2 and 3 are the kinds. */
static int push_chunk(lua_State *L, const struct ws_event *ev) {
  ws_push_handler(L, 1, "on_chunk");
  if (lua_isnil(L, -1)) return -1;
  ws_state_of(L)->current->handler = "on_chunk";
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)ev->data, ev->len);
  lua_pushvalue(L, ev->opcode == WS_OP_TEXT ? 2 : 3);
  lua_pushboolean(L, ev->is_final);
  return 4;
}

static int push_control(lua_State *L, const struct ws_event *ev) {
  const char *name = ev->type == WS_EVENT_PING ? "on_ping" : "on_pong";
  ws_push_handler(L, 1, name);
  if (lua_isnil(L, -1)) return -1;
  ws_state_of(L)->current->handler = name;
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)ev->data, ev->len);
  return 2;
}

/* Pushes the handler of an event that is no message, and its arguments; their
 * number, or -1 when there is no handler (any more). */
static int push_rare(lua_State *L, const struct ws_event *ev) {
  switch (ev->type) {
  case WS_EVENT_CHUNK: return push_chunk(L, ev);
  case WS_EVENT_PING:
  case WS_EVENT_PONG: return push_control(L, ev);
  default: return -1;
  }
}

/* The handler may have done anything, ended the connection included; only
 * what the userdata holds is looked at after it. */
static int message_body(lua_State *L) {
  struct lua_conn *lc = ws_conn_task_take(L);
  struct ws_conn *c = &lc->c;
  struct ws_task *t = ws_state_of_conn(c)->current;
  struct ws_event ev;
  lua_pushliteral(L, "text");   /* 2 */
  lua_pushliteral(L, "binary"); /* 3 */
  while (c->mode == WS_CALLBACK && c->busy < c->route->options.concurrency &&
         ws_conn_next(c, &ev)) {
    int n = 3;
    t->handler = "on_message";
    if (ev.type == WS_EVENT_MESSAGE) {
      lua_getiuservalue(L, 1, UV_ON_MESSAGE);
      lua_pushvalue(L, 1);
      ws_push_payload(L, c, &ev);
      lua_pushvalue(L, ev.opcode == WS_OP_TEXT ? 2 : 3);
    } else if ((n = push_rare(L, &ev)) < 0) {
      lua_settop(L, 3);
      continue;
    }
    ws_conn_release(c);
    t->is_busy = true;
    c->busy++;
    lua_callk(L, n, 0, 0, after_message);
    be_done(t);
  }
  return 0;
}

static void message_done(struct ws_task *t, bool ok) {
  struct ws_conn *c = &t->conn->c;
  (void)ok;
  be_done(t);
  ws_conn_resume(c);
}

bool ws_deliver_detach(lua_State *L) {
  struct ws_task *t = ws_state_of(L)->current;
  if (!t || !t->is_busy || t->co != L) return false;
  struct ws_conn *c = &t->conn->c;
  be_done(t);
  if (!ws_flow_is_being_read(c)) ws_conn_resume(c);
  return true;
}

int ws_lua_detach(lua_State *L) {
  if (!ws_deliver_detach(L)) return 0;
  lua_pushthread(L);
  return 1;
}

/* ---- messages, pulled ---- */

/* A receiver gets the message from where it stands. One that drives the loop
 * itself (or has to wait for its turn) finds it in the queue. */
static void on_receivable(struct lua_conn *lc) {
  struct ws_state *st = ws_state_of_conn(&lc->c);
  struct ws_conn *c = &lc->c;
  struct ws_task *t = lc->waiting;
  struct ws_event ev;
  while (t && t->wait_for != WS_FOR_MESSAGE) t = t->next;
  if (!t) {
    c->is_receiving = false;
  } else if (!t->co || st->current) {
    if (ws_conn_has_queue(c) ||
        (ws_conn_next(c, &ev) && ws_conn_enqueue(c, &ev)))
      ws_task_wake(t, WS_WAKE_DONE);
  } else if (ws_conn_next(c, &ev)) {
    st->event = &ev;
    ws_task_wake_now(t, WS_WAKE_DONE);
    st->event = NULL;
  }
}

void ws_deliver_readable(struct ws_conn *c) {
  struct lua_conn *lc = ws_lua_conn(c);
  if (c->mode == WS_PULL) {
    on_receivable(lc);
    return;
  }
  struct ws_task *t = ws_conn_task_new(lc, message_body);
  if (!t) return;
  t->done = message_done;
  ws_task_start(t, 1);
}

/* ---- pings and pongs of a connection that is pulled, or only sends ---- */

static int control_k(lua_State *L, int status, lua_KContext ctx);

static int next_control(lua_State *L) {
  struct lua_conn *lc = lua_touserdata(L, 1);
  struct ws_conn *c = &lc->c;
  struct ws_event ev;
  while (!c->is_told && ws_conn_next_control(c, &ev)) {
    lua_settop(L, 1);
    int n = push_control(L, &ev);
    if (n < 0) continue;
    c->is_telling = true;
    ws_conn_resume(c);
    lua_callk(L, n, 0, 0, control_k);
    c->is_telling = false;
  }
  return 0;
}

static int control_k(lua_State *L, int status, lua_KContext ctx) {
  struct ws_task *t = ws_state_of(L)->current;
  (void)status;
  (void)ctx;
  t->conn->c.is_telling = false;
  return next_control(L);
}

static int control_body(lua_State *L) {
  ws_conn_task_take(L);
  return next_control(L);
}

static void control_done(struct ws_task *t, bool ok) {
  struct lua_conn *lc = t->conn;
  (void)ok;
  lc->is_control_set = lc->c.is_telling = false;
  ws_conn_resume(&lc->c);
}

void ws_deliver_control(struct ws_conn *c) {
  struct lua_conn *lc = ws_lua_conn(c);
  if (lc->is_control_set) return;
  struct ws_task *t = ws_conn_task_new(lc, control_body);
  if (!t) return;
  t->done = control_done;
  lc->is_control_set = true;
  if (ws_task_start_later(t, 1)) return;
  lc->is_control_set = false;
  ws_conn_cut(c, 1006, "out of memory");
}
