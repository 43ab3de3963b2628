/* request_table.c: a request as a table: its head, body and parameters. */
#include "binding/request_table.h"

#include "base/buf.h"
#include "engine/pending.h"
#include "engine/router.h"
#include "engine/upgrade.h"

static void set_slice(lua_State *L, const char *name, struct ws_slice s) {
  if (!s.p) return;
  lua_pushlstring(L, s.p, s.n);
  lua_setfield(L, -2, name);
}

static void push_lower(lua_State *L, struct ws_slice s) {
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, s.n);
  for (size_t i = 0; i < s.n; i++) to[i] = ws_lower(s.p[i]);
  luaL_pushresultsize(&b, s.n);
}

/* RFC 9110 5.3: repeated fields are one list; cookies are joined as RFC 6265
 * 5.4 writes them. */
static void push_joined(lua_State *L, const struct ws_http *h,
                        const char *bytes, uint32_t first) {
  struct ws_slice name = ws_http_name(bytes, &h->fields[first]);
  bool is_cookie = ws_slice_equal_nocase(name, WS_SLICE("cookie"));
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (uint32_t i = first; i < h->n_fields; i++) {
    const struct ws_http_field *f = &h->fields[i];
    if (!ws_slice_equal_nocase(name, ws_http_name(bytes, f))) continue;
    struct ws_slice value = ws_http_value(bytes, f);
    if (i > first) luaL_addstring(&b, is_cookie ? "; " : ", ");
    luaL_addlstring(&b, value.p, value.n);
  }
  luaL_pushresult(&b);
}

void ws_push_headers(lua_State *L, const struct ws_http *h, const char *bytes) {
  lua_createtable(L, 0, (int)h->n_fields);
  for (uint32_t i = 0; i < h->n_fields; i++) {
    push_lower(L, ws_http_name(bytes, &h->fields[i]));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) {
      lua_pop(L, 2);
      continue;
    }
    lua_pop(L, 1);
    push_joined(L, h, bytes, i);
    lua_rawset(L, -3);
  }
}

static void push_subprotocols(lua_State *L, const struct ws_pending *p) {
  struct ws_slice name;
  size_t iter = 0;
  lua_newtable(L);
  for (int i = 1;
       ws_handshake_next_subprotocol(&p->http, p->bytes, &iter, &name) == 1;
       i++) {
    lua_pushlstring(L, name.p, name.n);
    lua_rawseti(L, -2, i);
  }
}

/* Of a client that has shown a certificate, and it was verified. */
static void push_subject(lua_State *L, const struct ws_stream *s) {
  luaL_Buffer b;
  long n = ws_stream_subject(s, NULL, 0);
  if (n < 0) return;
  char *to = luaL_buffinitsize(L, &b, (size_t)n);
  bool is_whole = ws_stream_subject(s, to, (size_t)n) == n;
  luaL_pushresultsize(&b, (size_t)n);
  if (is_whole) {
    lua_setfield(L, -2, "client_certificate");
  } else {
    lua_pop(L, 1);
  }
}

void ws_push_params(lua_State *L, const struct ws_text *pattern,
                    struct ws_slice path) {
  struct ws_router_iter iter = {0, 0};
  struct ws_slice name, value, all;
  lua_newtable(L);
  if (!pattern) return;
  all = (struct ws_slice){pattern->text, pattern->len};
  while (ws_router_next_param(all, path, &iter, &name, &value)) {
    luaL_Buffer b;
    lua_pushlstring(L, name.p, name.n);
    char *to = luaL_buffinitsize(L, &b, value.n);
    luaL_pushresultsize(&b, ws_router_decode(value, to));
    lua_rawset(L, -3);
  }
}

/* A plain request beside the option path is of no pattern. */
static const struct ws_text *pattern_of(const struct ws_conn *c) {
  bool is_other =
    c->route == &c->route->server->route && !ws_pending_of(c)->shake.is_upgrade;
  return is_other ? NULL : c->route->pattern;
}

void ws_push_request(lua_State *L, struct lua_conn *lc) {
  const struct ws_pending *p = ws_pending_of(&lc->c);
  const struct ws_http *h = &p->http;
  char address[WS_NET_TEXT_MAX];
  lua_createtable(L, 0, 16);
  luaL_setmetatable(L, WS_REQUEST_CLASS);
  set_slice(L, "method",
            (struct ws_slice){p->bytes + h->method, h->method_len});
  set_slice(L, "path", p->shake.path);
  set_slice(L, "query", p->shake.query);
  ws_push_params(L, pattern_of(&lc->c), p->shake.path);
  lua_setfield(L, -2, "params");
  set_slice(L, "host", p->shake.host);
  set_slice(L, "origin", p->shake.origin);
  set_slice(L, "body",
            (struct ws_slice){p->body.len ? (char *)ws_buf_begin(&p->body) : "",
                              p->body.len});
  lua_pushstring(L, h->minor ? "1.1" : "1.0");
  lua_setfield(L, -2, "version");
  ws_push_headers(L, h, p->bytes);
  lua_setfield(L, -2, "headers");
  push_subprotocols(L, p);
  lua_setfield(L, -2, "subprotocols");
  lua_pushinteger(L, ws_net_text(&p->client, address));
  lua_setfield(L, -2, "remote_port");
  lua_pushstring(L, address);
  lua_setfield(L, -2, "remote_address");
  lua_pushboolean(L, ws_conn_is_secure(&lc->c));
  lua_setfield(L, -2, "secure");
  push_subject(L, &lc->c.stream);
  lua_pushboolean(L, p->shake.is_upgrade);
  lua_setfield(L, -2, "is_websocket");
  lua_pushboolean(L, ws_upgrade_is_origin_allowed(&lc->c));
  lua_setfield(L, -2, "is_origin_allowed");
}
