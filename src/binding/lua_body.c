/* lua_body.c: answers whose body a function writes: out:write and the like,
 * and on_close for whoever answers. The handler of a request's on_close stands
 * in the user value that is on_message's once the connection is open. */
#include "binding/lua_body.h"

#include "binding/anchors.h"
#include "binding/conn_task.h"
#include "binding/lua_message.h"
#include "binding/request_table.h"
#include "binding/waiting.h"
#include "engine/answer.h"
#include "engine/conn_send.h"

#define BODY_NAME "evws.body"

struct lua_body {
  struct lua_conn *lc; /* its user value keeps the object */
  uint32_t request;    /* which one of the connection */
};

static const char asked; /* its address: weak, requests to connections */

static struct lua_body *check_body(lua_State *L) {
  return ws_object_check(L, 1, BODY_NAME);
}

/* Is it still this answer that is written? */
static bool is_current(const struct lua_body *b) {
  const struct ws_conn *c = &b->lc->c;
  const struct ws_pending *p;
  if (!ws_is_usable(b->lc) || c->state != WS_CONN_PENDING) return false;
  p = ws_pending_of(c);
  return p && p->step == WS_STEP_STREAM && p->requests == b->request;
}

static bool is_open(const struct lua_body *b) {
  return is_current(b) && ws_answer_is_open(&b->lc->c);
}

void ws_body_push(lua_State *L, struct lua_conn *lc) {
  struct lua_body *b = lua_newuserdatauv(L, sizeof *b, 1);
  *b = (struct lua_body){lc, ws_pending_of(&lc->c)->requests};
  luaL_setmetatable(L, BODY_NAME);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
}

/* ---- writing ---- */

static int body_write(lua_State *L) {
  struct lua_body *b = check_body(L);
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  if (!is_open(b)) return ws_push_closed(L);
  enum ws_err err = ws_answer_write(&b->lc->c, data, n);
  if (err == WS_ERR_TOO_BIG)
    return luaL_error(L, "the body is longer than its Content-Length");
  if (err != WS_OK) return ws_push_failure(L, err);
  lua_pushboolean(L, true);
  lua_pushinteger(L, (lua_Integer)b->lc->c.stream.queued);
  return 2;
}

static int drain_k(lua_State *L, const struct ws_woken *w) {
  struct lua_body *b = check_body(L);
  if (!is_open(b)) return ws_push_closed(L);
  const struct ws_conn *c = &b->lc->c;
  if (w->why == WS_WAKE_DONE) {
    if (c->stream.queued > ws_conn_low_water(c))
      return ws_wait_for_drain(L, b->lc, w->time_left, drain_k);
    lua_pushboolean(L, true);
    return 1;
  }
  return ws_push_why(L, w->why);
}

static int body_drain(lua_State *L) {
  struct lua_body *b = check_body(L);
  double timeout = ws_check_timeout(L, 2);
  lua_settop(L, 1);
  if (!is_open(b)) return ws_push_closed(L);
  struct ws_conn *c = &b->lc->c;
  if (c->stream.queued && !c->stream.is_blocked) ws_stream_flush(&c->stream);
  if (!is_open(b)) return ws_push_closed(L);
  if (c->stream.queued > ws_conn_low_water(c))
    return ws_wait_for_drain(L, b->lc, timeout, drain_k);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- a long string ---- */

static int string_k(lua_State *L, const struct ws_woken *w) {
  (void)w;
  return ws_body_write_string(L);
}

/* A piece a turn, when those before it have left: so many clients that read
 * fast do not make one long. */
static int wait_for_turn(lua_State *L, struct lua_conn *lc) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t = ws_task_waiter(L, st, &here);
  if (lc->c.stream.queued > ws_conn_low_water(&lc->c)) {
    ws_task_wait_on(t, lc, WS_FOR_DRAIN);
    lc->c.is_drain_awaited = true;
  } else if (!ws_task_set_timeout(t, 0)) {
    return luaL_error(L, "not enough memory");
  }
  return ws_task_wait(L, st, t, string_k);
}

int ws_body_write_string(lua_State *L) {
  struct lua_body *b = check_body(L);
  struct ws_stream *s = &b->lc->c.stream;
  size_t n, at = (size_t)lua_tointeger(L, 3);
  const char *text = lua_tolstring(L, 2, &n);
  if (!is_open(b)) return 0;
  if (s->queued && !s->is_blocked) ws_stream_flush(s);
  if (s->queued <= ws_conn_low_water(&b->lc->c) && is_open(b)) {
    size_t piece = n - at < WS_BODY_PIECE ? n - at : WS_BODY_PIECE;
    if (ws_answer_write(&b->lc->c, text + at, piece) == WS_OK) at += piece;
    lua_pushinteger(L, (lua_Integer)at);
    lua_replace(L, 3);
  }
  if (at == n || !is_open(b)) return 0;
  return wait_for_turn(L, b->lc);
}

/* ---- the client has gone ---- */

static int gone_body(lua_State *L) {
  ws_conn_task_take(L);
  lua_getiuservalue(L, 1, UV_ON_GONE);
  if (!lua_isfunction(L, -1)) return 0;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, UV_ON_GONE);
  return ws_task_call(L, 0, "request:on_close");
}

void ws_body_gone(struct ws_conn *c) {
  struct lua_conn *lc = ws_lua_conn(c);
  struct ws_state *st = ws_state_of_conn(c);
  /* after an error of whoever answers nobody is left to be told */
  if (!lc->has_on_gone || !lc->tasks) return;
  struct ws_task *t = ws_conn_task_new(lc, gone_body);
  if (!t) return;
  if (st->loop.in_turn && !st->current)
    ws_task_start(t, 1); /* before whoever waits in drain */
  else if (!ws_task_start_later(t, 1))
    ws_conn_cut_memory(c);
}

/* The handler at 2 for the connection at 3; at once where it has gone. */
static int set_on_close(lua_State *L, struct lua_conn *lc) {
  const struct ws_pending *p = ws_pending_of(&lc->c);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, UV_ON_GONE);
  lc->has_on_gone = lua_isfunction(L, 2);
  if (p->is_gone) ws_body_gone(&lc->c);
  return ws_push_self(L);
}

static void check_handler(lua_State *L) {
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
}

/* Of what is over nothing is told any more. */
static int body_on_close(lua_State *L) {
  struct lua_body *b = check_body(L);
  check_handler(L);
  if (!is_current(b)) return ws_push_closed(L);
  lua_getiuservalue(L, 1, 1);
  return set_on_close(L, b->lc);
}

struct lua_conn *ws_body_asked(lua_State *L, int at) {
  lua_pushvalue(L, at);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &asked);
  lua_insert(L, -2);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  struct lua_conn *lc = lua_touserdata(L, -1);
  bool is_pending = lc && ws_is_usable(lc) && lc->c.state == WS_CONN_PENDING;
  const struct ws_pending *p = is_pending ? ws_pending_of(&lc->c) : NULL;
  if (p && ws_pending_is_busy(p)) return lc;
  lua_pop(L, 1);
  return NULL;
}

static int request_on_close(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  check_handler(L);
  struct lua_conn *lc = ws_body_asked(L, 1); /* at 3 */
  return lc ? set_on_close(L, lc) : ws_push_closed(L);
}

void ws_body_remember(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &asked);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void ws_body_forget(lua_State *L) {
  struct lua_conn *lc = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &asked);
  lua_pushvalue(L, 2);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  if (!lc->has_on_gone) return;
  lc->has_on_gone = false;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, UV_ON_GONE);
}

/* ---- the objects ---- */

static int body_tostring(lua_State *L) {
  struct lua_body *b = check_body(L);
  lua_pushfstring(L, BODY_NAME ": %p (%s)", (void *)b,
                  is_open(b) ? "open" : "closed");
  return 1;
}

enum { BUFFERED = 1, IS_CLOSED };

/* Upvalues: the methods, the properties by their names. */
static int body_index(lua_State *L) {
  struct lua_body *b = check_body(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(2));
  switch (lua_tointeger(L, -1)) {
  case BUFFERED:
    lua_pushinteger(L, is_current(b) ? (lua_Integer)b->lc->c.stream.queued : 0);
    return 1;
  case IS_CLOSED: lua_pushboolean(L, !is_open(b)); return 1;
  default: return 1; /* nil */
  }
}

void ws_open_body(lua_State *L) {
  static const luaL_Reg methods[] = {{"drain", body_drain},
                                     {"on_close", body_on_close},
                                     {"write", body_write},
                                     {NULL, NULL}};
  static const luaL_Reg request_methods[] = {{"on_close", request_on_close},
                                             {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", body_tostring}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  ws_object_class(L, BODY_NAME, methods, meta);
  luaL_getmetatable(L, BODY_NAME);
  lua_getfield(L, -1, "__index");
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, BUFFERED);
  lua_setfield(L, -2, "buffered");
  lua_pushinteger(L, IS_CLOSED);
  lua_setfield(L, -2, "is_closed");
  lua_pushcclosure(L, body_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  ws_object_class(L, WS_REQUEST_CLASS, request_methods, none);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "kv");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &asked);
}
