/* lua_pass.c: see lua_pass.h. What is passed is the port and address of the
 * server, the peer's address, and the bytes of the request as it came; between
 * processes of one program on one machine. */
#include "binding/lua_pass.h"

#include <string.h>

#include "binding/anchors.h"
#include "binding/lua_body.h"
#include "engine/listener.h"
#include "engine/pending.h"

struct place {
  int port;
  uint32_t address_len; /* bytes behind this */
  struct ws_address peer;
};

/* The connection of the request at 1, while that is not answered. */
static struct ws_conn *asked_of(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct lua_conn *lc = ws_body_asked(L, 1);
  return lc ? &lc->c : NULL;
}

int ws_lua_server_of(lua_State *L) {
  struct ws_conn *c = asked_of(L);
  if (!c || !c->route->server) return 0;
  ws_object_push(L, ws_state_of(L),
                 WS_LIST_ENTRY(c->route->server, struct lua_server, s));
  if (!c->route->server->carrier) return 1;
  lua_pushlightuserdata(L, c->route->server->carrier);
  return 2;
}

/* The body has been decoded: it stands behind a head that says how long it
 * is, or in one chunk. */
static void add_body(luaL_Buffer *b, const struct ws_pending *p,
                     const char *body, size_t n) {
  char head[32];
  if (!p->shake.is_chunked) {
    luaL_addlstring(b, body, n);
    return;
  }
  snprintf(head, sizeof head, "%zx\r\n", n);
  if (n) {
    luaL_addstring(b, head);
    luaL_addlstring(b, body, n);
    luaL_addlstring(b, "\r\n", 2);
  }
  luaL_addstring(b, "0\r\n\r\n");
}

int ws_lua_passable(lua_State *L) {
  size_t n;
  const char *body = luaL_optlstring(L, 2, "", &n);
  lua_settop(L, 2);
  struct ws_conn *c = asked_of(L);
  luaL_Buffer b;
  if (!c || !c->route->server || !ws_pending_may_pass(c)) return 0;
  const struct ws_pending *p = ws_pending_of(c);
  const char *address =
    c->route->server->address ? c->route->server->address : "";
  struct place place = {.port = c->route->server->port,
                        .address_len = (uint32_t)strlen(address)};
  memcpy(&place.peer.any, &p->peer.any, p->peer.len);
  place.peer.len = p->peer.len;
  lua_pushinteger(L, c->stream.watch.fd);
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, (const char *)&place, sizeof place);
  luaL_addlstring(&b, address, place.address_len);
  luaL_addlstring(&b, p->bytes, p->head);
  add_body(&b, p, body, n);
  luaL_addlstring(&b, p->bytes + p->used, p->n - p->used);
  luaL_pushresult(&b);
  return 2;
}

int ws_lua_passed(lua_State *L) {
  struct ws_conn *c = asked_of(L);
  if (c && ws_pending_may_pass(c)) ws_pending_passed(c);
  return 0;
}

static struct ws_server *server_at(struct ws_state *st, const struct place *at,
                                   const char *address) {
  struct ws_list *e;
  for (e = st->servers.next; e != &st->servers; e = e->next) {
    struct ws_server *s = &WS_LIST_ENTRY(e, struct lua_server, link)->s;
    if (s->port == at->port && s->address &&
        strlen(s->address) == at->address_len &&
        memcmp(s->address, address, at->address_len) == 0)
      return s;
  }
  return NULL;
}

int ws_lua_expect(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  double seconds = luaL_checknumber(L, 2);
  if (!s->is_gone) s->retiring.expects = ws_loop_now(s->loop) + seconds;
  return 0;
}

int ws_lua_adopt(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  int fd = (int)luaL_checkinteger(L, 2);
  struct place place;
  struct ws_server *s = NULL;
  if (n > sizeof place) {
    memcpy(&place, bytes, sizeof place);
    bytes += sizeof place;
    n -= sizeof place;
    if (place.address_len <= n) s = server_at(st, &place, bytes);
  }
  if (!s) {
    st->loop.io->ops->close(st->loop.io, fd);
    lua_pushboolean(L, false);
    return 1;
  }
  struct ws_slice request = {bytes + place.address_len, n - place.address_len};
  lua_pushboolean(L, ws_listener_take(s, fd, &place.peer, request));
  return 1;
}
