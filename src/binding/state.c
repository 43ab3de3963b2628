/* state.c: the state's place in the registry, and what everybody asks of it. */
#include "binding/state.h"

static const char key; /* its address is the key in the registry */

struct ws_state *ws_state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  struct ws_state *st = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return st;
}

const void *ws_state_key(void) {
  return &key;
}

void ws_state_keep(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

bool ws_state_protect(struct ws_state *st, lua_CFunction fn, void *arg) {
  lua_State *L = ws_state_thread(st);
  if (!lua_checkstack(L, 8)) return false;
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

void ws_state_check_fork(lua_State *L, struct ws_state *st) {
  if (st->is_closed) luaL_error(L, "evws is closed");
  if (ws_loop_is_forked(&st->loop))
    luaL_error(L, "evws was loaded before this process was forked");
}

void ws_state_check_dot(lua_State *L, const char *function) {
  if (!lua_istable(L, 1)) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, ws_state_of(L)->module);
  bool is_module = lua_rawequal(L, 1, -1);
  lua_pop(L, 1);
  if (is_module) luaL_error(L, "call ws.%s, not ws:%s", function, function);
}

bool ws_is_usable(const struct lua_conn *lc) {
  struct ws_loop *loop = lc->c.stream.watch.loop;
  return loop && !ws_state_of_loop(loop)->is_closed && !ws_loop_is_forked(loop);
}

void ws_state_count_signal(void *st, int signum) {
  (void)signum;
  ((struct ws_state *)st)->signals++;
}
