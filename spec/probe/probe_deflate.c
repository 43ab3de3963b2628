/* probe_deflate: src/protocol/extension.h and deflate.h for specs.
 *
 * A wish, or what is agreed on, is a table { server_takeover=,
 * client_takeover=, bears_takeover=, server_bits=, client_bits= }; bits are 15
 * by default.
 *
 * choose(head, wish) -> agreed, answer | nil    head: of a request
 * offer(wish) -> text
 * check(head, wish or nil) -> agreed | false | nil, why   head: of an answer
 *
 * inflater([bits]) -> inflater
 * inflater:message(pieces[, { fresh=, max=, ratio=, cap= }])
 *   -> bytes, number of chunks | nil, err, why, bytes so far
 *   pieces: a string, or a list of them; cap: of a chunk, 1000 by default;
 *   each piece is a heap copy of its exact size
 *
 * pool() -> pool
 * pool:whole(bytes[, { bits=, level=, memory=, cap= }]) -> bytes | nil
 * pool:keep(i, bytes[, options]) -> bytes: as `whole`, by the compressor
 *   that keeper i (1 to 300) keeps
 * pool:drop(i), pool:keepers() -> number of compressors kept, their bytes */
#include "probe.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "protocol/deflate.h"
#include "protocol/extension.h"

#define INFLATER "probe.inflater"
#define POOL "probe.deflate_pool"
#define KEEPERS 300
#define FIELDS_MAX 1000

void probe_open_deflate(lua_State *L);

static lua_Integer field(lua_State *L, int arg, const char *name,
                         lua_Integer absent) {
  lua_Integer v = absent;
  if (!lua_istable(L, arg)) return v;
  if (lua_getfield(L, arg, name) == LUA_TBOOLEAN)
    v = lua_toboolean(L, -1);
  else if (!lua_isnil(L, -1))
    v = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* ---- negotiation ---- */

static struct ws_extension to_extension(lua_State *L, int arg) {
  return (struct ws_extension){
    .is_on = lua_istable(L, arg),
    .server_takeover = field(L, arg, "server_takeover", 0),
    .client_takeover = field(L, arg, "client_takeover", 0),
    .bears_takeover = field(L, arg, "bears_takeover", 0),
    .server_bits = (uint8_t)field(L, arg, "server_bits", 15),
    .client_bits = (uint8_t)field(L, arg, "client_bits", 15)};
}

static void push_extension(lua_State *L, const struct ws_extension *e) {
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, e->server_takeover);
  lua_setfield(L, -2, "server_takeover");
  lua_pushboolean(L, e->client_takeover);
  lua_setfield(L, -2, "client_takeover");
  lua_pushinteger(L, e->server_bits);
  lua_setfield(L, -2, "server_bits");
  lua_pushinteger(L, e->client_bits);
  lua_setfield(L, -2, "client_bits");
}

typedef int parse_head(struct ws_http *h, char *bytes, size_t n);

static int parse_request(struct ws_http *h, char *bytes, size_t n) {
  return ws_http_request(h, bytes, n);
}

/* Parses a copy of argument 1 that ends where its userdata ends. */
static const char *parse(lua_State *L, parse_head *parse_it,
                         struct ws_http *h) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  char *copy = memcpy(lua_newuserdatauv(L, n, 0), bytes, n);
  *h = (struct ws_http){0};
  h->max_fields = FIELDS_MAX;
  h->max_line = h->max_field_line = 1 << 24;
  h->max_head = 1 << 24;
  h->fields = lua_newuserdatauv(L, FIELDS_MAX * sizeof *h->fields, 0);
  if (parse_it(h, copy, n) <= 0) luaL_error(L, "bad head");
  return copy;
}

static int choose(lua_State *L) {
  struct ws_extension wish = to_extension(L, 2), agreed;
  char text[WS_EXTENSION_MAX];
  struct ws_http h;
  size_t n = 0;
  const char *bytes = parse(L, parse_request, &h);
  if (!ws_extension_choose(&h, bytes, &wish, &agreed, text, &n)) return 0;
  push_extension(L, &agreed);
  lua_pushlstring(L, text, n);
  return 2;
}

static int offer(lua_State *L) {
  struct ws_extension wish = to_extension(L, 1);
  char text[WS_EXTENSION_MAX];
  lua_pushlstring(L, text, ws_extension_offer(&wish, text));
  return 1;
}

static int check(lua_State *L) {
  struct ws_extension wish = to_extension(L, 2), agreed;
  struct ws_http h;
  const char *bytes = parse(L, ws_http_response, &h);
  const char *why = ws_extension_check(&h, bytes, &wish, &agreed);
  if (why) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
  }
  if (agreed.is_on)
    push_extension(L, &agreed);
  else
    lua_pushboolean(L, false);
  return 1;
}

/* ---- inflating ---- */

static int inflater_new(lua_State *L) {
  uint8_t bits = (uint8_t)luaL_optinteger(L, 1, 15);
  struct ws_inflater **f = lua_newuserdatauv(L, sizeof(void *), 0);
  *f = NULL;
  luaL_setmetatable(L, INFLATER);
  *f = ws_inflater_new(bits, true);
  if (!*f) return 0;
  return 1;
}

static struct ws_inflater *check_inflater(lua_State *L) {
  return *(struct ws_inflater **)luaL_checkudata(L, 1, INFLATER);
}

/* Gets everything out of one piece. Negative: an error. */
static int64_t drain(struct ws_inflater *f, struct ws_buf *out, size_t cap,
                     lua_Integer *chunks, const char **why) {
  for (;;) {
    uint8_t *chunk = malloc(cap); /* its end is watched */
    int64_t n = ws_inflater_get(f, chunk, cap, why);
    if (n > 0 && !ws_buf_append(out, chunk, (size_t)n)) n = WS_ERR_MEMORY;
    free(chunk);
    if (n <= 0) return n;
    ++*chunks;
  }
}

static int push_out(lua_State *L, struct ws_buf *out) {
  lua_pushlstring(L, (char *)out->data, out->len);
  ws_buf_free(out);
  return 1;
}

static int inflater_message(lua_State *L) {
  struct ws_inflater *f = check_inflater(L);
  struct ws_buf out = {0};
  lua_Integer chunks = 0, last;
  const char *why = NULL;
  int64_t r = 0;
  if (lua_isstring(L, 2)) {
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    lua_replace(L, 2);
  }
  size_t cap = (size_t)field(L, 3, "cap", 1000);
  ws_inflater_begin(f, field(L, 3, "fresh", 1) != 0,
                    (uint64_t)field(L, 3, "max", -1),
                    (uint64_t)field(L, 3, "ratio", -1));
  last = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= last && r == 0; i++) {
    size_t n;
    lua_rawgeti(L, 2, i);
    const char *bytes = luaL_checklstring(L, -1, &n);
    uint8_t *copy = malloc(n + !n);
    memcpy(copy, bytes, n);
    ws_inflater_put(f, copy, n, i == last);
    r = drain(f, &out, cap, &chunks, &why);
    free(copy);
    lua_pop(L, 1);
  }
  if (r == 0) {
    push_out(L, &out);
    lua_pushinteger(L, chunks);
    return 2;
  }
  lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)r);
  lua_pushstring(L, why);
  push_out(L, &out);
  return 4;
}

static int inflater_gc(lua_State *L) {
  struct ws_inflater **f = luaL_checkudata(L, 1, INFLATER);
  ws_inflater_free(*f);
  *f = NULL;
  return 0;
}

/* ---- deflating ---- */

struct pool {
  struct ws_deflate_pool pool;
  struct ws_deflater *kept[KEEPERS];
};

static int pool_new(lua_State *L) {
  struct pool *p = lua_newuserdatauv(L, sizeof *p, 0);
  memset(p, 0, sizeof *p);
  ws_deflate_pool_init(&p->pool);
  luaL_setmetatable(L, POOL);
  return 1;
}

static struct pool *check_pool(lua_State *L) {
  return luaL_checkudata(L, 1, POOL);
}

static struct ws_deflate_level level_of(lua_State *L, int arg) {
  return (struct ws_deflate_level){.level = (uint8_t)field(L, arg, "level", 1),
                                   .memory =
                                     (uint8_t)field(L, arg, "memory", 8)};
}

static uint8_t bits_of(lua_State *L, int arg) {
  return (uint8_t)field(L, arg, "bits", 15);
}

static int push_whole(lua_State *L, struct ws_deflater *d, const char *bytes,
                      size_t n, size_t cap) {
  uint8_t *out = malloc(cap);
  size_t len = ws_deflater_whole(d, bytes, n, out, cap);
  if (len)
    lua_pushlstring(L, (char *)out, len);
  else
    lua_pushnil(L);
  free(out);
  return 1;
}

static int pool_whole(lua_State *L) {
  struct pool *p = check_pool(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  struct ws_deflate_level level = level_of(L, 3);
  struct ws_deflater *d = ws_deflater_take(&p->pool, &level, bits_of(L, 3), n);
  if (!d) return 0;
  push_whole(L, d, bytes, n, (size_t)field(L, 3, "cap", (lua_Integer)n + 64));
  ws_deflater_give(&p->pool, d);
  return 1;
}

static struct ws_deflater **keeper(lua_State *L, struct pool *p) {
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && i <= KEEPERS, 2, "no such keeper");
  return &p->kept[i - 1];
}

static int pool_keep(lua_State *L) {
  struct pool *p = check_pool(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  struct ws_deflate_level level = level_of(L, 4);
  struct ws_deflater *d =
    ws_deflater_keep(&p->pool, keeper(L, p), &level, bits_of(L, 4));
  if (!d) return 0;
  return push_whole(L, d, bytes, n,
                    (size_t)field(L, 4, "cap", (lua_Integer)n + 64));
}

static int pool_drop(lua_State *L) {
  struct pool *p = check_pool(L);
  ws_deflater_drop(&p->pool, keeper(L, p));
  return 0;
}

static int pool_keepers(lua_State *L) {
  struct pool *p = check_pool(L);
  lua_Integer n = 0;
  for (size_t i = 0; i < KEEPERS; i++) n += p->kept[i] != NULL;
  lua_pushinteger(L, n);
  lua_pushinteger(L, (lua_Integer)p->pool.kept_bytes);
  return 2;
}

static int pool_gc(lua_State *L) {
  struct pool *p = check_pool(L);
  for (size_t i = 0; i < KEEPERS; i++) ws_deflater_drop(&p->pool, &p->kept[i]);
  ws_deflate_pool_free(&p->pool);
  return 0;
}

static const luaL_Reg inflater_methods[] = {
  {"message", inflater_message}, {"__gc", inflater_gc}, {NULL, NULL}};

static const luaL_Reg pool_methods[] = {
  {"whole", pool_whole},     {"keep", pool_keep}, {"drop", pool_drop},
  {"keepers", pool_keepers}, {"__gc", pool_gc},   {NULL, NULL}};

static const luaL_Reg functions[] = {
  {"choose", choose},         {"offer", offer},   {"check", check},
  {"inflater", inflater_new}, {"pool", pool_new}, {NULL, NULL}};

static void make_class(lua_State *L, const char *name,
                       const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void probe_open_deflate(lua_State *L) {
  make_class(L, INFLATER, inflater_methods);
  make_class(L, POOL, pool_methods);
  luaL_newlib(L, functions);
}
