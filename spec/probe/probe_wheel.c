/* probe_wheel: the timing wheel and the timer heap (src/transport/wheel.h).
 *
 * new(tick) -> wheel; heap() -> heap. Both own a number of deadlines or
 * timers, told apart by their index from 1 on.
 *
 * wheel:set(i, tick), :clear(i), :next(), :tick()
 * wheel:advance(tick[, i[, again]]) -> list of the indices that came due, in
 *   order; i is cleared (or set to `again`) when they are due already and
 *   have not been taken from the list
 * wheel:at(i) -> the tick it is set to
 *
 * heap:set(i, at) -> boolean, :clear(i), :first() -> i, at | nothing */
#include "probe.h"

#include <lauxlib.h>

#include "transport/wheel.h"

#define WHEEL "probe.wheel"
#define HEAP "probe.heap"
#define COUNT 1000

void probe_open_wheel(lua_State *L);

struct wheel {
  struct ws_wheel w;
  struct ws_deadline d[COUNT];
};

struct heap {
  struct ws_heap h;
  struct ws_timer t[COUNT];
};

static struct wheel *check_wheel(lua_State *L) {
  return luaL_checkudata(L, 1, WHEEL);
}

static struct heap *check_heap(lua_State *L) {
  return luaL_checkudata(L, 1, HEAP);
}

static lua_Integer check_index(lua_State *L) {
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && i <= COUNT, 2, "out of range");
  return i - 1;
}

static int wheel_new(lua_State *L) {
  uint32_t tick = (uint32_t)luaL_checkinteger(L, 1);
  struct wheel *w = lua_newuserdatauv(L, sizeof *w, 0);
  ws_wheel_init(&w->w, tick);
  for (int i = 0; i < COUNT; i++) ws_deadline_init(&w->d[i]);
  luaL_setmetatable(L, WHEEL);
  return 1;
}

static int wheel_set(lua_State *L) {
  struct wheel *w = check_wheel(L);
  ws_wheel_set(&w->w, &w->d[check_index(L)], (uint32_t)luaL_checkinteger(L, 3));
  return 0;
}

static int wheel_clear(lua_State *L) {
  struct wheel *w = check_wheel(L);
  ws_wheel_clear(&w->w, &w->d[check_index(L)]);
  return 0;
}

static int wheel_at(lua_State *L) {
  lua_pushinteger(L, check_wheel(L)->d[check_index(L)].tick);
  return 1;
}

static int wheel_next(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ws_wheel_next(&check_wheel(L)->w));
  return 1;
}

static int wheel_tick(lua_State *L) {
  lua_pushinteger(L, check_wheel(L)->w.tick);
  return 1;
}

static int wheel_advance(lua_State *L) {
  struct wheel *w = check_wheel(L);
  struct ws_list due, *e;
  ws_list_init(&due);
  ws_wheel_advance(&w->w, (uint32_t)luaL_checkinteger(L, 2), &due);
  if (!lua_isnoneornil(L, 3)) {
    struct ws_deadline *d = &w->d[luaL_checkinteger(L, 3) - 1];
    if (lua_isnoneornil(L, 4))
      ws_wheel_clear(&w->w, d);
    else
      ws_wheel_set(&w->w, d, (uint32_t)luaL_checkinteger(L, 4));
  }
  lua_newtable(L);
  for (lua_Integer n = 1; (e = ws_list_shift(&due)) != NULL; n++) {
    struct ws_deadline *d = WS_LIST_ENTRY(e, struct ws_deadline, link);
    lua_pushinteger(L, d - w->d + 1);
    lua_rawseti(L, -2, n);
  }
  return 1;
}

static int heap_new(lua_State *L) {
  struct heap *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (struct heap){.h = {0}};
  luaL_setmetatable(L, HEAP);
  return 1;
}

static int heap_set(lua_State *L) {
  struct heap *h = check_heap(L);
  lua_pushboolean(
    L, ws_heap_set(&h->h, &h->t[check_index(L)], luaL_checknumber(L, 3)));
  return 1;
}

static int heap_clear(lua_State *L) {
  struct heap *h = check_heap(L);
  ws_heap_clear(&h->h, &h->t[check_index(L)]);
  return 0;
}

static int heap_first(lua_State *L) {
  struct heap *h = check_heap(L);
  const struct ws_timer *t = ws_heap_first(&h->h);
  if (t == NULL) return 0;
  lua_pushinteger(L, t - h->t + 1);
  lua_pushnumber(L, t->at);
  return 2;
}

static int heap_gc(lua_State *L) {
  struct heap *h = check_heap(L);
  for (int i = 0; i < COUNT; i++) ws_heap_clear(&h->h, &h->t[i]);
  ws_heap_free(&h->h);
  return 0;
}

static const luaL_Reg wheel_methods[] = {
  {"set", wheel_set},   {"clear", wheel_clear}, {"at", wheel_at},
  {"next", wheel_next}, {"tick", wheel_tick},   {"advance", wheel_advance},
  {NULL, NULL},
};

static const luaL_Reg heap_methods[] = {
  {"set", heap_set}, {"clear", heap_clear}, {"first", heap_first},
  {"__gc", heap_gc}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"new", wheel_new},
  {"heap", heap_new},
  {NULL, NULL},
};

static void new_class(lua_State *L, const char *name, const luaL_Reg *list) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, list, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void probe_open_wheel(lua_State *L) {
  new_class(L, WHEEL, wheel_methods);
  new_class(L, HEAP, heap_methods);
  luaL_newlib(L, functions);
}
