/* lua_conn.c: the methods of a connection. */
#include "binding/lua_conn.h"

#include <errno.h>
#include <string.h>

#include "binding/anchors.h"
#include "binding/conn_handlers.h"
#include "binding/conn_props.h"
#include "binding/lua_message.h"
#include "binding/lua_timer.h"
#include "binding/lua_topic.h"
#include "binding/lua_writer.h"
#include "binding/payload.h"
#include "binding/send_options.h"
#include "binding/task.h"
#include "binding/waiting.h"
#include "engine/conn.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"
#include "engine/conn_send.h"
#include "engine/conn_writer.h"
#include "engine/retry.h"

#include "protocol/utf8.h"

static int result(lua_State *L, enum ws_err err) {
  if (err != WS_OK) return ws_push_failure(L, err);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- sending ---- */

/* With what is asked for in the table at 4. */
static enum ws_err give(struct lua_conn *lc, uint8_t opcode, struct ws_slice m,
                        const struct ws_fleet *how) {
  if (ws_fleet_may_go(how))
    return ws_conn_send_fleeting(&lc->c, opcode, m, how);
  return how->is_plain ? ws_conn_send_plain(&lc->c, opcode, m.p, m.n)
                       : ws_conn_send(&lc->c, opcode, m.p, m.n);
}

static int conn_send(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_slice m;
  struct ws_fleet how;
  m.p = luaL_checklstring(L, 2, &m.n);
  uint8_t opcode = ws_check_kind(L, 3);
  bool has_options = lua_gettop(L) > 3 && !lua_isnil(L, 4);
  if (has_options) ws_check_send_options(L, 4, "send", &how);
  if (opcode == WS_OP_TEXT && !ws_utf8_is_valid(m.p, m.n))
    return luaL_argerror(L, 2, WS_NOT_UTF8);
  if (!ws_is_usable(lc)) return ws_push_closed(L);
  enum ws_err err = has_options ? give(lc, opcode, m, &how)
                                : ws_conn_send(&lc->c, opcode, m.p, m.n);
  if (err != WS_OK) return result(L, err);
  lua_pushboolean(L, true);
  lua_pushinteger(L, (lua_Integer)ws_conn_buffered(&lc->c));
  return 2;
}

static int conn_ping(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  size_t n;
  const char *data = luaL_optlstring(L, 2, "", &n);
  luaL_argcheck(L, n <= WS_CONTROL_MAX, 2, "more than 125 bytes");
  if (!ws_is_usable(lc)) return ws_push_closed(L);
  if (lua_isnoneornil(L, 2)) data = NULL;
  return result(L, ws_conn_ping(&lc->c, data, n));
}

/* ---- ending ---- */

/* 1000 says that all was said: not in the middle of a message. */
static int default_code(const struct lua_conn *lc) {
  return lc->c.has_writer ? 1011 : 1000;
}

static int check_code(lua_State *L, const struct lua_conn *lc, int arg,
                      struct ws_slice *reason) {
  lua_Integer code = luaL_optinteger(L, arg, default_code(lc));
  luaL_argcheck(
    L, code >= 0 && code < 65536 && ws_protocol_may_send_code((int)code), arg,
    "a close code that may be sent expected (1000 to 1003, "
    "1007 to 1014, 3000 to 4999)");
  reason->p = luaL_optlstring(L, arg + 1, "", &reason->n);
  luaL_argcheck(L, reason->n <= WS_REASON_MAX, arg + 1, "more than 123 bytes");
  luaL_argcheck(L, ws_utf8_is_valid(reason->p, reason->n), arg + 1,
                "not UTF-8");
  return (int)code;
}

static void end(struct lua_conn *lc, int code, struct ws_slice reason) {
  ws_retry_end(&lc->c);
  if (lc->c.state == WS_CONN_PENDING)
    ws_conn_cut(&lc->c, 1006, "closed before it was open");
  else
    ws_conn_close(&lc->c, code, reason, NULL);
}

static int conn_close(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_slice reason;
  int code = check_code(L, lc, 2, &reason);
  if (!ws_is_usable(lc)) return ws_push_closed(L);
  end(lc, code, reason);
  lua_pushboolean(L, true);
  return 1;
}

static int conn_shutdown(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_slice reason;
  int code = check_code(L, lc, 2, &reason);
  if (!ws_conn_can_send(&lc->c) || !ws_is_usable(lc)) return ws_push_closed(L);
  ws_retry_end(&lc->c);
  ws_conn_shutdown(&lc->c, code, reason);
  lua_pushboolean(L, true);
  return 1;
}

static int conn_terminate(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  if (!lc->c.is_freed) {
    lc->c.is_ours = false;
    ws_retry_end(&lc->c);
    ws_conn_terminate(&lc->c, 1006, "terminated");
  }
  lua_pushboolean(L, true);
  return 1;
}

static void push_reason(lua_State *L, const struct ws_conn *c) {
  struct ws_slice reason = ws_conn_reason(c);
  lua_pushlstring(L, reason.p, reason.n);
}

static int gone_k(lua_State *L, const struct ws_woken *w) {
  (void)L;
  (void)w;
  return 0;
}

static int end_k(lua_State *L, const struct ws_woken *w);

/* Of a client that comes back each loss wakes, and the wait goes on. A task
 * does so in end_k; only a driver of the loop comes back here. */
static int wait_for_end(lua_State *L, struct lua_conn *lc, struct ws_woken w) {
  struct ws_state *st = ws_state_of(L);
  while (!ws_retry_is_over(&lc->c)) {
    if (w.why != WS_WAKE_CLOSED) return ws_push_why(L, w.why);
    struct ws_task here, *t = ws_task_waiter(L, st, &here);
    if (w.time_left >= 0 && !ws_task_set_timeout(t, w.time_left))
      return luaL_error(L, "not enough memory");
    ws_task_wait_on(t, lc, WS_FOR_END);
    ws_conn_resume(&lc->c);
    ws_task_wait(L, st, t, t->co ? end_k : gone_k);
    w = ws_task_woken(t);
  }
  lua_pushinteger(L, ws_conn_code(&lc->c));
  push_reason(L, &lc->c);
  return 2;
}

static int end_k(lua_State *L, const struct ws_woken *w) {
  return wait_for_end(L, ws_check_conn(L, 1), *w);
}

static int conn_wait(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  double timeout = ws_check_timeout(L, 2);
  lua_settop(L, 1);
  if (!lc->is_pulled) lc->c.is_unheard = true; /* nobody receives, it seems */
  return wait_for_end(
    L, lc, (struct ws_woken){.why = WS_WAKE_CLOSED, .time_left = timeout});
}

/* A variable goes out of scope: closes, and waits where that is possible. */
static int conn_leave(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_task here, *t;
  if (!ws_is_usable(lc)) return 0;
  end(lc, default_code(lc), (struct ws_slice){"", 0});
  if (lc->c.is_told || lc->c.is_freed || !ws_task_can_wait(L, st)) return 0;
  t = ws_task_waiter(L, st, &here);
  ws_task_wait_on(t, lc, WS_FOR_END);
  return ws_task_wait(L, st, t, gone_k);
}

/* ---- receiving ---- */

static int push_message(lua_State *L, struct lua_conn *lc,
                        const struct ws_event *ev) {
  if (ev->type == WS_EVENT_CLOSE) { /* the next ones are another connection's */
    ws_push_closed(L);
    lua_pushinteger(L, ev->code);
    push_reason(L, &lc->c);
    ws_conn_release(&lc->c);
    return 4;
  }
  ws_push_payload(L, &lc->c, ev);
  lua_pushstring(L, ev->opcode == WS_OP_TEXT ? "text" : "binary");
  ws_conn_release(&lc->c);
  ws_conn_resume(&lc->c);
  return 2;
}

static int push_end(lua_State *L, struct lua_conn *lc) {
  ws_push_closed(L);
  lua_pushinteger(L, ws_conn_code(&lc->c));
  push_reason(L, &lc->c);
  return 4;
}

static int wait_for_message(lua_State *L, struct lua_conn *lc, double timeout);

static int receive_k(lua_State *L, const struct ws_woken *w) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_event ev;
  if (w->st->event) {
    ev = *w->st->event;
    w->st->event = NULL;
    return push_message(L, lc, &ev);
  }
  if (ws_conn_next(&lc->c, &ev)) return push_message(L, lc, &ev);
  if (ws_retry_is_over(&lc->c) || w->why == WS_WAKE_CLOSED)
    return push_end(L, lc);
  if (w->why == WS_WAKE_DONE) return wait_for_message(L, lc, w->time_left);
  return ws_push_why(L, w->why);
}

/* Its messages wait for whoever receives, from now on. */
static void pulled(struct lua_conn *lc) {
  if (lc->c.mode == WS_DISCARD) lc->c.mode = WS_PULL;
  lc->is_pulled = true;
  lc->c.is_unheard = lc->c.drops_unread = false;
}

static int wait_for_message(lua_State *L, struct lua_conn *lc, double timeout) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t = ws_task_waiter(L, st, &here);
  if (timeout >= 0 && !ws_task_set_timeout(t, timeout))
    return luaL_error(L, "not enough memory");
  pulled(lc);
  ws_task_wait_on(t, lc, WS_FOR_MESSAGE);
  lc->c.is_receiving = true;
  ws_conn_resume(&lc->c);
  return ws_task_wait(L, st, t, receive_k);
}

static void check_receiver(lua_State *L, struct lua_conn *lc) {
  if (lc->has_on_chunk)
    luaL_error(L, "cannot receive: the connection has an on_chunk");
  if (lc->c.mode == WS_CALLBACK)
    luaL_error(L, "cannot receive: the connection has an on_message");
  for (struct ws_task *t = lc->waiting; t; t = t->next)
    if (t->wait_for == WS_FOR_MESSAGE)
      luaL_error(L, "cannot receive: another task is receiving");
}

static int receive(lua_State *L, double timeout) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_event ev;
  check_receiver(L, lc);
  lua_settop(L, 1);
  if (lc->c.mode == WS_PULL && ws_conn_next(&lc->c, &ev)) {
    pulled(lc);
    return push_message(L, lc, &ev);
  }
  if (ws_retry_is_over(&lc->c)) return push_end(L, lc);
  return wait_for_message(L, lc, timeout);
}

static int conn_receive(lua_State *L) {
  ws_check_conn(L, 1);
  return receive(L, ws_check_timeout(L, 2));
}

static int messages_next(lua_State *L) {
  return receive(L, -1);
}

static int conn_messages(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  check_receiver(L, lc);
  pulled(lc);
  lua_pushcfunction(L, messages_next);
  lua_pushvalue(L, 1);
  return 2;
}

/* ---- flow ---- */

/* A task waits for low_water, a script that may be about to end for all. Who
 * writes a message in fragments cannot wait for those behind it. */
static bool is_drained(lua_State *L, const struct ws_conn *c, bool is_task) {
  size_t n =
    ws_conn_writer_is_by(c, L) ? c->stream.queued : ws_conn_buffered(c);
  return n <= (is_task ? ws_conn_low_water(c) : 0);
}

static int drain_k(lua_State *L, const struct ws_woken *w) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  if (w->why == WS_WAKE_CLOSED || lc->c.state == WS_CONN_CLOSED)
    return push_end(L, lc);
  if (w->why == WS_WAKE_DONE) {
    if (!is_drained(L, &lc->c, w->is_task))
      return ws_wait_for_drain(L, lc, w->time_left, drain_k);
    lua_pushboolean(L, true);
    return 1;
  }
  return ws_push_why(L, w->why);
}

static int conn_drain(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  struct ws_conn *c = &lc->c;
  double timeout = ws_check_timeout(L, 2);
  lua_settop(L, 1);
  if (c->state == WS_CONN_CLOSED) return push_end(L, lc);
  if (c->state == WS_CONN_PENDING || !ws_is_usable(lc))
    return ws_push_closed(L);
  if (c->ahead) c->ahead->calls->catch_up(c);
  if (c->stream.queued && !c->stream.is_blocked) ws_stream_flush(&c->stream);
  if (c->stream.error || c->state == WS_CONN_CLOSED) return ws_push_closed(L);
  if (is_drained(L, c, ws_state_of(L)->current != NULL)) {
    lua_pushboolean(L, true);
    return 1;
  }
  return ws_wait_for_drain(L, lc, timeout, drain_k);
}

static int conn_pause(lua_State *L) {
  ws_conn_pause(&ws_check_conn(L, 1)->c, true);
  return ws_push_self(L);
}

static int conn_resume(lua_State *L) {
  ws_conn_pause(&ws_check_conn(L, 1)->c, false);
  return ws_push_self(L);
}

static int conn_tostring(lua_State *L) {
  struct ws_conn *c = &ws_check_conn(L, 1)->c;
  lua_pushfstring(L, WS_CONN_NAME ": %I (%s)", (LUAI_UACINT)c->id,
                  ws_props_state(c));
  return 1;
}

static int conn_gc(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  if (!ws_is_usable(lc)) lc->c.stream.error = ECONNRESET; /* say nothing */
  ws_conn_abandon(&lc->c);
  ws_conn_dispose(&lc->c);
  ws_anchor_forget(lc);
  return 0;
}

static const luaL_Reg methods[] = {{"after", ws_conn_after},
                                   {"close", conn_close},
                                   {"every", ws_conn_every},
                                   {"drain", conn_drain},
                                   {"messages", conn_messages},
                                   {"pause", conn_pause},
                                   {"ping", conn_ping},
                                   {"receive", conn_receive},
                                   {"resume", conn_resume},
                                   {"send", conn_send},
                                   {"shutdown", conn_shutdown},
                                   {"terminate", conn_terminate},
                                   {"wait", conn_wait},
                                   {"writer", ws_lua_writer},
                                   {NULL, NULL}};

static const luaL_Reg meta[] = {{"__close", conn_leave},
                                {"__gc", conn_gc},
                                {"__newindex", ws_props_newindex},
                                {"__tostring", conn_tostring},
                                {NULL, NULL}};

void ws_open_conn(lua_State *L, struct ws_state *st) {
  luaL_newmetatable(L, WS_CONN_NAME);
  luaL_setfuncs(L, meta, 0);
  lua_pushliteral(L, WS_CONN_NAME); /* __gc and the like are not for scripts */
  lua_setfield(L, -2, "__metatable");
  luaL_newlib(L, methods);
  luaL_setfuncs(L, ws_topic_conn_methods, 0);
  ws_add_handler_methods(L);
  ws_props_add_names(L);
  lua_pushcclosure(L, ws_props_index, 1);
  lua_setfield(L, -2, "__index");
  st->conn_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}
