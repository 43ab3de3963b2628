/* collect.c: Lua collects while it allocates: all that a crowd has left at once
 * where much else is there, and nothing while the server has nothing to do. */
#include "binding/collect.h"

#include "base/buf.h"

#define MANY 256          /* fewer are not worth it */
#define STEP_EACH 1024    /* while they go: all at once a millisecond's work */
#define SHARE 8           /* nor is what is less than such a part of all */
#define QUIET 1.0         /* seconds in which not many go */
#define PAUSE 0.01        /* seconds between two steps */
#define STEP (128 * 1024) /* bytes that a step gets through, at the least */
#define WHOLE (8 * 1024)  /* KiB that may be collected at once */
#define WHOLES 2          /* one finalizes, one frees */
#define CYCLES 3 /* one that is under way, one that finalizes, one that frees */

/* A whole collection costs as much as there is in Lua, whoever left it: so
 * that in the long run it is paid by those who go. Not where the script has
 * stopped the collector. */
static bool begins(lua_State *L, struct ws_collecting *g) {
  size_t all = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024;
  if (g->gone < all / sizeof(struct lua_conn) / SHARE) return false;
  g->cycles = 0;
  g->steps = (uint32_t)(CYCLES * (all / STEP + 1)) + WHOLES;
  return lua_gc(L, LUA_GCISRUNNING) == 1;
}

/* Lua's own measure of a step. Has a cycle ended? */
static bool step(lua_State *L) {
#if LUA_VERSION_NUM >= 505
  return lua_gc(L, LUA_GCSTEP, (size_t)0) == 1;
#else
  return lua_gc(L, LUA_GCSTEP, 0) == 1;
#endif
}

/* Is it over? The generational collector, which lua5.4 starts scripts with,
 * looks at what is young in a step, and no step ends a cycle: what has lived
 * goes when all is collected, or when it has become twice as much. */
static bool collect(lua_State *L, struct ws_collecting *g) {
  bool is_late = g->steps <= WHOLES && !g->cycles;
  if (is_late && lua_gc(L, LUA_GCCOUNT) <= WHOLE)
    lua_gc(L, LUA_GCCOLLECT);
  else if (step(L))
    g->cycles++;
  return g->cycles == CYCLES || --g->steps == 0;
}

/* The generational collector's step that is asked for is never a major one, and
 * puts off Lua's own, which may be: once half as much again is there, it is
 * Lua's turn. The incremental one needs none; in its pause a step would begin
 * a new cycle. */
static bool may_step(lua_State *L, struct ws_collecting *g) {
  if (g->gone - g->stepped < STEP_EACH) return false;
  g->stepped = g->gone;
  uint32_t all = (uint32_t)lua_gc(L, LUA_GCCOUNT);
  if (!g->least || all < g->least) g->least = all;
  return lua_gc(L, LUA_GCISRUNNING) == 1 && !g->has_cycled &&
         all - g->least <= g->least / 2;
}

static void on_time(struct ws_timer *t) {
  struct ws_collecting *g = WS_LIST_ENTRY(t, struct ws_collecting, timer);
  struct ws_state *st = WS_LIST_ENTRY(g, struct ws_state, collecting);
  lua_State *L = ws_state_thread(st);
  double next = PAUSE;
  if (g->gone - g->seen >= MANY) {
    if (may_step(L, g)) g->has_cycled = step(L);
    g->seen = g->gone;
    g->steps = 0;
    next = QUIET;
  } else if (!g->steps && !begins(L, g)) {
    return; /* it is looked again when more have gone */
  } else if (collect(L, g)) {
    g->gone = g->seen = g->steps = g->stepped = g->least = 0;
    g->has_cycled = false;
    ws_mem_trim();
    return;
  }
  ws_loop_timer(&st->loop, t, next);
}

void ws_collect_note(struct ws_state *st) {
  struct ws_collecting *g = &st->collecting;
  g->gone++;
  if ((g->gone - g->seen) % MANY || st->sim) return;
  g->timer.fn = on_time;
  if (ws_loop_timer(&st->loop, &g->timer, 0))
    ws_loop_timer_quiet(&st->loop, &g->timer, true);
}
