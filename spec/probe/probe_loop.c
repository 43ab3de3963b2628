/* probe_loop: the turn (src/transport/loop.h) over a provider that is a fake,
 * or over libev.
 *
 * new()              a loop whose clock and readiness are the spec's
 * new("ev")          a loop over libev, one of its own
 *
 * loop:now([seconds])   the fake's clock, set and read
 * loop:turn(), loop:busy(), loop:in_turn()
 * loop:step(timeout) -> false when nothing is watched (libev only)
 * loop:wake() -> what wake_at was last told, how often it was told
 * loop:spend(n)      the kernel was handed so many bytes
 * loop:rang()        as the provider does when the time it was told has come
 * loop:random([n[, fails]]) -> n bytes (4) or nil, calls of the provider's
 *   random so far, what is left of the block, its used part; the fake's count
 *   up in words of 4 bytes
 * loop:random_in_child() -> 4 bytes, as a forked child gets them
 * loop:free_later()  gives a block back; loop:dead() -> how many wait for it
 *
 * Items; each calls fn, which may do anything with the loop but turn it:
 * loop:watch(fd, fn), :timer(fn), :deadline(fn), :job(fn), :late(fn)
 * item:set(x)   a watch: wants x (1 reads, 2 writes, 3 both), fn(got);
 *               a timer: in x seconds; a deadline: in x ticks; else: now
 * item:stop()   a watch, timer, deadline
 * item:ready(x) as the provider does: a watch is ready for x
 * item:again()  ws_loop_again */
#include "probe.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "probe_loop.h"
#include "transport/linger.h"
#include "transport/random.h"

#define ITEM "probe.item"

void probe_open_loop(lua_State *L);

enum kind { WATCH, TIMER, DEADLINE, JOB, LATE };

struct item {
  struct probe_loop *pl;
  enum kind kind;
  int fn; /* registry */
  union {
    struct ws_watch watch;
    struct ws_timer timer;
    struct ws_deadline deadline;
    struct ws_job job;
    struct ws_late late;
  };
};

void probe_loop_call(struct probe_loop *pl, int fn, int n) {
  lua_State *L = pl->L;
  lua_rawgeti(L, LUA_REGISTRYINDEX, fn);
  lua_insert(L, -n - 1);
  if (lua_pcall(L, n, 0, 0) == LUA_OK) return;
  if (pl->error == LUA_NOREF)
    pl->error = luaL_ref(L, LUA_REGISTRYINDEX);
  else
    lua_pop(L, 1);
}

void probe_loop_raise(lua_State *L, struct probe_loop *pl) {
  if (pl->error == LUA_NOREF) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, pl->error);
  luaL_unref(L, LUA_REGISTRYINDEX, pl->error);
  pl->error = LUA_NOREF;
  lua_error(L);
}

/* ---- items ---- */

static void on_watch(struct ws_watch *w) {
  struct item *i = WS_LIST_ENTRY(w, struct item, watch);
  lua_pushinteger(i->pl->L, w->got);
  w->got = 0;
  probe_loop_call(i->pl, i->fn, 1);
}

static void on_timer(struct ws_timer *t) {
  struct item *i = WS_LIST_ENTRY(t, struct item, timer);
  probe_loop_call(i->pl, i->fn, 0);
}

static void on_deadline(struct ws_deadline *d) {
  struct item *i = WS_LIST_ENTRY(d, struct item, deadline);
  probe_loop_call(i->pl, i->fn, 0);
}

static void on_job(struct ws_job *j) {
  struct item *i = WS_LIST_ENTRY(j, struct item, job);
  probe_loop_call(i->pl, i->fn, 0);
}

static void on_late(struct ws_late *l) {
  struct item *i = WS_LIST_ENTRY(l, struct item, late);
  probe_loop_call(i->pl, i->fn, 0);
}

static struct item *new_item(lua_State *L, enum kind kind, int fn) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  luaL_checktype(L, fn, LUA_TFUNCTION);
  lua_settop(L, fn);
  struct item *i = lua_newuserdatauv(L, sizeof *i, 1);
  memset(i, 0, sizeof *i);
  i->pl = pl;
  i->kind = kind;
  ws_list_init(&i->job.link); /* the link is what these three begin with */
  luaL_setmetatable(L, ITEM);
  lua_pushvalue(L, 1); /* the loop outlives it */
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, fn);
  i->fn = luaL_ref(L, LUA_REGISTRYINDEX);
  return i;
}

static int loop_watch(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 2);
  struct item *i = new_item(L, WATCH, 3);
  ws_list_init(&i->watch.ready);
  i->watch.fd = fd;
  i->watch.fn = on_watch;
  return 1;
}

static int loop_timer(lua_State *L) {
  struct item *i = new_item(L, TIMER, 2);
  memset(&i->timer, 0, sizeof i->timer);
  i->timer.fn = on_timer;
  return 1;
}

static int loop_deadline(lua_State *L) {
  struct item *i = new_item(L, DEADLINE, 2);
  i->pl->loop.on_deadline = on_deadline;
  return 1;
}

static int loop_job(lua_State *L) {
  new_item(L, JOB, 2)->job.run = on_job;
  return 1;
}

static int loop_late(lua_State *L) {
  new_item(L, LATE, 2)->late.run = on_late;
  return 1;
}

static struct item *check_item(lua_State *L) {
  struct item *i = luaL_checkudata(L, 1, ITEM);
  i->pl->L = L;
  return i;
}

static int item_set(lua_State *L) {
  struct item *i = check_item(L);
  struct ws_loop *loop = &i->pl->loop;
  switch (i->kind) {
  case WATCH:
    ws_loop_watch(loop, &i->watch, (uint8_t)luaL_checkinteger(L, 2));
    break;
  case TIMER:
    lua_pushboolean(L, ws_loop_timer(loop, &i->timer, luaL_checknumber(L, 2)));
    return 1;
  case DEADLINE:
    ws_loop_deadline(loop, &i->deadline,
                     loop->tick + (uint32_t)luaL_checkinteger(L, 2));
    break;
  case JOB: ws_loop_job(loop, &i->job); break;
  case LATE: ws_loop_late(loop, &i->late); break;
  }
  return 0;
}

static int item_stop(lua_State *L) {
  struct item *i = check_item(L);
  if (i->kind == WATCH) ws_loop_unwatch(&i->pl->loop, &i->watch);
  if (i->kind == TIMER) ws_loop_timer_stop(&i->pl->loop, &i->timer);
  if (i->kind == DEADLINE) ws_wheel_clear(&i->pl->loop.wheel, &i->deadline);
  return 0;
}

static int item_ready(lua_State *L) {
  struct item *i = check_item(L);
  luaL_argcheck(L, i->kind == WATCH, 1, "not a watch");
  i->watch.got |= (uint8_t)luaL_checkinteger(L, 2);
  if (!ws_list_is_linked(&i->watch.ready))
    ws_list_append(&i->pl->loop.ready, &i->watch.ready);
  return 0;
}

static int item_again(lua_State *L) {
  struct item *i = check_item(L);
  luaL_argcheck(L, i->kind == WATCH, 1, "not a watch");
  ws_loop_again(&i->pl->loop, &i->watch);
  return 0;
}

static int item_gc(lua_State *L) {
  struct item *i = check_item(L);
  item_stop(L);
  if (i->kind == JOB || i->kind == LATE) ws_list_remove(&i->job.link);
  luaL_unref(L, LUA_REGISTRYINDEX, i->fn);
  i->fn = LUA_NOREF;
  return 0;
}

/* ---- the loop ---- */

static void turn(void *arg) {
  struct probe_loop *pl = arg;
  ws_loop_turn(&pl->loop);
}

static int loop_new(lua_State *L) {
  bool is_real = strcmp(luaL_optstring(L, 1, ""), "ev") == 0;
  struct probe_loop *pl = lua_newuserdatauv(L, sizeof *pl, 0);
  memset(pl, 0, sizeof *pl);
  pl->L = L;
  pl->error = LUA_NOREF;
  fake_io_init(&pl->fake);
  if (is_real && (pl->ev = ws_ev_new(false, turn, pl)) == NULL)
    return luaL_error(L, "libev has no loop to give");
  ws_loop_init(&pl->loop, pl->ev ? ws_ev_io(pl->ev) : &pl->fake.io);
  if (pl->ev != NULL) ws_ev_attach(pl->ev, &pl->loop);
  luaL_setmetatable(L, PROBE_LOOP);
  return 1;
}

static int loop_now(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  if (!lua_isnoneornil(L, 2)) pl->fake.now = luaL_checknumber(L, 2);
  lua_pushnumber(L, ws_loop_now(&pl->loop));
  return 1;
}

static int loop_turn(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  ws_loop_turn(&pl->loop);
  probe_loop_raise(L, pl);
  return 0;
}

static int loop_step(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  luaL_argcheck(L, pl->ev != NULL, 1, "not over libev");
  struct ws_driver *driver = ws_ev_driver(pl->ev);
  lua_pushboolean(L, driver->step(driver, luaL_checknumber(L, 2), NULL));
  probe_loop_raise(L, pl);
  return 1;
}

static int loop_busy(lua_State *L) {
  lua_pushboolean(L, ws_loop_is_busy(&probe_loop_check(L, 1)->loop));
  return 1;
}

static int loop_in_turn(lua_State *L) {
  lua_pushboolean(L, probe_loop_check(L, 1)->loop.in_turn);
  return 1;
}

static int loop_wake(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  lua_pushnumber(L, pl->fake.wake);
  lua_pushinteger(L, pl->fake.wakes);
  return 2;
}

static int loop_spend(lua_State *L) {
  struct ws_loop *loop = &probe_loop_check(L, 1)->loop;
  ws_loop_spend(loop, (size_t)luaL_checkinteger(L, 2));
  return 0;
}

static int loop_rang(lua_State *L) {
  probe_loop_check(L, 1)->loop.rang = true;
  return 0;
}

static int loop_random(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  struct ws_random *r = &pl->loop.random;
  uint8_t bytes[64];
  lua_Integer n = luaL_optinteger(L, 2, 4);
  luaL_argcheck(L, n >= 0 && n <= 64, 2, "0 to 64");
  pl->fake.has_no_random = lua_toboolean(L, 3);
  if (ws_random_take(&pl->loop, bytes, (size_t)n))
    lua_pushlstring(L, (char *)bytes, (size_t)n);
  else
    lua_pushnil(L);
  lua_pushinteger(L, pl->fake.randoms);
  lua_pushinteger(L, (lua_Integer)r->left);
  lua_pushlstring(L, (char *)r->block + r->left, sizeof r->block - r->left);
  return 4;
}

static int loop_random_in_child(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  uint8_t bytes[4] = {0};
  int ends[2], status = 1;
  if (pipe(ends) != 0) return luaL_error(L, "no pipe");
  pid_t child = fork();
  if (child == 0) {
    bool ok = ws_random_take(&pl->loop, bytes, sizeof bytes) &&
              write(ends[1], bytes, sizeof bytes) == sizeof bytes;
    _exit(!ok);
  }
  close(ends[1]);
  bool ok = child > 0 && read(ends[0], bytes, sizeof bytes) == sizeof bytes;
  close(ends[0]);
  if (child > 0) waitpid(child, &status, 0);
  if (!ok || status) return luaL_error(L, "the child failed");
  lua_pushlstring(L, (char *)bytes, sizeof bytes);
  return 1;
}

static int loop_free_later(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  void *p = ws_mem_alloc(64);
  if (p != NULL) ws_loop_free_later(&pl->loop, p);
  return 0;
}

static int loop_dead(lua_State *L) {
  struct ws_list *dead = &probe_loop_check(L, 1)->loop.dead, *e;
  lua_Integer n = 0;
  for (e = dead->next; e != dead; e = e->next) n++;
  lua_pushinteger(L, n);
  return 1;
}

static int loop_gc(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  ws_linger_stop(&pl->loop);
  ws_loop_free(&pl->loop);
  ws_ev_free(pl->ev);
  fake_io_free(&pl->fake);
  luaL_unref(L, LUA_REGISTRYINDEX, pl->error);
  return 0;
}

static const luaL_Reg loop_methods[] = {
  {"now", loop_now},
  {"turn", loop_turn},
  {"step", loop_step},
  {"busy", loop_busy},
  {"in_turn", loop_in_turn},
  {"wake", loop_wake},
  {"rang", loop_rang},
  {"spend", loop_spend},
  {"free_later", loop_free_later},
  {"dead", loop_dead},
  {"watch", loop_watch},
  {"timer", loop_timer},
  {"deadline", loop_deadline},
  {"job", loop_job},
  {"late", loop_late},
  {"random", loop_random},
  {"random_in_child", loop_random_in_child},
  {"__gc", loop_gc},
  {NULL, NULL},
};

static const luaL_Reg item_methods[] = {
  {"set", item_set},     {"stop", item_stop}, {"ready", item_ready},
  {"again", item_again}, {"__gc", item_gc},   {NULL, NULL},
};

static const luaL_Reg functions[] = {{"new", loop_new}, {NULL, NULL}};

static void new_class(lua_State *L, const char *name, const luaL_Reg *list) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, list, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void probe_open_loop(lua_State *L) {
  new_class(L, PROBE_LOOP, loop_methods);
  new_class(L, ITEM, item_methods);
  luaL_newlib(L, functions);
}
