/* task_error.c: what becomes of an error that a task has raised: a call of
 * on_error, the connection's or ws's, on a task of its own. */
#include "binding/task_error.h"

#include "binding/anchors.h"
#include "binding/conn_task.h"
#include "binding/log.h"
#include "engine/conn_send.h"

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
  struct ws_state *st = ws_state_of(L);
  lua_State *from = lua_touserdata(L, 2);
  bool has_conn = lua_touserdata(L, 1) != NULL;
  if (has_conn)
    ws_conn_task_take(L);
  else
    lua_pushnil(L), lua_replace(L, 1);
  push_text(L, 3);
  ws_log_error(st, has_conn ? &ws_check_conn(L, 1)->c : NULL,
               lua_tostring(L, -1));
  luaL_traceback(L, from, lua_tostring(L, -1), 0); /* 1 . 3 message trace */
  lua_pushnil(L);
  if (has_conn) ws_push_handler(L, 1, "on_error");
  if (lua_isnil(L, -1)) lua_rawgeti(L, LUA_REGISTRYINDEX, st->on_error);
  if (!lua_isfunction(L, -1)) lua_pushcfunction(L, default_error);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 4);
  lua_pushvalue(L, 5);
  return ws_task_call(L, 3);
}

void ws_task_error(struct ws_state *st, struct lua_conn *lc, lua_State *from,
                   bool is_last) {
  struct ws_task *t = is_last ? NULL : ws_task_new(st);
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
    ws_log_print(is_last ? "error in an error handler: " : "", text, true);
  }
  if (lc) ws_conn_fail(&lc->c, 1011, "handler error");
}

int ws_lua_on_error(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, st->on_error);
  st->on_error = LUA_NOREF;
  if (!lua_isnil(L, 1)) st->on_error = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}
