/* conn_task.c: a task for a handler of one connection. */
#include "binding/conn_task.h"

#include "binding/anchors.h"
#include "engine/pending.h"

struct ws_task *ws_conn_task_try(struct lua_conn *lc, lua_CFunction body) {
  struct ws_task *t = ws_task_new(ws_state_of_conn(&lc->c));
  if (!t) return NULL;
  ws_task_set_conn(t, lc);
  lua_pushcfunction(t->co, body);
  lua_pushlightuserdata(t->co, lc);
  return t;
}

struct ws_task *ws_conn_task_new(struct lua_conn *lc, lua_CFunction body) {
  struct ws_task *t = ws_conn_task_try(lc, body);
  if (!t) ws_conn_cut_memory(&lc->c);
  return t;
}

bool ws_conn_task_start(struct lua_conn *lc, lua_CFunction body) {
  struct ws_task *t = ws_conn_task_new(lc, body);
  if (t) ws_task_start(t, 1);
  return t != NULL;
}

struct lua_conn *ws_conn_task_take(lua_State *L) {
  struct lua_conn *lc = lua_touserdata(L, 1);
  ws_anchor_push(L, ws_state_of_conn(&lc->c), lc);
  lua_replace(L, 1);
  return lc;
}
