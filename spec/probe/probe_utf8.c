/* probe_utf8: UTF-8 validation, every variant of it.
 *
 * variants           list of what can be forced on this machine: "feed" (the
 *                    library's own choice), "scalar", "ssse3", "avx2", "neon"
 * smallest[variant]  the fewest bytes it takes
 * feed(variant, state, s) -> the state afterwards | nil when s is wrong
 * feed_fenced(...)   the same beside a fence, at both sides in turn
 * is_valid(s)        ws_utf8_is_valid
 * judge(s)           "bad", "open" or "whole", by the reference below
 * sweep(variant, alphabet, k, before, after) -> how many were tried
 *                    | nil, the sequence that was judged wrong: all sequences
 *                    of k bytes of the alphabet, between two fixed strings
 *
 * The file under test is compiled in once more, under other names, because
 * its variants are static. */
#define ws_utf8_feed copy_utf8_feed
#define ws_utf8_is_valid copy_utf8_is_valid
#include "protocol/utf8.c"
#undef ws_utf8_feed
#undef ws_utf8_is_valid

#include "probe.h"

#include <lauxlib.h>

#define TEXT_MAX 512

void probe_open_utf8(lua_State *L);
bool ws_utf8_feed(uint32_t *state, const void *bytes, size_t n);
bool ws_utf8_is_valid(const void *bytes, size_t n);

typedef bool feed_fn(uint32_t *state, const uint8_t *p, size_t n);

static bool feed_library(uint32_t *state, const uint8_t *p, size_t n) {
  return ws_utf8_feed(state, p, n);
}

#if defined(__x86_64__)
static bool feed_ssse3(uint32_t *state, const uint8_t *p, size_t n) {
  return feed_blocks(state, p, n, blocks_ssse3);
}
static bool feed_avx2(uint32_t *state, const uint8_t *p, size_t n) {
  return feed_blocks(state, p, n, blocks_avx2);
}
#elif defined(__aarch64__)
static bool feed_neon(uint32_t *state, const uint8_t *p, size_t n) {
  return feed_blocks(state, p, n, blocks_neon);
}
#endif

static const struct variant {
  const char *name;
  feed_fn *feed;
  size_t smallest;
} all_variants[] = {
  {"feed", feed_library, 0},
  {"scalar", feed_scalar, 0},
#if defined(__x86_64__)
  {"ssse3", feed_ssse3, 19},
  {"avx2", feed_avx2, 35},
#elif defined(__aarch64__)
  {"neon", feed_neon, 19},
#endif
};

static bool is_supported(const struct variant *v) {
#if defined(__x86_64__)
  if (v->feed == feed_ssse3) return __builtin_cpu_supports("ssse3");
  if (v->feed == feed_avx2) return __builtin_cpu_supports("avx2");
#endif
  (void)v;
  return true;
}

static const struct variant *check_variant(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (size_t i = 0; i < sizeof all_variants / sizeof all_variants[0]; i++)
    if (strcmp(all_variants[i].name, name) == 0 &&
        is_supported(&all_variants[i]))
      return &all_variants[i];
  luaL_argerror(L, 1, "no such variant here");
  return NULL;
}

/* The reference: the rows of RFC 3629 4, each byte's range. */
static const struct row {
  int len;
  uint8_t low[4], high[4];
} grammar[] = {
  {1, {0x00}, {0x7F}},
  {2, {0xC2, 0x80}, {0xDF, 0xBF}},
  {3, {0xE0, 0xA0, 0x80}, {0xE0, 0xBF, 0xBF}},
  {3, {0xE1, 0x80, 0x80}, {0xEC, 0xBF, 0xBF}},
  {3, {0xED, 0x80, 0x80}, {0xED, 0x9F, 0xBF}},
  {3, {0xEE, 0x80, 0x80}, {0xEF, 0xBF, 0xBF}},
  {4, {0xF0, 0x90, 0x80, 0x80}, {0xF0, 0xBF, 0xBF, 0xBF}},
  {4, {0xF1, 0x80, 0x80, 0x80}, {0xF3, 0xBF, 0xBF, 0xBF}},
  {4, {0xF4, 0x80, 0x80, 0x80}, {0xF4, 0x8F, 0xBF, 0xBF}},
};

enum verdict { V_BAD, V_OPEN, V_WHOLE };

/* The bytes of one sequence at p: its length, 0 where the end cuts it off
 * while it is still right, -1 where it is wrong. */
static int match_sequence(const uint8_t *p, size_t n) {
  for (size_t r = 0; r < sizeof grammar / sizeof grammar[0]; r++) {
    const struct row *row = &grammar[r];
    int i = 0;
    while (i < row->len && (size_t)i < n && p[i] >= row->low[i] &&
           p[i] <= row->high[i])
      i++;
    if (i == row->len) return i;
    if (i > 0) return (size_t)i == n ? 0 : -1; /* leads are in one row only */
  }
  return -1;
}

static enum verdict judge(const uint8_t *p, size_t n) {
  while (n > 0) {
    int used = match_sequence(p, n);
    if (used <= 0) return used < 0 ? V_BAD : V_OPEN;
    p += used;
    n -= (size_t)used;
  }
  return V_WHOLE;
}

static int utf8_judge(lua_State *L) {
  static const char *const names[] = {"bad", "open", "whole"};
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_pushstring(L, names[judge((const uint8_t *)s, n)]);
  return 1;
}

static int utf8_is_valid(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_pushboolean(L, ws_utf8_is_valid(s, n));
  return 1;
}

static int utf8_feed(lua_State *L) {
  const struct variant *v = check_variant(L);
  uint32_t state = (uint32_t)luaL_checkinteger(L, 2);
  size_t n;
  const char *s = luaL_checklstring(L, 3, &n);
  luaL_argcheck(L, n >= v->smallest, 3, "too short for this variant");
  if (!v->feed(&state, (const uint8_t *)s, n)) return 0;
  lua_pushinteger(L, (lua_Integer)state);
  return 1;
}

static int utf8_feed_fenced(lua_State *L) {
  const struct variant *v = check_variant(L);
  uint32_t start = (uint32_t)luaL_checkinteger(L, 2);
  uint32_t state[2] = {start, start};
  bool ok[2];
  size_t n;
  const char *s = luaL_checklstring(L, 3, &n);
  luaL_argcheck(L, n >= v->smallest, 3, "too short for this variant");
  for (int side = 0; side < 2; side++) {
    struct probe_fence f;
    probe_fence_open(L, &f, s, n, side == 0 ? PROBE_BACK : PROBE_FRONT);
    ok[side] = v->feed(&state[side], f.bytes, n);
    if (!probe_fence_close(&f)) return luaL_error(L, "written beside");
  }
  if (ok[0] != ok[1] || (ok[0] && state[0] != state[1]))
    return luaL_error(L, "two answers for the same bytes");
  if (!ok[0]) return 0;
  lua_pushinteger(L, (lua_Integer)state[0]);
  return 1;
}

/* Is the variant's verdict that of the reference? `before` is whole. */
static bool is_right(const struct variant *v, const uint8_t *text, size_t n,
                     size_t before) {
  uint32_t state = WS_UTF8_START;
  enum verdict got = !v->feed(&state, text, n) ? V_BAD
                     : state == WS_UTF8_START  ? V_WHOLE
                                               : V_OPEN;
  return got == judge(text + before, n - before);
}

static int utf8_sweep(lua_State *L) {
  const struct variant *v = check_variant(L);
  size_t letters, before_len, after_len;
  const char *alphabet = luaL_checklstring(L, 2, &letters);
  size_t k = (size_t)luaL_checkinteger(L, 3);
  const char *before = luaL_checklstring(L, 4, &before_len);
  const char *after = luaL_checklstring(L, 5, &after_len);
  size_t n = before_len + k + after_len;
  uint8_t text[TEXT_MAX];
  size_t digit[4] = {0};
  luaL_argcheck(L, letters > 0, 2, "empty");
  luaL_argcheck(L, k >= 1 && k <= 4, 3, "from 1 to 4");
  luaL_argcheck(L, n >= v->smallest && n <= TEXT_MAX, 4, "length");
  memcpy(text, before, before_len);
  memcpy(text + before_len + k, after, after_len);
  for (lua_Integer count = 1;; count++) {
    uint8_t *p = text + before_len;
    for (size_t i = 0; i < k; i++) p[i] = (uint8_t)alphabet[digit[i]];
    if (!is_right(v, text, n, before_len)) {
      lua_pushnil(L);
      lua_pushlstring(L, (char *)p, k);
      return 2;
    }
    size_t i = 0;
    while (i < k && ++digit[i] == letters) digit[i++] = 0;
    if (i < k) continue;
    lua_pushinteger(L, count);
    return 1;
  }
}

static const luaL_Reg functions[] = {
  {"feed", utf8_feed},         {"feed_fenced", utf8_feed_fenced},
  {"is_valid", utf8_is_valid}, {"judge", utf8_judge},
  {"sweep", utf8_sweep},       {NULL, NULL},
};

void probe_open_utf8(lua_State *L) {
  luaL_newlib(L, functions);
  lua_newtable(L);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof all_variants / sizeof all_variants[0]; i++) {
    const struct variant *v = &all_variants[i];
    if (!is_supported(v)) continue;
    lua_pushstring(L, v->name);
    lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
    lua_pushinteger(L, (lua_Integer)v->smallest);
    lua_setfield(L, -2, v->name);
  }
  lua_setfield(L, -3, "smallest");
  lua_setfield(L, -2, "variants");
}
