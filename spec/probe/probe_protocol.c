/* probe_protocol: one endpoint of an open connection (src/protocol/protocol.h)
 * for specs.
 *
 * new(role[, max_message[, max_fragments[, pool[, compression]]]])
 *   -> endpoint; "server" or "client"; a limit of -1 is none, and so it is by
 *   default; pool: true for a pool of large buffers; compression: a table
 *   { server_takeover=, client_takeover=, server_bits=, client_bits=, ratio= }
 *   as agreed on
 * may_send_code(code), close_payload(code, reason)
 *
 * endpoint:run(bytes[, cuts[, direct]]) -> list of events
 *   cuts: a list of sizes of pieces (what is left over is the last one), or
 *   the size of all pieces, or nil: one piece. Each piece is a heap copy of
 *   exactly its size, freed after it. direct: where the endpoint offers space
 *   for a payload, a piece goes there first.
 * endpoint:message() -> bytes gathered of an unfinished message, capacity
 * endpoint:space()   -> bytes offered now, or nil
 * endpoint:release(), endpoint:has_event()
 * endpoint:deflate(bytes) -> compressed bytes, or nil: it is sent as it is
 * endpoint:forget() -> drops the compressor
 * endpoint:lend(flag)  whether the room for inflated messages is taken
 * endpoint:room() -> its size, that of the room for deflated ones, and what
 *   the pool of large buffers holds
 * endpoint:turns(work[, most])  inflates so much in a turn, as of inflate.h;
 *   `run` makes as many turns as there have to be, or so many
 * endpoint:later() -> how many
 * endpoint:chunks(flag[, most])  messages in chunks from the next one on:
 *   events { "text" | "binary", bytes, "more" | "final" }; most: what one may
 *   have in all, max_message by default
 *
 * Events: { "text" | "binary" | "ping" | "pong", payload },
 * { "close", code, reason }, { "error", code, why } */
#include "probe.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "protocol/compression.h"
#include "protocol/protocol.h"

#define ENDPOINT "probe.endpoint"

void probe_open_protocol(lua_State *L);

struct endpoint {
  struct ws_protocol_env env;
  struct ws_buf_pool pool;
  struct ws_deflate_pool deflate;
  size_t spent, work; /* of this turn; in each of them, 0 for any */
  lua_Integer n_later, most;
  struct ws_protocol p;
};

static lua_Integer field(lua_State *L, const char *name, lua_Integer absent) {
  lua_Integer v = absent;
  if (lua_getfield(L, 5, name) == LUA_TBOOLEAN)
    v = lua_toboolean(L, -1);
  else if (!lua_isnil(L, -1))
    v = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return v;
}

static void set_compression(lua_State *L, struct endpoint *e) {
  e->env.deflate = &e->deflate;
  e->env.deflate_level = (struct ws_deflate_level){.level = 1, .memory = 8};
  e->env.max_ratio = (uint64_t)field(L, "ratio", -1);
  e->p.extension =
    (struct ws_extension){.is_on = true,
                          .server_takeover = field(L, "server_takeover", 0),
                          .client_takeover = field(L, "client_takeover", 0),
                          .server_bits = (uint8_t)field(L, "server_bits", 15),
                          .client_bits = (uint8_t)field(L, "client_bits", 15)};
}

static struct endpoint *check_endpoint(lua_State *L) {
  return luaL_checkudata(L, 1, ENDPOINT);
}

static int protocol_new(lua_State *L) {
  static const char *const roles[] = {"server", "client", NULL};
  int role = luaL_checkoption(L, 1, NULL, roles);
  lua_settop(L, 5);
  struct endpoint *e = lua_newuserdatauv(L, sizeof *e, 0);
  memset(e, 0, sizeof *e);
  ws_deflate_pool_init(&e->deflate);
  if (lua_toboolean(L, 4)) e->env.pool = &e->pool;
  e->env.max_message = (uint64_t)luaL_optinteger(L, 2, -1);
  e->env.max_stream = e->env.max_message;
  e->env.max_fragments = (uint64_t)luaL_optinteger(L, 3, -1);
  ws_protocol_init(&e->p, role ? WS_CLIENT : WS_SERVER, &e->env);
  if (lua_istable(L, 5)) set_compression(L, e);
  luaL_setmetatable(L, ENDPOINT);
  return 1;
}

static void push_event(lua_State *L, const struct ws_event *ev) {
  static const char *const names[] = {"none", "later", "message", "chunk",
                                      "ping", "pong",  "close",   "error"};
  const char *name = names[ev->type];
  lua_createtable(L, 3, 0);
  if (ev->type == WS_EVENT_MESSAGE || ev->type == WS_EVENT_CHUNK)
    name = ev->opcode == WS_OP_TEXT ? "text" : "binary";
  lua_pushstring(L, name);
  lua_rawseti(L, -2, 1);
  if (ev->type == WS_EVENT_CLOSE || ev->type == WS_EVENT_ERROR) {
    lua_pushinteger(L, ev->code);
    lua_rawseti(L, -2, 2);
  }
  if (ev->type == WS_EVENT_ERROR)
    lua_pushstring(L, ev->why);
  else
    lua_pushlstring(L, (const char *)ev->data, ev->len);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  if (ev->type != WS_EVENT_CHUNK) return;
  lua_pushstring(L, ev->is_final ? "final" : "more");
  lua_rawseti(L, -2, 3);
}

/* Feeds bytes[0, n) to the end; the events go behind those of the list on top
 * of the stack. Returns what went against the contract, or NULL. */
static const char *feed_all(lua_State *L, struct endpoint *e, uint8_t *bytes,
                            size_t n) {
  struct ws_protocol *p = &e->p;
  size_t at = 0;
  bool had_event;
  do {
    struct ws_event ev;
    bool has_event = ws_protocol_has_event(p);
    size_t taken = ws_protocol_feed(p, bytes + at, n - at, &ev);
    if (taken > n - at) return "more was taken than there is";
    at += taken;
    had_event = ev.type != WS_EVENT_NONE;
    if (has_event && !had_event) return "has_event promised an event";
    if (!had_event && at < n) return "bytes were left without an event";
    if (!had_event) break;
    if (ev.type == WS_EVENT_LATER) {
      e->spent = WS_INFLATE_WORK / 2 - e->work;
      if (++e->n_later == e->most) return NULL;
      continue;
    }
    push_event(L, &ev);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  } while (at < n || ws_protocol_has_event(p));
  return NULL;
}

/* As a connection reads: what fits goes straight into the message. */
static const char *feed_piece(lua_State *L, struct endpoint *e,
                              const char *piece, size_t n, bool direct) {
  struct ws_protocol *p = &e->p;
  size_t room = 0;
  uint8_t *space = direct ? ws_protocol_space(p, &room) : NULL;
  if (space != NULL) {
    if (room > n) room = n;
    memcpy(space, piece, room);
    ws_protocol_filled(p, room);
    piece += room;
    n -= room;
  }
  uint8_t *copy = malloc(n);
  if (copy == NULL && n > 0) return "no memory";
  if (n > 0) memcpy(copy, piece, n);
  const char *what = feed_all(L, e, copy, n);
  free(copy);
  return what;
}

static size_t piece_size(lua_State *L, lua_Integer i, size_t left) {
  lua_Integer n = (lua_Integer)left;
  if (lua_istable(L, 3)) {
    if (lua_rawgeti(L, 3, i) != LUA_TNIL) n = lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    n = luaL_optinteger(L, 3, n);
  }
  return n >= 0 && (size_t)n < left ? (size_t)n : left;
}

static int endpoint_run(lua_State *L) {
  struct endpoint *e = check_endpoint(L);
  size_t n, at = 0;
  const char *bytes = luaL_checklstring(L, 2, &n);
  bool direct = lua_toboolean(L, 4);
  lua_settop(L, 4);
  lua_newtable(L);
  for (lua_Integer i = 1; at < n; i++) {
    size_t size = piece_size(L, i, n - at);
    const char *what = feed_piece(L, e, bytes + at, size, direct);
    if (what != NULL) return luaL_error(L, "%s", what);
    at += size;
  }
  return 1;
}

static int endpoint_message(lua_State *L) {
  const struct ws_gathered *g = check_endpoint(L)->p.message;
  const struct ws_buf *b = g ? &g->bytes : NULL;
  lua_pushinteger(L, b ? (lua_Integer)b->len : 0);
  lua_pushinteger(L, b ? (lua_Integer)b->cap : 0);
  return 2;
}

static int endpoint_space(lua_State *L) {
  size_t n;
  if (ws_protocol_space(&check_endpoint(L)->p, &n) == NULL) return 0;
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

static int endpoint_release(lua_State *L) {
  ws_protocol_release(&check_endpoint(L)->p);
  return 0;
}

static int endpoint_chunks(lua_State *L) {
  struct endpoint *e = check_endpoint(L);
  e->p.wants_chunks = lua_toboolean(L, 2);
  e->env.max_stream = (uint64_t)luaL_optinteger(L, 3, e->env.max_stream);
  return 0;
}

static int endpoint_has_event(lua_State *L) {
  lua_pushboolean(L, ws_protocol_has_event(&check_endpoint(L)->p));
  return 1;
}

static int endpoint_deflate(lua_State *L) {
  struct endpoint *e = check_endpoint(L);
  size_t n, len = 0;
  const char *bytes = luaL_checklstring(L, 2, &n);
  const uint8_t *out = ws_compression_deflate(&e->p, bytes, n, &len);
  if (!out) return 0;
  lua_pushlstring(L, (const char *)out, len);
  return 1;
}

static int endpoint_forget(lua_State *L) {
  ws_compression_forget(&check_endpoint(L)->p);
  return 0;
}

static int endpoint_lend(lua_State *L) {
  check_endpoint(L)->deflate.is_lent = lua_toboolean(L, 2);
  return 0;
}

static int endpoint_turns(lua_State *L) {
  struct endpoint *e = check_endpoint(L);
  e->work = (size_t)luaL_checkinteger(L, 2);
  e->most = luaL_optinteger(L, 3, -1);
  e->spent = WS_INFLATE_WORK - e->work;
  e->deflate.spent = e->work ? &e->spent : NULL;
  return 0;
}

static int endpoint_later(lua_State *L) {
  lua_pushinteger(L, check_endpoint(L)->n_later);
  return 1;
}

static int endpoint_room(lua_State *L) {
  const struct endpoint *e = check_endpoint(L);
  lua_pushinteger(L, (lua_Integer)e->deflate.inflated.cap);
  lua_pushinteger(L, (lua_Integer)e->deflate.deflated.cap);
  lua_pushinteger(L, (lua_Integer)e->pool.bytes);
  return 3;
}

static int endpoint_gc(lua_State *L) {
  struct endpoint *e = check_endpoint(L);
  ws_protocol_free(&e->p);
  e->deflate.is_lent = false;
  ws_deflate_pool_free(&e->deflate);
  ws_buf_pool_free(&e->pool);
  return 0;
}

static int may_send_code(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  lua_pushboolean(L, ws_protocol_may_send_code(code));
  return 1;
}

static int close_payload(lua_State *L) {
  uint8_t out[WS_CONTROL_MAX];
  size_t n;
  int code = (int)luaL_checkinteger(L, 1);
  const char *reason = luaL_optlstring(L, 2, "", &n);
  char *copy = malloc(n);
  if (copy == NULL && n > 0) return luaL_error(L, "no memory");
  if (n > 0) memcpy(copy, reason, n);
  size_t len = ws_protocol_close_payload(out, code, n ? copy : NULL, n);
  free(copy);
  lua_pushlstring(L, (const char *)out, len);
  return 1;
}

static const luaL_Reg methods[] = {
  {"run", endpoint_run},
  {"message", endpoint_message},
  {"space", endpoint_space},
  {"release", endpoint_release},
  {"has_event", endpoint_has_event},
  {"deflate", endpoint_deflate},
  {"turns", endpoint_turns},
  {"later", endpoint_later},
  {"forget", endpoint_forget},
  {"lend", endpoint_lend},
  {"room", endpoint_room},
  {"chunks", endpoint_chunks},
  {"__gc", endpoint_gc},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"new", protocol_new},
  {"may_send_code", may_send_code},
  {"close_payload", close_payload},
  {NULL, NULL},
};

void probe_open_protocol(lua_State *L) {
  luaL_newmetatable(L, ENDPOINT);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
