/* lua_sim.c: a second state of evws, over a simulated network, that takes the
 * place of the real one for a while. The real one stands still meanwhile: no
 * clock of it goes on, and whatever is open there stays so. */
#include "binding/lua_sim.h"

#include <math.h>

#include "binding/anchors.h"
#include "binding/lua_backplane.h"
#include "binding/lua_timer.h"
#include "binding/task.h"
#include "binding/world.h"
#include "engine/conn.h"
#include "engine/farewell.h"
#include "engine/retry.h"
#include "engine/server.h"
#include "transport/sim.h"

#define ROUNDS_MAX 10000 /* of the end */

static const char real_key, sim_key; /* in the registry */

/* Lua raises it, at the line of whoever made the mistake. */
static int refuse(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* Nor in ws.log, a view or a finalizer, whose caller goes on with the state. */
static bool is_outside(lua_State *L, struct ws_state *st) {
  return !st->current && !st->driver && ws_task_can_wait(L, st);
}

/* The simulated state, or it raises. */
static struct ws_state *check_sim(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  if (!st->sim) luaL_error(L, "no simulated network is entered");
  return st;
}

/* ---- entering ---- */

/* Pushes the simulated state; it is made when it is first asked for, and stays:
 * objects of it may outlive their network. */
static struct ws_state *push_state(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &sim_key) == LUA_TUSERDATA)
    return lua_touserdata(L, -1);
  lua_pop(L, 1);
  struct ws_state *st = ws_world_blank(L);
  st->is_closed = true;
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sim_key);
  return st;
}

static int copy_ref(lua_State *L, int ref) {
  if (ref == LUA_NOREF) return ref;
  lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void clear_table(lua_State *L, int ref) {
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, ref);
}

/* What was set in the real one holds here too, but not the other way. */
static void begin(lua_State *L, struct ws_state *st,
                  const struct ws_state *real) {
  clear_table(L, st->anchors);
  clear_table(L, st->objects);
  st->conn_meta = real->conn_meta;
  st->module = copy_ref(L, real->module);
  st->on_error = copy_ref(L, real->on_error);
  st->is_stopped = st->has_main_failed = st->is_retiring = false;
  st->is_served = st->has_turned = true;
  st->signals = 0;
  st->pooled = 0;
  st->driver = NULL;
}

static struct ws_sim_link check_link(lua_State *L, int at) {
  return (struct ws_sim_link){.delay = luaL_checknumber(L, at),
                              .spread = luaL_checknumber(L, at + 1),
                              .cut = luaL_checknumber(L, at + 2),
                              .rate = luaL_checknumber(L, at + 3),
                              .buffer = (size_t)luaL_checkinteger(L, at + 4)};
}

/* seed, epoch, limit, has_trace, then the link's five. Is there an on_error? */
static int enter(lua_State *L) {
  struct ws_state *real = ws_state_of(L);
  struct ws_sim_options o = {.seed = (uint64_t)luaL_checkinteger(L, 1),
                             .epoch = luaL_checkinteger(L, 2),
                             .limit = luaL_checknumber(L, 3),
                             .has_trace = lua_toboolean(L, 4),
                             .link = check_link(L, 5)};
  if (real->sim) return refuse(L, "a simulated network is entered already");
  ws_state_check_fork(L, real);
  if (!is_outside(L, real))
    return refuse(L, "a simulated network cannot be entered in a handler or a "
                     "task");
  bool has_on_error = real->on_error != LUA_NOREF;
  lua_rawgetp(L, LUA_REGISTRYINDEX, ws_state_key());
  lua_rawsetp(L, LUA_REGISTRYINDEX, &real_key);
  struct ws_state *st = push_state(L);
  begin(L, st, real);
  st->sim = ws_sim_new(&o, ws_world_turn, st);
  if (!st->sim) return luaL_error(L, "not enough memory");
  st->drive = ws_sim_driver(st->sim);
  ws_loop_init(&st->loop, ws_sim_io(st->sim));
  ws_sim_attach(st->sim, &st->loop);
  st->is_closed = false;
  ws_state_keep(L);
  lua_pushboolean(L, has_on_error);
  return 1;
}

/* ---- leaving ---- */

static void cut_conn(struct lua_conn *lc) {
  if (lc->c.is_freed) return;
  lc->c.is_ours = false;
  ws_retry_end(&lc->c);
  ws_conn_terminate(&lc->c, 1006, "terminated");
}

static void cut_servers(struct ws_state *st) {
  struct ws_list *e = st->servers.next;
  while (e != &st->servers) {
    struct lua_server *ls = WS_LIST_ENTRY(e, struct lua_server, link);
    e = e->next; /* closing may take it out of the list */
    ws_farewell_begin(&ls->s, 1001, (struct ws_slice){"", 0}, 0);
  }
}

static void cancel_tasks(lua_State *L, struct ws_state *st) {
  for (struct ws_list *e = st->tasks.next; e != &st->tasks; e = e->next)
    ws_task_cancel(L, WS_LIST_ENTRY(e, struct ws_task, link));
}

static bool is_empty(const struct ws_state *st) {
  return ws_list_is_empty(&st->servers) && ws_list_is_empty(&st->tasks) &&
         ws_list_is_empty(&st->timers) && ws_list_is_empty(&st->backplanes) &&
         st->n_anchored == 0 && !ws_loop_is_busy(&st->loop);
}

/* Everybody is told, as if the cables had been cut; what handlers open then
 * goes in the next round. */
static void cut_all(lua_State *L, struct ws_state *st) {
  int rounds = ROUNDS_MAX;
  st->driver = L;
  ws_sim_no_limit(st->sim);
  do {
    ws_anchor_each(L, st, cut_conn);
    cut_servers(st);
    ws_timers_end_all(st);
    ws_backplanes_close(st);
    cancel_tasks(L, st);
    if (is_empty(st)) break;
  } while (st->drive->step(st->drive, -1, L) && --rounds);
  st->driver = NULL;
}

static void abandon_conn(struct lua_conn *lc) {
  ws_conn_abandon(&lc->c);
}

/* Whom even that did not end (a handler that opens without an end). */
static void abandon_all(lua_State *L, struct ws_state *st) {
  struct ws_list *e;
  ws_anchor_each(L, st, abandon_conn);
  while ((e = ws_list_shift(&st->servers))) {
    struct lua_server *ls = WS_LIST_ENTRY(e, struct lua_server, link);
    if (!ls->s.is_gone) ws_server_abandon(&ls->s);
  }
}

static void drop_ref(lua_State *L, int *ref) {
  luaL_unref(L, LUA_REGISTRYINDEX, *ref);
  *ref = LUA_NOREF;
}

/* The trace can still be asked for. */
static int end_all(lua_State *L) {
  struct ws_state *st = check_sim(L);
  if (!is_outside(L, st))
    return refuse(L, "a simulated network cannot be left in a handler or a "
                     "task");
  luaL_checkstack(L, 16, NULL);
  cut_all(L, st);
  lua_pushboolean(L, true);
  return 1;
}

static int leave(lua_State *L) {
  struct ws_state *st = check_sim(L);
  luaL_checkstack(L, 16, NULL);
  abandon_all(L, st);
  ws_world_end(st);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &real_key);
  ws_state_keep(L);
  drop_ref(L, &st->module);
  drop_ref(L, &st->on_error);
  clear_table(L, st->anchors);
  clear_table(L, st->objects);
  return 0;
}

/* ---- what is done to it ---- */

/* The descriptor of the connection at 1; -1 for nil: all. False: it is not
 * (any more) of this network. */
static bool find(lua_State *L, struct ws_state *st, int *fd) {
  *fd = -1;
  if (lua_isnil(L, 1)) return true;
  struct lua_conn *lc = ws_check_conn(L, 1);
  if (lc->c.stream.watch.loop != &st->loop || lc->c.is_freed) return false;
  *fd = lc->c.stream.watch.fd;
  return *fd >= 0;
}

static int answer(lua_State *L, bool is_known) {
  if (!is_known) return refuse(L, "the connection is not open on this network");
  lua_pushboolean(L, true);
  return 1;
}

static int set_link(lua_State *L) {
  struct ws_state *st = check_sim(L);
  struct ws_sim_link link = check_link(L, 2);
  int fd;
  return answer(L, find(L, st, &fd) && ws_sim_set_link(st->sim, fd, &link));
}

static int get_link(lua_State *L) {
  struct ws_state *st = check_sim(L);
  int fd;
  if (!find(L, st, &fd)) return answer(L, false);
  const struct ws_sim_link *link = ws_sim_link(st->sim, fd);
  lua_pushnumber(L, link->delay);
  lua_pushnumber(L, link->spread);
  lua_pushnumber(L, link->cut);
  lua_pushnumber(L, link->rate);
  lua_pushinteger(L, (lua_Integer)link->buffer);
  return 5;
}

static int hold(lua_State *L) {
  struct ws_state *st = check_sim(L);
  bool on = lua_toboolean(L, 2);
  int fd;
  return answer(L, find(L, st, &fd) && ws_sim_hold(st->sim, fd, on));
}

static int reset(lua_State *L) {
  struct ws_state *st = check_sim(L);
  size_t after = (size_t)luaL_optinteger(L, 2, 0);
  int fd;
  return answer(L, find(L, st, &fd) && ws_sim_reset(st->sim, fd, after));
}

static int wall(lua_State *L) {
  struct ws_state *st = check_sim(L);
  lua_pushinteger(L, st->loop.io->ops->wall(st->loop.io));
  return 1;
}

static int trace(lua_State *L) {
  struct ws_slice text = ws_sim_trace(check_sim(L)->sim);
  lua_pushlstring(L, text.p, text.n);
  return 1;
}

void ws_sim_push(lua_State *L) {
  static const luaL_Reg functions[] = {{"end_all", end_all},   {"enter", enter},
                                       {"get_link", get_link}, {"hold", hold},
                                       {"leave", leave},       {"reset", reset},
                                       {"set_link", set_link}, {"trace", trace},
                                       {"wall", wall},         {NULL, NULL}};
  luaL_newlib(L, functions);
}
