/* probe_frame: frame heads and masking. Every buffer stands at a fence.
 *
 * decode(s) -> size, { len=, fin=, rsv=, opcode=, mask= or nil }
 *   | 0 when more is needed | nil, error number
 * head_size(s)                 s: two octets
 * encode(first, len[, mask])   -> the head
 * mask(s, key, phase[, side]), mask_copy(...)  side: "back" or "front" */
#include "probe.h"

#include <string.h>

#include <lauxlib.h>

#include "protocol/frame.h"

void probe_open_frame(lua_State *L);

static enum probe_side check_side(lua_State *L, int arg) {
  static const char *const names[] = {"back", "front", NULL};
  return luaL_checkoption(L, arg, "back", names) == 0 ? PROBE_BACK
                                                      : PROBE_FRONT;
}

static const uint8_t *check_key(lua_State *L, int arg) {
  size_t n;
  const char *key = luaL_checklstring(L, arg, &n);
  luaL_argcheck(L, n == 4, arg, "4 octets expected");
  return (const uint8_t *)key;
}

static void push_frame(lua_State *L, const struct ws_frame *f) {
  lua_newtable(L);
  lua_pushinteger(L, (lua_Integer)f->len);
  lua_setfield(L, -2, "len");
  lua_pushboolean(L, f->fin);
  lua_setfield(L, -2, "fin");
  lua_pushinteger(L, f->rsv);
  lua_setfield(L, -2, "rsv");
  lua_pushinteger(L, f->opcode);
  lua_setfield(L, -2, "opcode");
  if (!f->is_masked) return;
  lua_pushlstring(L, (const char *)f->mask, 4);
  lua_setfield(L, -2, "mask");
}

static int frame_decode(lua_State *L) {
  struct ws_frame frame;
  struct probe_fence f;
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  probe_fence_open(L, &f, s, n, PROBE_BACK);
  int size = ws_frame_decode(&frame, f.bytes, n);
  if (!probe_fence_close(&f)) return luaL_error(L, "written beside");
  if (size < 0) lua_pushnil(L);
  lua_pushinteger(L, size);
  if (size <= 0) return size < 0 ? 2 : 1;
  push_frame(L, &frame);
  return 2;
}

static int frame_head_size(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  luaL_argcheck(L, n >= 2, 1, "2 octets expected");
  size_t size = ws_frame_head_size((const uint8_t *)s);
  lua_pushinteger(L, (lua_Integer)size);
  return 1;
}

static int frame_encode(lua_State *L) {
  uint8_t head[WS_FRAME_HEAD_MAX];
  uint8_t first = (uint8_t)luaL_checkinteger(L, 1);
  uint64_t len = (uint64_t)luaL_checkinteger(L, 2);
  const uint8_t *mask = lua_isnoneornil(L, 3) ? NULL : check_key(L, 3);
  size_t size = ws_frame_encode(head, first, len, mask);
  lua_pushlstring(L, (char *)head, size);
  return 1;
}

static int frame_mask(lua_State *L) {
  struct probe_fence f;
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  const uint8_t *key = check_key(L, 2);
  unsigned phase = (unsigned)luaL_checkinteger(L, 3);
  probe_fence_open(L, &f, s, n, check_side(L, 4));
  ws_frame_mask(f.bytes, n, key, phase);
  lua_pushlstring(L, (char *)f.bytes, n);
  if (!probe_fence_close(&f)) return luaL_error(L, "written beside");
  return 1;
}

static int frame_mask_copy(lua_State *L) {
  struct probe_fence src, dst;
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  const uint8_t *key = check_key(L, 2);
  unsigned phase = (unsigned)luaL_checkinteger(L, 3);
  enum probe_side side = check_side(L, 4);
  probe_fence_open(L, &src, s, n, side);
  probe_fence_open(L, &dst, s, n, side);
  memset(dst.bytes, 0x5A, n);
  ws_frame_mask_copy(dst.bytes, src.bytes, n, key, phase);
  bool is_same = memcmp(src.bytes, s, n) == 0;
  lua_pushlstring(L, (char *)dst.bytes, n);
  is_same = probe_fence_close(&src) && is_same;
  if (!probe_fence_close(&dst) || !is_same)
    return luaL_error(L, "written beside");
  return 1;
}

static const luaL_Reg functions[] = {
  {"decode", frame_decode},       {"head_size", frame_head_size},
  {"encode", frame_encode},       {"mask", frame_mask},
  {"mask_copy", frame_mask_copy}, {NULL, NULL},
};

void probe_open_frame(lua_State *L) {
  luaL_newlib(L, functions);
}
