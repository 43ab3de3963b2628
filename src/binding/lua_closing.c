/* lua_closing.c: on_closing(server, seconds) of a listener and of its routes,
 * each as a task; when all have ended the farewell goes on. */
#include "binding/lua_closing.h"

#include "binding/anchors.h"
#include "binding/task.h"
#include "engine/farewell.h"

/* The server may be gone by then, and its task's stack with who closed it: it
 * is held until here. */
static void closing_done(struct ws_task *t, bool ok) {
  struct lua_server *ls = t->arg;
  (void)ok;
  luaL_unref(ws_state_thread(t->st), LUA_REGISTRYINDEX, (int)t->n);
  if (--ls->n_closing == 0) ws_farewell_go(&ls->s);
}

/* 1: the server, 2: seconds, 3: the handler. */
static int closing_body(lua_State *L) {
  lua_pushvalue(L, 3);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  return ws_task_call(L, 2, "on_closing");
}

struct asking {
  struct lua_server *ls;
  double seconds;
};

/* The handler of a route, if it has one, becomes a task. */
static void ask(lua_State *L, const struct asking *a,
                const struct ws_route *r) {
  struct ws_state *st = ws_state_of(L);
  lua_settop(L, 1);
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, r->user) != LUA_TTABLE) return;
  if (lua_getfield(L, -1, "on_closing") != LUA_TFUNCTION) return;
  ws_object_push(L, st, a->ls);
  int held = luaL_ref(L, LUA_REGISTRYINDEX);
  struct ws_task *t = ws_task_new(st);
  if (!t) {
    luaL_unref(L, LUA_REGISTRYINDEX, held);
    luaL_error(L, "not enough memory");
    return;
  }
  t->arg = a->ls;
  t->n = (uint32_t)held;
  t->done = closing_done;
  a->ls->n_closing++;
  lua_pushcfunction(t->co, closing_body);
  ws_object_push(L, st, a->ls);
  lua_xmove(L, t->co, 1);
  lua_pushnumber(t->co, a->seconds);
  lua_xmove(L, t->co, 1);
  if (ws_task_start_later(t, 3)) return;
  a->ls->n_closing--;
  luaL_unref(L, LUA_REGISTRYINDEX, held);
  luaL_error(L, "not enough memory");
}

static int ask_all(lua_State *L) {
  const struct asking *a = lua_touserdata(L, 1);
  const struct ws_server *s = &a->ls->s;
  ask(L, a, &s->route);
  for (const struct ws_route *r = s->routes; r; r = r->next) ask(L, a, r);
  return 0;
}

bool ws_closing_begin(struct ws_server *s, double seconds) {
  struct lua_server *ls = WS_LIST_ENTRY(s, struct lua_server, s);
  struct asking a = {ls, seconds};
  struct ws_state *st = ws_state_of_loop(s->loop);
  ws_state_protect(st, ask_all, &a); /* without memory: some are not asked */
  return ls->n_closing > 0;
}
