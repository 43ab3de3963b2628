/* lua_short_call.c: a call of a hub's client, from its bytes to its answer. It
 * does what dispatch.lua does with a simple method, where nothing is rare. */
#include "binding/lua_short_call.h"

#include <lauxlib.h>

#include "binding/anchors.h"
#include "binding/deliver.h"
#include "binding/lua_call.h"
#include "binding/lua_message.h"
#include "binding/lua_packed_call.h"
#include "engine/conn_send.h"
#include "protocol/utf8.h"

/* Upvalues. The names of fields are there too: as strings they are the keys
 * that they are, and need not be made. */
enum {
  MOST = 1,
  IS_BINARY = WS_PACKED_MAP_MARK + 1, /* then LANE */
  SLOTS,
  SIMPLE,
  HUB,
  CLOCK,
  HOLDERS,
  CATCH,
  FINISH,
  CTX,
  HEARD,
  IS_OVER,
  N_CALLS,
  N_WAITING,
  NOW,
  UPVALUES = NOW,
  LANE = IS_BINARY
};

/* The stack of a call. */
enum { SESSION = 1, BYTES, KIND, CONN, METHOD, HANDLER, VALUE };

/* What a method is. */
enum { FN = 1, N_ARGS, NAME };

struct lane {
  size_t most; /* bytes of a call */
  lua_Integer slots;
  lua_Integer calls, bytes, sent, bytes_sent; /* not yet told */
  bool is_binary;
};

struct call {
  struct ws_slice id, target;
  union {
    struct ws_call json;
    struct ws_packed_call packed;
  };
};

static struct lane *lane_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(LANE));
}

/* Pushes the field of a table, by the upvalue that is its name; its type. */
static int push_field(lua_State *L, int table, int name) {
  lua_pushvalue(L, lua_upvalueindex(name));
  return lua_rawget(L, table);
}

static lua_Integer field_integer(lua_State *L, int table, int name) {
  push_field(L, table, name);
  lua_Integer value = lua_tointeger(L, -1); /* nil, the class' own, is 0 */
  lua_pop(L, 1);
  return value;
}

static bool field_boolean(lua_State *L, int table, int name) {
  push_field(L, table, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static void set_integer(lua_State *L, int table, int name, lua_Integer value) {
  lua_pushvalue(L, lua_upvalueindex(name));
  lua_pushinteger(L, value);
  lua_rawset(L, table);
}

/* ---- the call ---- */

static bool read_call(const struct lane *lane, struct ws_slice bytes,
                      uint8_t opcode, struct call *call) {
  if (bytes.n > lane->most) return false;
  if (!lane->is_binary) {
    if (opcode != WS_OP_TEXT || !ws_call_read(bytes, &call->json)) return false;
    call->id = call->json.id;
    call->target = call->json.target;
    return true;
  }
  if (opcode != WS_OP_BINARY || !ws_packed_call_read(bytes, &call->packed))
    return false;
  call->id = call->packed.id;
  call->target = call->packed.target;
  return !call->id.p || ws_utf8_is_valid(call->id.p, call->id.n);
}

static bool push_method(lua_State *L, struct ws_slice name) {
  lua_pushlstring(L, name.p, name.n);
  return lua_rawget(L, lua_upvalueindex(SIMPLE)) == LUA_TTABLE;
}

/* Pushes what is called, and its arguments; false: they are not as many as they
 * should be, or rare. */
static bool push_call(lua_State *L, const struct lane *lane,
                      const struct call *call) {
  lua_rawgeti(L, METHOD, N_ARGS);
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(CATCH));
  lua_rawgeti(L, METHOD, FN);
  push_field(L, SESSION, CTX);
  return n == (lane->is_binary ? ws_packed_push_args(L, &call->packed)
                               : ws_call_push_args(L, &call->json));
}

/* Who awaits a client's result finds the session by its coroutine. The slot is
 * taken last: what is before it may raise, where there is no memory. */
static void begin(lua_State *L, struct lane *lane, size_t n_bytes,
                  lua_Integer n_calls) {
  lua_pushthread(L);
  lua_pushvalue(L, SESSION);
  lua_rawset(L, lua_upvalueindex(HOLDERS));
  lua_pushvalue(L, lua_upvalueindex(HEARD));
  push_field(L, lua_upvalueindex(CLOCK), NOW);
  lua_rawset(L, SESSION);
  set_integer(L, SESSION, N_CALLS, n_calls + 1);
  lane->calls++;
  lane->bytes += (lua_Integer)n_bytes;
}

/* ---- its end ---- */

/* Where in the bytes the id stands, as one number: halves of it. */
#define HALF (sizeof(lua_KContext) * 4)

static bool pack_id(struct ws_slice bytes, struct ws_slice id,
                    lua_KContext *packed) {
  size_t at = id.p ? (size_t)(id.p - bytes.p) : 0;
  if (id.n >> (HALF - 1) || at >> (HALF - 1)) return false;
  *packed = (lua_KContext)at << HALF | (lua_KContext)id.n;
  return true;
}

static struct ws_slice unpack_id(lua_State *L, lua_KContext packed) {
  size_t at = (size_t)packed >> HALF;
  size_t n = (size_t)packed & (((size_t)1 << HALF) - 1);
  return (struct ws_slice){lua_tostring(L, BYTES) + at, n};
}

static int told(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  lua_pushboolean(L, true);
  return 1;
}

static int finish(lua_State *L, struct ws_slice id, bool ok, enum ws_err sent) {
  lua_pushvalue(L, lua_upvalueindex(FINISH));
  lua_pushvalue(L, SESSION);
  if (id.n)
    lua_pushlstring(L, id.p, id.n);
  else
    lua_pushnil(L);
  lua_rawgeti(L, METHOD, NAME);
  lua_pushboolean(L, ok);
  lua_pushvalue(L, VALUE);
  if (sent == WS_ERR_FULL)
    lua_pushliteral(L, "queue full");
  else
    lua_pushboolean(L, sent == WS_OK);
  lua_callk(L, 6, 0, 0, told);
  return told(L, LUA_OK, 0);
}

/* WS_OK: there is nothing left to say of it. */
static enum ws_err answer(lua_State *L, struct lane *lane, struct ws_slice id) {
  char record[WS_RESULT_MAX];
  struct lua_conn *lc = ws_check_conn(L, CONN);
  size_t n = lane->is_binary ? ws_packed_put_result(L, VALUE, id, record)
                             : ws_call_put_result(L, VALUE, id, record);
  if (n == 0) return WS_ERR_MEMORY;
  lane->sent++;
  lane->bytes_sent += (lua_Integer)n;
  if (!ws_is_usable(lc)) return WS_OK; /* its end is on its way */
  enum ws_err err = ws_conn_send(
    &lc->c, lane->is_binary ? WS_OP_BINARY : WS_OP_TEXT, record, n);
  return err == WS_ERR_FULL ? err : WS_OK;
}

/* False: it gave back its slot, or somebody waits for that, or for its end. */
static bool leave(lua_State *L) {
  lua_pushthread(L);
  bool holds = lua_rawget(L, lua_upvalueindex(HOLDERS)) != LUA_TNIL;
  lua_pop(L, 1);
  if (!holds || field_integer(L, lua_upvalueindex(HUB), N_WAITING) > 0)
    return false;
  lua_pushthread(L);
  lua_pushnil(L);
  lua_rawset(L, lua_upvalueindex(HOLDERS));
  set_integer(L, SESSION, N_CALLS, field_integer(L, SESSION, N_CALLS) - 1);
  return true;
}

static int called(lua_State *L, int status, lua_KContext packed) {
  bool ok = status == LUA_OK || status == LUA_YIELD;
  struct ws_slice id = unpack_id(L, packed);
  bool is_over = field_boolean(L, SESSION, IS_OVER);
  enum ws_err sent = WS_ERR_MEMORY;
  if (ok) sent = id.n && !is_over ? answer(L, lane_of(L), id) : WS_OK;
  if (sent == WS_OK && !is_over && leave(L)) return told(L, LUA_OK, 0);
  return finish(L, id, ok, sent);
}

static int short_call(lua_State *L) {
  struct lane *lane = lane_of(L);
  struct ws_slice bytes;
  struct call call;
  lua_KContext packed;
  lua_settop(L, CONN);
  bytes.p = luaL_checklstring(L, BYTES, &bytes.n);
  if (!read_call(lane, bytes, ws_check_kind(L, KIND), &call) ||
      !push_method(L, call.target) || !pack_id(bytes, call.id, &packed))
    return 0;
  lua_Integer n_calls = field_integer(L, SESSION, N_CALLS);
  if (n_calls >= lane->slots || !push_call(L, lane, &call) ||
      !ws_deliver_detach(L))
    return 0;
  begin(L, lane, bytes.n, n_calls);
  int n = lua_gettop(L) - VALUE;
  return called(L, lua_pcallk(L, n, 1, HANDLER, packed, called), packed);
}

/* ---- making it ---- */

static int counted(lua_State *L) {
  struct lane *lane = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushinteger(L, lane->calls);
  lua_pushinteger(L, lane->bytes);
  lua_pushinteger(L, lane->sent);
  lua_pushinteger(L, lane->bytes_sent);
  lane->calls = lane->bytes = lane->sent = lane->bytes_sent = 0;
  return 4;
}

static void push_lane(lua_State *L) {
  lua_Number most = luaL_checknumber(L, MOST);
  struct lane *lane = lua_newuserdatauv(L, sizeof *lane, 0);
  *lane = (struct lane){.most = most < (lua_Number)INT32_MAX ? (size_t)most
                                                             : INT32_MAX,
                        .slots = luaL_checkinteger(L, SLOTS),
                        .is_binary = lua_toboolean(L, IS_BINARY)};
}

int ws_lua_short_call(lua_State *L) {
  static const char *const names[] = {"ctx",     "heard",     "is_over",
                                      "n_calls", "n_waiting", "now"};
  lua_settop(L, FINISH);
  for (int i = SIMPLE; i <= HOLDERS; i++) luaL_checktype(L, i, LUA_TTABLE);
  for (int i = CATCH; i <= FINISH; i++) luaL_checktype(L, i, LUA_TFUNCTION);
  push_lane(L);
  lua_replace(L, LANE);
  for (int i = 0; i < UPVALUES - FINISH; i++) lua_pushstring(L, names[i]);
  lua_pushvalue(L, LANE);
  lua_insert(L, 1);
  lua_pushcclosure(L, short_call, UPVALUES);
  lua_insert(L, 1);
  lua_pushcclosure(L, counted, 1);
  return 2;
}
