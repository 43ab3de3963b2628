/* lua_route.c: which handlers and options a path has: the options path and
 * routes of ws.listen, and server:route. */
#include "binding/lua_route.h"

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/option_lists.h"
#include "binding/options.h"
#include "engine/route.h"
#include "engine/router.h"

#define ROUTE_NAME "evws.route" /* one that is being made; no script sees it */

static int route_gc(lua_State *L) {
  struct ws_route *r = lua_touserdata(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, r->user);
  r->user = LUA_NOREF;
  ws_route_free(r);
  return 0;
}

/* Pushes a route that is given back with the object, or has been moved into
 * the server by then. */
static struct ws_route *push_route(lua_State *L, struct ws_server *s) {
  struct ws_route *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = (struct ws_route){.server = s, .host = s->host, .user = LUA_NOREF};
  if (luaL_newmetatable(L, ROUTE_NAME)) {
    lua_pushcfunction(L, route_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return r;
}

static struct ws_slice check_pattern(lua_State *L, const struct ws_server *s,
                                     int index) {
  struct ws_slice pattern;
  const char *why;
  pattern.p = lua_tolstring(L, index, &pattern.n);
  if (!ws_router_is_pattern(pattern, &why))
    luaL_error(L, "bad route '%s' (%s)", pattern.p, why);
  if (ws_router_has(&s->router, pattern))
    luaL_error(L, "bad route '%s' (there is one for the same paths)",
               pattern.p);
  return pattern;
}

/* The pattern and the options at two indices become a route; the listener's
 * options are at a third. */
static void add_route(lua_State *L, struct ws_server *s, int pattern,
                      int options, int listener) {
  struct ws_slice text = check_pattern(L, s, pattern);
  int top = lua_gettop(L);
  lua_pushvalue(L, options);
  options = top + 1;
  ws_options_check(L, options, "route", WS_FOR_ROUTE);
  ws_options_inherit(L, options, listener);
  struct ws_route *r = push_route(L, s);
  ws_options_conn(L, options, &r->options);
  ws_options_origins(L, options, r);
  ws_options_subprotocols(L, options, &r->subprotocols);
  ws_options_push_handlers(L, options);
  r->asks_upgrade |= ws_option_is_given(L, top + 3, "on_upgrade");
  r->asks_request = ws_option_is_given(L, top + 3, "on_request");
  r->user = luaL_ref(L, LUA_REGISTRYINDEX);
  if (!ws_route_serve_more(s, r, text)) luaL_error(L, "not enough memory");
  r->user = LUA_NOREF;
  lua_settop(L, top);
}

static void read_path(lua_State *L, struct ws_server *s) {
  const char *why;
  struct ws_slice pattern;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "bad option 'path' (string expected, got %s)",
               ws_option_got(L, -1));
  pattern.p = lua_tolstring(L, -1, &pattern.n);
  if (!ws_router_is_pattern(pattern, &why))
    luaL_error(L, "bad option 'path' ('%s': %s)", pattern.p, why);
  if (!ws_route_serve_first(s, pattern)) luaL_error(L, "not enough memory");
}

static void read_routes(lua_State *L, struct ws_server *s) {
  int routes = lua_gettop(L);
  if (!lua_istable(L, routes))
    luaL_error(L, "bad option 'routes' (a table of paths expected, got %s)",
               ws_option_got(L, -1));
  for (lua_pushnil(L); lua_next(L, routes); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "bad option 'routes' (a table of paths expected)");
    if (!lua_istable(L, -1))
      luaL_error(L, "bad route '%s' (a table of handlers and options expected)",
                 lua_tostring(L, -2));
    add_route(L, s, routes + 1, routes + 2, 1);
  }
}

void ws_route_read(lua_State *L, struct lua_server *ls) {
  bool has_path = lua_getfield(L, 1, "path") != LUA_TNIL;
  if (has_path) read_path(L, &ls->s);
  bool has_routes = lua_getfield(L, 1, "routes") != LUA_TNIL;
  if (has_path && has_routes)
    luaL_error(L, "options 'path' and 'routes' exclude each other");
  if (has_routes) read_routes(L, &ls->s);
  ls->s.serves_any = !has_path && !has_routes;
  lua_pop(L, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, UV_OPTIONS);
}

int ws_route_add(lua_State *L) {
  struct lua_server *ls = ws_check_server(L, 1);
  luaL_checktype(L, 2, LUA_TSTRING);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  lua_getiuservalue(L, 1, UV_OPTIONS);
  if (ls->s.is_closing || ls->s.is_gone) return ws_push_closed(L);
  add_route(L, &ls->s, 2, 3, 4);
  return ws_push_self(L);
}

void ws_route_unref(lua_State *L, struct lua_server *ls) {
  for (struct ws_route *r = ls->s.routes; r; r = r->next) {
    luaL_unref(L, LUA_REGISTRYINDEX, r->user);
    r->user = LUA_NOREF;
  }
  luaL_unref(L, LUA_REGISTRYINDEX, ls->s.route.user);
  ls->s.route.user = LUA_NOREF;
}

void ws_route_take(lua_State *L, struct lua_conn *lc) {
  const struct ws_conn *c = &lc->c;
  if (!c->route->server || c->route->user == LUA_NOREF) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->route->user);
  lua_setiuservalue(L, 1, UV_HANDLERS);
}
