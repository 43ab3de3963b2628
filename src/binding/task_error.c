/* task_error.c: what becomes of an error that a task has raised: a call of
 * on_error, the connection's or ws's, on a task of its own. */
#include "binding/task_error.h"

#include "binding/anchors.h"
#include "binding/conn_task.h"
#include "binding/log.h"
#include "engine/conn_send.h"
#include "engine/pending.h"

#define PATH_SHOWN 100 /* bytes */

/* 3: the traceback; upvalue: how long the message is that it begins with. */
static int default_error(lua_State *L) {
  struct ws_slice text, trace;
  trace.p = lua_tolstring(L, 3, &trace.n);
  text =
    (struct ws_slice){trace.p, (size_t)lua_tointeger(L, lua_upvalueindex(1))};
  trace = (struct ws_slice){trace.p + text.n, trace.n - text.n};
  ws_log_print("", text, trace);
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

static void push_cut(lua_State *L, struct ws_slice text) {
  bool is_long = text.n > PATH_SHOWN;
  lua_pushlstring(L, text.p, is_long ? PATH_SHOWN : text.n);
  if (!is_long) return;
  lua_pushliteral(L, "...");
  lua_concat(L, 2);
}

/* "in on_message of /ws: ", or of a request: "in on_request of GET /x: ". */
static void push_place(lua_State *L, const struct ws_conn *c,
                       const char *handler) {
  const struct ws_pending *p = c ? ws_pending_of(c) : NULL;
  if (!c || !handler) {
    lua_pushliteral(L, "");
  } else if (p && ws_pending_is_busy(p)) {
    lua_pushlstring(L, p->bytes + p->http.method, p->http.method_len);
    push_cut(L, p->shake.path);
    lua_pushfstring(L, "in %s of %s %s: ", handler, lua_tostring(L, -2),
                    lua_tostring(L, -1));
  } else if (c->meta) {
    push_cut(L, (struct ws_slice){c->meta->text, c->meta->path_len});
    lua_pushfstring(L, "in %s of %s: ", handler, lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "in %s: ", handler);
  }
}

/* Arguments: connection or NULL, the thread that failed, the handler's name or
 * NULL, its error value. Calls on_error(conn, message, traceback). */
static int error_body(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  lua_State *from = lua_touserdata(L, 2);
  const char *handler = lua_touserdata(L, 3);
  struct ws_conn *c = lua_touserdata(L, 1); /* the first of its object */
  if (c)
    ws_conn_task_take(L);
  else
    lua_pushnil(L), lua_replace(L, 1);
  push_text(L, 4); /* 5: the message */
  struct ws_slice text;
  text.p = lua_tolstring(L, 5, &text.n);
  ws_log_error(st, c, handler, text);
  push_place(L, c, handler);
  lua_pushvalue(L, 5);
  lua_concat(L, 2);
  lua_Integer first = (lua_Integer)lua_rawlen(L, -1);
  lua_pushliteral(L, "\n"); /* a zero byte in the message is no end of it */
  luaL_traceback(L, from, NULL, 0);
  lua_concat(L, 3);
  lua_insert(L, 6); /* the traceback */
  lua_pushnil(L);
  if (c) ws_push_handler(L, 1, "on_error");
  if (lua_isnil(L, -1)) lua_rawgeti(L, LUA_REGISTRYINDEX, st->on_error);
  if (!lua_isfunction(L, -1)) {
    lua_pushinteger(L, first);
    lua_pushcclosure(L, default_error, 1);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 5);
  lua_pushvalue(L, 6);
  return ws_task_call(L, 3, NULL);
}

void ws_task_error(const struct ws_task *failed, lua_State *from) {
  struct ws_state *st = failed->st;
  struct lua_conn *lc = failed->conn;
  struct ws_task *t = failed->is_error ? NULL : ws_task_new(st);
  bool has_room = t && lua_checkstack(from, 1);
  if (t && !has_room) ws_task_discard(t);
  if (has_room) {
    t->is_error = true;
    if (lc) ws_task_set_conn(t, lc);
    lua_pushcfunction(t->co, error_body);
    lua_pushlightuserdata(t->co, lc);
    lua_pushlightuserdata(t->co, from);
    lua_pushlightuserdata(t->co, (void *)failed->handler);
    lua_pushvalue(from, -1);
    lua_xmove(from, t->co, 1);
    ws_task_start(t, 4);
  } else {
    ws_log_print_value(failed->is_error ? "error in an error handler: " : "",
                       from, -1);
  }
  if (lc) ws_conn_fail(&lc->c, 1011, "handler error");
}

int ws_lua_on_error(lua_State *L) {
  ws_state_check_dot(L, "on_error");
  struct ws_state *st = ws_state_of(L);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, st->on_error);
  st->on_error = LUA_NOREF;
  if (!lua_isnil(L, 1)) st->on_error = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}
