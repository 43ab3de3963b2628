/* probe_handshake: src/protocol/handshake.h for specs.
 *
 * check(head)  parses a request head and looks at it
 *   -> { path=, query=, host=, origin=, key=, content_length=, has_length=,
 *        is_chunked=, keep_alive=, expects_continue=, is_upgrade=, method= }
 *   | nil, err, why   (why is "parse" when the parser refused it)
 * subprotocols(head) -> list | nil, err
 * accept(key) -> string
 * write_101(key[, subprotocol[, fields[, extensions]]]) -> string
 * write_request{ host=, target=, key=, origin=, subprotocols=, extensions=,
 *   fields= } -> string
 * check_answer(head, key[, offered]) -> subprotocol or false | nil, err, why
 * reason(status) -> string */

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/handshake_client.h"

void probe_open_handshake(lua_State *L);

#define FIELDS_MAX 1000

typedef int parse_head(struct ws_http *h, char *bytes, size_t n);

static int parse_request(struct ws_http *h, char *bytes, size_t n) {
  return ws_http_request(h, bytes, n);
}

/* Parses a copy of argument `arg` that ends where its userdata ends. */
static const char *parse(lua_State *L, int arg, parse_head *parse_it,
                         struct ws_http *h, int *len) {
  size_t n;
  const char *bytes = luaL_checklstring(L, arg, &n);
  char *copy = memcpy(lua_newuserdatauv(L, n, 0), bytes, n);
  *h = (struct ws_http){0};
  h->max_fields = FIELDS_MAX;
  h->max_line = h->max_field_line = 1 << 20;
  h->max_head = 1 << 24;
  h->fields = lua_newuserdatauv(L, FIELDS_MAX * sizeof *h->fields, 0);
  *len = parse_it(h, copy, n);
  return copy;
}

static int refused(lua_State *L, int err, const char *why) {
  lua_pushnil(L);
  lua_pushinteger(L, err);
  lua_pushstring(L, why);
  return 3;
}

static void set_slice(lua_State *L, const char *name, struct ws_slice s) {
  if (!s.p) return;
  lua_pushlstring(L, s.p, s.n);
  lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool b) {
  lua_pushboolean(L, b);
  lua_setfield(L, -2, name);
}

static int check(lua_State *L) {
  static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "CONNECT",
                                        "other"};
  struct ws_handshake hs;
  struct ws_http h;
  const char *why;
  int err;
  const char *bytes = parse(L, 1, parse_request, &h, &err);
  if (err <= 0) return refused(L, err, "parse");
  err = ws_handshake_check(&h, bytes, &hs, &why);
  if (err) return refused(L, err, why);
  lua_createtable(L, 0, 12);
  set_slice(L, "path", hs.path);
  set_slice(L, "query", hs.query);
  set_slice(L, "host", hs.host);
  set_slice(L, "origin", hs.origin);
  set_slice(L, "key", hs.key);
  lua_pushinteger(L, (lua_Integer)hs.content_length);
  lua_setfield(L, -2, "content_length");
  set_boolean(L, "has_length", hs.has_length);
  set_boolean(L, "is_chunked", hs.is_chunked);
  set_boolean(L, "keep_alive", hs.keep_alive);
  set_boolean(L, "expects_continue", hs.expects_continue);
  set_boolean(L, "is_upgrade", hs.is_upgrade);
  lua_pushstring(L, methods[hs.method]);
  lua_setfield(L, -2, "method");
  return 1;
}

static int subprotocols(lua_State *L) {
  struct ws_http h;
  struct ws_slice name;
  size_t iter = 0;
  int err;
  const char *bytes = parse(L, 1, parse_request, &h, &err);
  if (err <= 0) return refused(L, err, "parse");
  lua_newtable(L);
  for (lua_Integer i = 1;
       (err = ws_handshake_next_subprotocol(&h, bytes, &iter, &name)) > 0;
       i++) {
    lua_pushlstring(L, name.p, name.n);
    lua_seti(L, -2, i);
  }
  if (err < 0) return refused(L, err, NULL);
  if (ws_handshake_next_subprotocol(&h, bytes, &iter, &name) != 0)
    return luaL_error(L, "there is something behind the end");
  return 1;
}

static const char *check_key(lua_State *L, int arg) {
  size_t n;
  const char *key = luaL_checklstring(L, arg, &n);
  luaL_argcheck(L, n == WS_KEY_LEN, arg, "24 bytes expected");
  return key;
}

static struct ws_slice opt_slice(lua_State *L, int arg) {
  struct ws_slice s = {NULL, 0};
  s.p = luaL_optlstring(L, arg, NULL, &s.n);
  if (!s.p) s.n = 0;
  return s;
}

static int answer_key(lua_State *L) {
  char out[WS_ACCEPT_LEN];
  ws_handshake_accept(check_key(L, 1), out);
  lua_pushlstring(L, out, sizeof out);
  return 1;
}

static int push_buf(lua_State *L, struct ws_buf *b, bool ok) {
  if (ok)
    lua_pushlstring(L, (const char *)ws_buf_begin(b), b->len);
  else
    lua_pushnil(L);
  ws_buf_free(b);
  return 1;
}

static int write_101(lua_State *L) {
  struct ws_buf out = {0};
  return push_buf(L, &out,
                  ws_handshake_write_101(&out, check_key(L, 1), opt_slice(L, 2),
                                         opt_slice(L, 4), opt_slice(L, 3)));
}

static int write_request(lua_State *L) {
  static const char *const names[] = {
    "host", "target", "key", "origin", "subprotocols", "extensions", "fields"};
  struct ws_buf out = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  for (int i = 0; i < 7; i++) lua_getfield(L, 1, names[i]);
  return push_buf(L, &out,
                  ws_handshake_write_request(&out, opt_slice(L, 2),
                                             opt_slice(L, 3), check_key(L, 4),
                                             opt_slice(L, 5), opt_slice(L, 6),
                                             opt_slice(L, 7), opt_slice(L, 8)));
}

static int check_answer(lua_State *L) {
  const char *key = check_key(L, 2), *why, *bytes;
  const struct ws_extension none = {.is_on = false};
  struct ws_extension agreed;
  struct ws_slice offered, chosen;
  struct ws_http h;
  int err;
  lua_settop(L, 3);
  offered = opt_slice(L, 3);
  bytes = parse(L, 1, ws_http_response, &h, &err);
  if (err <= 0) return refused(L, err, "parse");
  err = ws_handshake_check_answer(&h, bytes, key, offered, &none, &chosen,
                                  &agreed, &why);
  if (err) return refused(L, err, why);
  if (chosen.p)
    lua_pushlstring(L, chosen.p, chosen.n);
  else
    lua_pushboolean(L, false);
  return 1;
}

static int reason(lua_State *L) {
  lua_pushstring(L, ws_handshake_reason((int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {{"check", check},
                                     {"subprotocols", subprotocols},
                                     {"accept", answer_key},
                                     {"write_101", write_101},
                                     {"reason", reason},
                                     {"write_request", write_request},
                                     {"check_answer", check_answer},
                                     {NULL, NULL}};

void probe_open_handshake(lua_State *L) {
  luaL_newlib(L, functions);
}
