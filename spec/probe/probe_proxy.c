/* probe_proxy: what proxies say. Texts end at a fence, without a NUL.
 *
 * feed({ piece, ... }) -> used, address or "" or "unix", port | nil, error,
 *   used before; the PROXY header in pieces. A few are fenced at both ends,
 *   many only by the sanitizer.
 * forwarded(head, { range, ... }) -> address, port, scheme (0, 1, 2)
 * range(text) -> true | false, why
 * is_in(address, range) -> boolean; "unix" is one of both */
#include "probe.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "protocol/forwarded.h"
#include "protocol/proxy.h"

#define FIELDS 100
#define RANGES 16
#define FENCED 4 /* pieces */

void probe_open_proxy(lua_State *L);

static int push_ip(lua_State *L, const struct ws_ip *ip) {
  char text[INET6_ADDRSTRLEN] = "";
  if (ip->kind == WS_IP_V4)
    inet_ntop(AF_INET, ip->bytes + 12, text, sizeof text);
  else if (ip->kind == WS_IP_V6)
    inet_ntop(AF_INET6, ip->bytes, text, sizeof text);
  lua_pushstring(L, ip->kind == WS_IP_UNIX ? "unix" : text);
  lua_pushinteger(L, ip->port);
  return 2;
}

static int64_t feed_copied(struct ws_proxy *p, const char *bytes, size_t n) {
  char *own = malloc(n ? n : 1);
  if (n) memcpy(own, bytes, n);
  int64_t r = ws_proxy_feed(p, own, n);
  free(own);
  return r;
}

static int64_t feed_fenced(lua_State *L, struct ws_proxy *p, int at,
                           bool is_fenced, enum probe_side side) {
  struct probe_fence f;
  size_t n;
  const char *bytes = lua_tolstring(L, at, &n);
  if (!is_fenced) return feed_copied(p, bytes, n);
  probe_fence_open(L, &f, bytes, n, side);
  int64_t r = ws_proxy_feed(p, f.bytes, n);
  if (!probe_fence_close(&f)) luaL_error(L, "it wrote beside the bytes");
  if (r > (int64_t)n) luaL_error(L, "it used more than there is");
  return r;
}

static int proxy_feed(lua_State *L) {
  /* both see the same bytes, at the two sides of a fence */
  struct ws_proxy back = {.is_done = false}, front = {.is_done = false};
  lua_Integer used = 0, n = luaL_len(L, 1);
  for (lua_Integer i = 1; i <= n && !back.is_done; i++) {
    lua_rawgeti(L, 1, i);
    int64_t r = feed_fenced(L, &back, -1, n <= FENCED, PROBE_BACK);
    if (feed_fenced(L, &front, -1, n <= FENCED, PROBE_FRONT) != r)
      luaL_error(L, "it depends on where the bytes are");
    if (r < 0) {
      lua_pushnil(L);
      lua_pushinteger(L, (lua_Integer)r);
      lua_pushinteger(L, used);
      return 3;
    }
    size_t len = lua_rawlen(L, -1);
    if (!back.is_done && (size_t)r != len)
      luaL_error(L, "it left bytes without being done");
    used += (lua_Integer)r;
    lua_pop(L, 1);
  }
  if (!back.is_done) return 0;
  lua_pushinteger(L, used);
  return 1 + push_ip(L, &back.from);
}

static struct ws_slice check_slice(lua_State *L, int arg) {
  struct ws_slice s;
  s.p = luaL_checklstring(L, arg, &s.n);
  return s;
}

static void read_range(lua_State *L, int arg, struct ws_ip_range *out) {
  struct ws_slice text = check_slice(L, arg);
  *out = (struct ws_ip_range){.first = {.kind = WS_IP_UNIX}};
  if (ws_slice_equal(text, WS_SLICE("unix"))) return;
  const char *why = ws_ip_parse_range(text, out);
  if (why) luaL_error(L, "%s: %s", text.p, why);
}

static int proxy_forwarded(lua_State *L) {
  struct ws_ip_range ranges[RANGES];
  struct ws_trusted trusted = {ranges, (size_t)luaL_len(L, 2)};
  struct ws_http_field fields[FIELDS];
  struct ws_http h = {.fields = fields,
                      .max_fields = FIELDS,
                      .max_line = 65536,
                      .max_field_line = 65536,
                      .max_head = 65536};
  struct probe_fence f;
  for (size_t i = 0; i < trusted.n && i < RANGES; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    read_range(L, -1, &ranges[i]);
  }
  struct ws_slice head = check_slice(L, 1);
  probe_fence_open(L, &f, head.p, head.n, PROBE_BACK);
  ws_http_reset(&h);
  if (ws_http_request(&h, (char *)f.bytes, head.n) <= 0)
    luaL_error(L, "not a head");
  struct ws_forwarded r = ws_forwarded_read(&h, (char *)f.bytes, &trusted);
  if (!probe_fence_close(&f)) luaL_error(L, "it wrote beside the bytes");
  push_ip(L, &r.client);
  lua_pushinteger(L, r.scheme);
  return 3;
}

static int proxy_range(lua_State *L) {
  struct probe_fence f;
  struct ws_ip_range range;
  struct ws_slice text = check_slice(L, 1);
  probe_fence_open(L, &f, text.p, text.n, PROBE_BACK);
  const char *why =
    ws_ip_parse_range((struct ws_slice){(char *)f.bytes, text.n}, &range);
  probe_fence_close(&f);
  lua_pushboolean(L, why == NULL);
  lua_pushstring(L, why);
  return 2;
}

static int proxy_is_in(lua_State *L) {
  struct ws_ip_range ip, range;
  read_range(L, 1, &ip);
  read_range(L, 2, &range);
  lua_pushboolean(L, ws_ip_is_in(&ip.first, &range));
  return 1;
}

static const luaL_Reg functions[] = {
  {"feed", proxy_feed},   {"forwarded", proxy_forwarded},
  {"range", proxy_range}, {"is_in", proxy_is_in},
  {NULL, NULL},
};

void probe_open_proxy(lua_State *L) {
  luaL_newlib(L, functions);
}
