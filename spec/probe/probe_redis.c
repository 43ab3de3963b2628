/* probe_redis: what is spoken with Redis, without a connection.
 *
 * has_reader               were replies built in?
 * read(pieces, max[, n])   -> a list of what came, and why it ended or nil.
 *   Each: "depth.index type value", or "done". n: of so many it has enough
 * command(words)           -> bytes
 * url(text)                -> { host=, path=, username=, password=, port=,
 *   db=, secure= } | nil, why
 * open(bytes)              -> { flags=, node=, offset=, epoch=, meta=,
 *   message=, foreign= } | nil
 * excepted(bytes, node)    -> ids
 * close{ ... } as of open  -> bytes
 * about(error)             -> a list: "command", "channel", "ping", "over"
 *
 * What is read is a heap copy of exactly its size. */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "protocol/envelope.h"
#include "protocol/redis_error.h"
#include "protocol/redis_url.h"
#include "protocol/resp.h"

void probe_open_redis(lua_State *L);

static struct ws_slice copy_of(lua_State *L, int arg) {
  struct ws_slice s;
  const char *bytes = luaL_checklstring(L, arg, &s.n);
  char *copy = malloc(s.n ? s.n : 1);
  if (copy == NULL) luaL_error(L, "no memory");
  memcpy(copy, bytes, s.n);
  s.p = copy;
  return s;
}

static void set_slice(lua_State *L, const char *name, struct ws_slice s) {
  if (s.p == NULL) return;
  lua_pushlstring(L, s.p, s.n);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

/* ---- replies ---- */

struct reading {
  struct ws_resp resp; /* first */
  lua_State *L;
  lua_Integer n, most;
};

static void add(struct reading *r) {
  lua_rawseti(r->L, -2, ++r->n);
  if (r->n == r->most) r->resp.is_over = true;
}

static void on_item(struct ws_resp *resp, const struct ws_resp_item *item) {
  static const char *const names[] = {"string",  "status", "error",
                                      "integer", "nil",    "array"};
  struct reading *r = (struct reading *)resp;
  char head[64];
  snprintf(head, sizeof head, "%u.%zu %s ", item->depth, item->index,
           names[item->type]);
  lua_pushstring(r->L, head);
  if (item->text.p)
    lua_pushlstring(r->L, item->text.p, item->text.n);
  else
    lua_pushfstring(r->L, "%I", (LUAI_UACINT)item->n);
  lua_concat(r->L, 2);
  add(r);
}

static void on_done(struct ws_resp *resp) {
  struct reading *r = (struct reading *)resp;
  lua_pushliteral(r->L, "done");
  add(r);
}

static int redis_read(lua_State *L) {
  struct reading r = {
    .resp = {.item = on_item, .done = on_done}, .L = L, .n = 0};
  r.most = luaL_optinteger(L, 3, -1);
  size_t max = (size_t)luaL_optinteger(L, 2, 1024);
  const char *why = NULL;
  if (!ws_resp_init(&r.resp, max)) {
    ws_resp_free(&r.resp);
    return luaL_error(L, "no reader");
  }
  lua_newtable(L);
  for (lua_Integer i = 1; !why && i <= (lua_Integer)lua_rawlen(L, 1); i++) {
    lua_rawgeti(L, 1, i);
    struct ws_slice piece = copy_of(L, -1);
    lua_pop(L, 1);
    why = ws_resp_feed(&r.resp, piece.p, piece.n);
    free((void *)piece.p);
  }
  ws_resp_free(&r.resp);
  lua_pushstring(L, why);
  return 2;
}

static int redis_command(lua_State *L) {
  struct ws_slice words[16];
  struct ws_buf b = {NULL, 0, 0, 0};
  size_t n = lua_rawlen(L, 1);
  for (size_t i = 0; i < n && i < 16; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    words[i].p = lua_tolstring(L, -1, &words[i].n);
  }
  if (!ws_resp_append(&b, words, n)) return luaL_error(L, "no memory");
  lua_pushlstring(L, (char *)ws_buf_begin(&b), b.len);
  ws_buf_free(&b);
  return 1;
}

/* ---- URLs ---- */

static void set_decoded(lua_State *L, const char *name, struct ws_slice s) {
  char *to = malloc(s.n + 1);
  if (to && s.p)
    set_slice(L, name, (struct ws_slice){to, ws_redis_url_decode(s, to)});
  free(to);
}

static int redis_url(lua_State *L) {
  struct ws_slice text = copy_of(L, 1);
  struct ws_redis_url url;
  const char *why;
  bool ok = ws_redis_url_parse(text, &url, &why);
  if (ok) {
    lua_newtable(L);
    set_decoded(L, "host", url.host);
    set_decoded(L, "path", url.path);
    set_decoded(L, "username", url.username);
    set_decoded(L, "password", url.password);
    set_integer(L, "port", url.port);
    set_integer(L, "db", url.db);
    lua_pushboolean(L, url.is_secure);
    lua_setfield(L, -2, "secure");
  } else {
    lua_pushnil(L);
    lua_pushstring(L, why);
  }
  free((void *)text.p);
  return ok ? 1 : 2;
}

/* ---- envelopes ---- */

static int redis_open(lua_State *L) {
  struct ws_slice bytes = copy_of(L, 1);
  struct ws_carried c;
  bool ok = ws_carried_read(bytes, &c);
  if (ok) {
    lua_newtable(L);
    set_integer(L, "flags", c.flags);
    set_integer(L, "node", (lua_Integer)c.node);
    set_integer(L, "offset", (lua_Integer)c.offset);
    set_slice(L, "epoch", c.epoch);
    set_slice(L, "meta", c.meta);
    set_slice(L, "message", c.message);
    lua_pushboolean(L, c.is_foreign);
    lua_setfield(L, -2, "foreign");
  } else {
    lua_pushnil(L);
  }
  free((void *)bytes.p);
  return 1;
}

static int redis_excepted(lua_State *L) {
  struct ws_slice bytes = copy_of(L, 1);
  uint64_t node = (uint64_t)luaL_checkinteger(L, 2), id;
  struct ws_carried c;
  size_t at = 0;
  lua_newtable(L);
  if (ws_carried_read(bytes, &c))
    for (lua_Integer i = 1; (id = ws_carried_except(&c, node, &at)) != 0; i++) {
      lua_pushinteger(L, (lua_Integer)id);
      lua_rawseti(L, -2, i);
    }
  free((void *)bytes.p);
  return 1;
}

static struct ws_slice field(lua_State *L, const char *name) {
  struct ws_slice s = {NULL, 0};
  lua_getfield(L, 1, name);
  s.p = lua_tolstring(L, -1, &s.n); /* the table keeps it */
  return s;
}

static lua_Integer number(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  return lua_tointeger(L, -1);
}

static int redis_close(lua_State *L) {
  struct ws_carried c = {.flags = (uint8_t)number(L, "flags"),
                         .node = (uint64_t)number(L, "node"),
                         .offset = (uint64_t)number(L, "offset"),
                         .epoch = field(L, "epoch"),
                         .meta = field(L, "meta"),
                         .except = field(L, "except"),
                         .message = field(L, "message")};
  size_t head = ws_carried_head(&c);
  char *to = malloc(head + c.message.n);
  if (to == NULL) return luaL_error(L, "no memory");
  char *end = ws_carried_write(to, &c);
  if (end != to + head) return luaL_error(L, "another length");
  if (c.message.n) memcpy(end, c.message.p, c.message.n);
  lua_pushlstring(L, to, head + c.message.n);
  free(to);
  return 1;
}

static int redis_about(lua_State *L) {
  static const struct {
    const char *name;
    bool (*is)(struct ws_slice error);
  } all[] = {{"command", ws_redis_error_is_of_command},
             {"channel", ws_redis_error_is_of_channel},
             {"ping", ws_redis_error_is_of_ping},
             {"over", ws_redis_error_is_over}};
  struct ws_slice error = copy_of(L, 1);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (!all[i].is(error)) continue;
    lua_pushstring(L, all[i].name);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  free((void *)error.p);
  return 1;
}

static const luaL_Reg functions[] = {
  {"read", redis_read},   {"command", redis_command},
  {"url", redis_url},     {"about", redis_about},
  {"open", redis_open},   {"excepted", redis_excepted},
  {"close", redis_close}, {NULL, NULL}};

void probe_open_redis(lua_State *L) {
  luaL_newlib(L, functions);
  lua_pushboolean(L, ws_resp_is_built_in());
  lua_setfield(L, -2, "has_reader");
}
