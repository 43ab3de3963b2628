/* module.c: luaopen_evws_core: one loop for a Lua state, made when the
 * module is first loaded and closed with the state. */
#include "base/buf.h"
#include "binding/deliver.h"
#include "binding/file.h"
#include "binding/host.h"
#include "binding/log.h"
#include "binding/lua_backplane.h"
#include "binding/lua_body.h"
#include "binding/lua_call.h"
#include "binding/lua_client.h"
#include "binding/lua_conn.h"
#include "binding/lua_hear.h"
#include "binding/lua_input.h"
#include "binding/lua_json.h"
#include "binding/lua_packed_call.h"
#include "binding/lua_pass.h"
#include "binding/lua_process.h"
#include "binding/lua_queue.h"
#include "binding/lua_serve.h"
#include "binding/lua_server.h"
#include "binding/lua_sim.h"
#include "binding/lua_short_call.h"
#include "binding/lua_spawn.h"
#include "binding/lua_timer.h"
#include "binding/lua_wait.h"
#include "binding/lua_worker.h"
#include "binding/lua_writer.h"
#include "binding/options.h"
#include "binding/run.h"
#include "binding/suggest.h"
#include "binding/task.h"
#include "binding/task_error.h"
#include "binding/watchdog.h"
#include "binding/worker.h"
#include "binding/world.h"
#include "protocol/secret.h"
#include "transport/random.h"

/* WS_VERSION is what stands in the file VERSION; the Makefile hands it over. */
#define AS_STRING(x) #x
#define STRING(x) AS_STRING(x)
#define RANDOM_MAX 65536

static int lua_now(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  if (st->is_closed) return luaL_error(L, "evws is closed");
  lua_pushnumber(L, ws_loop_now(&st->loop));
  return 1;
}

/* core.set_module(ws): whose `log` is called; the last one that was loaded. */
static int lua_set_module(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, st->module);
  st->module = LUA_NOREF;
  st->module = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

#ifdef WS_FAULT
/* core.fail_at(n, every): for specs, see ws_mem_fail_at. */
static int lua_fail_at(lua_State *L) {
  ws_mem_fail_at((long)luaL_checkinteger(L, 1), lua_toboolean(L, 2));
  return 0;
}
#endif

/* Bytes of the kernel's generator: for ids that nobody can guess. */
static int lua_random(lua_State *L) {
  ws_state_check_dot(L, "random");
  struct ws_state *st = ws_state_of(L);
  luaL_Buffer b;
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "0 to 65536 expected");
  if (st->is_closed) return luaL_error(L, "evws is closed");
  char *to = luaL_buffinitsize(L, &b, (size_t)n);
  for (size_t at = 0, left = (size_t)n; left;) {
    size_t some = left < 64 ? left : 64;
    if (!ws_random_take(&st->loop, to + at, some))
      return luaL_error(L, "the system gives no random bytes");
    at += some;
    left -= some;
  }
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

/* Numbers are no secrets: strings, or it raises. */
static int lua_equals(lua_State *L) {
  ws_state_check_dot(L, "equals");
  struct ws_slice a, b;
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  a.p = lua_tolstring(L, 1, &a.n);
  b.p = lua_tolstring(L, 2, &b.n);
  lua_pushboolean(L, ws_secret_equals(a, b));
  return 1;
}

/* RFC 2104, with SHA-256: what signs a token. */
static int lua_hmac_sha256(lua_State *L) {
  ws_state_check_dot(L, "hmac_sha256");
  struct ws_slice key, text;
  uint8_t mac[WS_SECRET_MAC_LEN];
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  key.p = lua_tolstring(L, 1, &key.n);
  text.p = lua_tolstring(L, 2, &text.n);
  if (!ws_secret_mac(key, text, mac)) return luaL_error(L, "not enough memory");
  lua_pushlstring(L, (const char *)mac, sizeof mac);
  return 1;
}

static const luaL_Reg functions[] = {{"after", ws_lua_after},
                                     {"backplane", ws_lua_backplane},
                                     {"call_reader", ws_lua_call_reader},
                                     {"connect", ws_lua_connect},
                                     {"equals", lua_equals},
                                     {"every", ws_lua_every},
                                     {"fd", ws_lua_fd},
                                     {"hmac_sha256", lua_hmac_sha256},
                                     {"json_decode", ws_lua_json_decode},
                                     {"json_split", ws_lua_json_split},
                                     {"listen", ws_lua_listen},
                                     {"log", ws_lua_log},
                                     {"now", lua_now},
                                     {"set_module", lua_set_module},
                                     {"wait", ws_lua_wait},
                                     {"watchdog", ws_lua_watchdog},
                                     {"on_error", ws_lua_on_error},
                                     {"packed_reader", ws_lua_packed_reader},
                                     {"packed_writer", ws_lua_packed_writer},
                                     {"process", ws_lua_process},
                                     {"queue", ws_lua_queue},
                                     {"random", lua_random},
                                     {"result_writer", ws_lua_result_writer},
                                     {"run", ws_lua_run},
                                     {"input", ws_lua_input},
                                     {"sleep", ws_lua_sleep},
                                     {"spawn", ws_lua_spawn},
                                     {"spawn_now", ws_lua_spawn_now},
                                     {"detach", ws_lua_detach},
                                     {"server_of", ws_lua_server_of},
                                     {"short_call", ws_lua_short_call},
                                     {"passable", ws_lua_passable},
                                     {"passed", ws_lua_passed},
                                     {"expect", ws_lua_expect},
                                     {"adopt", ws_lua_adopt},
                                     {"step", ws_lua_step},
                                     {"stop", ws_lua_stop},
                                     {"suggest", ws_lua_suggest},
                                     {"timeout", ws_lua_timeout},
                                     {NULL, NULL}};

__attribute__((visibility("default"))) int luaopen_evws_core(lua_State *L);

int luaopen_evws_core(lua_State *L) {
  luaL_checkversion(L);
  if (!ws_state_of(L)) ws_world_new(L);
  luaL_newlib(L, functions);
  ws_options_push_defaults(L);
  lua_setfield(L, -2, "defaults");
  lua_pushliteral(L, STRING(WS_VERSION));
  lua_setfield(L, -2, "version");
  ws_file_open_lib(L);
  lua_setfield(L, -2, "file");
  ws_worker_push(L);
  lua_setfield(L, -2, "worker");
  ws_serve_push(L);
  lua_setfield(L, -2, "serve");
  ws_sim_push(L);
  lua_setfield(L, -2, "sim");
#ifdef WS_FAULT
  lua_pushcfunction(L, lua_fail_at);
  lua_setfield(L, -2, "fail_at");
#endif
  return 1;
}
