/* module.c: luaopen_evws_core: one engine for a Lua state, made when the
 * module is first loaded and closed with the state. */
#include <stdatomic.h>

#include "base/buf.h"
#include "binding/file.h"
#include "binding/log.h"
#include "binding/options.h"
#include "binding/task.h"
#include "binding/watchdog.h"
#include "protocol/secret.h"
#include "transport/linger.h"

static const char engine_key; /* its address is the key in the registry */
static atomic_flag default_loop_is_taken = ATOMIC_FLAG_INIT;

struct ws_engine *ws_engine_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &engine_key);
  struct ws_engine *e = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return e;
}

bool ws_engine_protect(struct ws_engine *e, lua_CFunction fn, void *arg) {
  lua_State *L = ws_engine_thread(e);
  if (!lua_checkstack(L, 8)) return false;
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

void ws_engine_check_fork(lua_State *L, struct ws_engine *e) {
  if (e->is_closed) luaL_error(L, "evws is closed");
  if (ws_loop_is_forked(&e->loop))
    luaL_error(L, "evws was loaded before this process was forked");
}

bool ws_is_usable(const struct lua_conn *lc) {
  struct ws_loop *loop = lc->c.stream.loop;
  return loop && !ws_engine_of_loop(loop)->is_closed &&
         !ws_loop_is_forked(loop);
}

/* Whoever drives libev, the turn is ours. */
static void turn(void *arg) {
  struct ws_engine *e = arg;
  if (e->loop.in_turn || e->is_closed || ws_loop_is_forked(&e->loop)) return;
  if (e->watchdog) ws_watchdog_enter(e->watchdog);
  ws_loop_turn(&e->loop);
  if (e->watchdog) ws_watchdog_leave(e->watchdog);
}

/* Connections and servers have been finalized before: the engine is older
 * than any of them. */
static int engine_gc(lua_State *L) {
  struct ws_engine *e = lua_touserdata(L, 1);
  if (e->is_closed) return 0;
  e->is_closed = true;
  ws_watchdog_stop(e);
  ws_task_free_all(e);
  if (e->ev) {
    struct ws_timer *t; /* of whoever drives, or set by a finalizer */
    while ((t = ws_heap_first(&e->loop.timers)))
      ws_heap_clear(&e->loop.timers, t);
    ws_linger_stop(&e->loop);
    ws_loop_free(&e->loop);
    ws_ev_free(e->ev);
    e->ev = NULL;
    if (e->is_default) atomic_flag_clear(&default_loop_is_taken);
  }
  ws_mem_free(e->free_slots);
  return 0;
}

static int new_table_ref(lua_State *L) {
  lua_newtable(L);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void init(lua_State *L, struct ws_engine *e) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  *e = (struct ws_engine){
    .L = lua_tothread(L, -1), .on_error = LUA_NOREF, .module = LUA_NOREF};
  lua_pop(L, 1);
  ws_list_init(&e->pool);
  ws_list_init(&e->tasks);
  ws_list_init(&e->servers);
  ws_list_init(&e->timers);
  ws_host_fill(&e->host);
}

static struct ws_engine *new_engine(lua_State *L) {
  struct ws_engine *e = lua_newuserdatauv(L, sizeof *e, 0);
  init(L, e);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, engine_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  e->is_default = !atomic_flag_test_and_set(&default_loop_is_taken);
  e->ev = ws_ev_new(e->is_default, turn, e);
  if (!e->ev) {
    if (e->is_default) atomic_flag_clear(&default_loop_is_taken);
    luaL_error(L, "libev has no event loop to give");
  }
  ws_loop_init(&e->loop, ws_ev_io(e->ev));
  ws_ev_attach(e->ev, &e->loop);
  e->anchors = new_table_ref(L);
  e->objects = new_table_ref(L);
  lua_pushliteral(L, "log");
  e->log_name = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushliteral(L, "attempt to yield out of a handler (use ws.sleep or "
                     "ws.spawn)");
  e->yield_error = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &engine_key);
  ws_open_conn(L, e);
  ws_open_server(L);
  ws_open_timer(L);
  ws_open_writer(L);
  return e;
}

static int lua_now(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  if (e->is_closed) return luaL_error(L, "evws is closed");
  lua_pushnumber(L, ws_loop_now(&e->loop));
  return 1;
}

/* core.set_module(ws): whose `log` is called; the last one that was loaded. */
static int lua_set_module(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, e->module);
  e->module = LUA_NOREF;
  e->module = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int lua_on_error(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, e->on_error);
  e->on_error = LUA_NOREF;
  if (!lua_isnil(L, 1)) e->on_error = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

#ifdef WS_FAULT
/* core.fail_at(n, every): for specs, see ws_mem_fail_at. */
static int lua_fail_at(lua_State *L) {
  ws_mem_fail_at((long)luaL_checkinteger(L, 1), lua_toboolean(L, 2));
  return 0;
}
#endif

/* Numbers are no secrets: strings, or it raises. */
static int lua_equals(lua_State *L) {
  struct ws_slice a, b;
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  a.p = lua_tolstring(L, 1, &a.n);
  b.p = lua_tolstring(L, 2, &b.n);
  lua_pushboolean(L, ws_secret_equals(a, b));
  return 1;
}

static const luaL_Reg functions[] = {{"after", ws_lua_after},
                                     {"connect", ws_lua_connect},
                                     {"equals", lua_equals},
                                     {"every", ws_lua_every},
                                     {"fd", ws_lua_fd},
                                     {"listen", ws_lua_listen},
                                     {"log", ws_lua_log},
                                     {"now", lua_now},
                                     {"set_module", lua_set_module},
                                     {"watchdog", ws_lua_watchdog},
                                     {"on_error", lua_on_error},
                                     {"run", ws_lua_run},
                                     {"input", ws_lua_input},
                                     {"sleep", ws_lua_sleep},
                                     {"spawn", ws_lua_spawn},
                                     {"step", ws_lua_step},
                                     {"stop", ws_lua_stop},
                                     {"timeout", ws_lua_timeout},
                                     {NULL, NULL}};

__attribute__((visibility("default"))) int luaopen_evws_core(lua_State *L);

int luaopen_evws_core(lua_State *L) {
  luaL_checkversion(L);
  if (!ws_engine_of(L)) new_engine(L);
  luaL_newlib(L, functions);
  ws_options_push_defaults(L);
  lua_setfield(L, -2, "defaults");
  lua_pushliteral(L, WS_VERSION);
  lua_setfield(L, -2, "version");
  ws_file_open_lib(L);
  lua_setfield(L, -2, "file");
#ifdef WS_FAULT
  lua_pushcfunction(L, lua_fail_at);
  lua_setfield(L, -2, "fail_at");
#endif
  return 1;
}
