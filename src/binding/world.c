/* world.c: what a state of evws is made of, and its end. */
#include "binding/world.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "binding/host.h"
#include "binding/lua_backplane.h"
#include "binding/lua_body.h"
#include "binding/lua_conn.h"
#include "binding/lua_hear.h"
#include "binding/lua_queue.h"
#include "binding/lua_server.h"
#include "binding/lua_spawn.h"
#include "binding/lua_timer.h"
#include "binding/lua_writer.h"
#include "binding/task.h"
#include "binding/task_error.h"
#include "binding/watchdog.h"
#include "binding/worker.h"
#include "transport/linger.h"

static atomic_flag default_loop_is_taken = ATOMIC_FLAG_INIT;

void ws_world_turn(void *arg) {
  struct ws_state *st = arg;
  if (st->loop.in_turn || st->is_closed || ws_loop_is_forked(&st->loop)) return;
  st->has_turned = true;
  if (st->watchdog) ws_watchdog_enter(st->watchdog);
  ws_loop_turn(&st->loop);
  if (st->watchdog) ws_watchdog_leave(st->watchdog);
  if (st->worker) ws_worker_turned(st);
}

static void end_loop(struct ws_state *st) {
  struct ws_timer *t; /* of whoever drives, or set by a finalizer */
  while ((t = ws_heap_first(&st->loop.timers)))
    ws_heap_clear(&st->loop.timers, t);
  ws_linger_stop(&st->loop);
  ws_loop_free(&st->loop);
}

void ws_world_end(struct ws_state *st) {
  if (st->is_closed) return;
  st->is_closed = true;
  ws_watchdog_stop(st);
  ws_worker_close(st);
  ws_task_free_all(st);
  if (st->drive) end_loop(st);
  if (st->ev) {
    ws_ev_free(st->ev);
    if (st->is_default) atomic_flag_clear(&default_loop_is_taken);
  }
  ws_sim_free(st->sim);
  st->ev = NULL;
  st->sim = NULL;
  st->drive = NULL;
  st->free_slot = WS_NO_SLOT;
  st->n_anchored = st->n_slots = 0;
}

/* Connections and servers have been finalized before: the state is older
 * than any of them. */
static int state_gc(lua_State *L) {
  ws_world_end(lua_touserdata(L, 1));
  return 0;
}

static int new_table_ref(lua_State *L) {
  lua_newtable(L);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static int text_ref(lua_State *L, const char *text) {
  lua_pushstring(L, text);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void init(lua_State *L, struct ws_state *st) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  *st = (struct ws_state){.L = lua_tothread(L, -1),
                          .failed = ws_task_error,
                          .free_slot = WS_NO_SLOT,
                          .on_error = LUA_NOREF,
                          .module = LUA_NOREF};
  lua_pop(L, 1);
  ws_list_init(&st->pool);
  ws_list_init(&st->tasks);
  ws_list_init(&st->servers);
  ws_list_init(&st->timers);
  ws_list_init(&st->backplanes);
  ws_list_init(&st->bus_waiters);
  ws_host_fill(&st->host);
}

static void make_texts(lua_State *L, struct ws_state *st) {
  st->log_name = text_ref(L, "log");
  st->yield_error = text_ref(L, "attempt to yield out of a handler (use "
                                "ws.sleep or ws.spawn)");
  st->cancel_error = text_ref(L, "cancelled");
  st->lost_error = text_ref(L, "a waiting task was closed from outside");
  st->main_error = text_ref(L, ""); /* its place is there without memory */
}

struct ws_state *ws_world_blank(lua_State *L) {
  struct ws_state *st = lua_newuserdatauv(L, sizeof *st, 0);
  init(L, st);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, state_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  st->anchors = new_table_ref(L);
  st->objects = new_table_ref(L);
  make_texts(L, st);
  return st;
}

static void open_classes(lua_State *L, struct ws_state *st) {
  ws_open_conn(L, st);
  ws_open_server(L);
  ws_open_backplane(L);
  ws_open_body(L);
  ws_open_hear(L);
  ws_open_queue(L);
  ws_open_spawn(L);
  ws_open_timer(L);
  ws_open_writer(L);
}

void ws_world_new(lua_State *L) {
  struct ws_state *st = ws_world_blank(L);
  st->is_default = !atomic_flag_test_and_set(&default_loop_is_taken);
  st->ev = ws_ev_new(st->is_default, ws_world_turn, st);
  if (!st->ev) {
    if (st->is_default) atomic_flag_clear(&default_loop_is_taken);
    luaL_error(L, "libev has no event loop to give");
  }
  st->drive = ws_ev_driver(st->ev);
  ws_loop_init(&st->loop, ws_ev_io(st->ev));
  ws_ev_attach(st->ev, &st->loop);
  ws_state_keep(L);
  open_classes(L, st);
  ws_worker_open(st);
}
