/* lua_view.c: server:view: functions that make of a message what those get who
 * have subscribed with that view. The number by which the engine knows one is
 * its reference in the registry. */
#include "binding/lua_view.h"

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/publication.h"
#include "binding/suggest.h"
#include "binding/task.h"
#include "protocol/utf8.h"

#define NAME_MAX_BYTES 64

/* ---- which there are ---- */

/* Pushes name -> reference, made where there is none. */
static void push_views(lua_State *L, int server) {
  if (lua_getiuservalue(L, server, UV_VIEWS) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, server, UV_VIEWS);
}

int ws_server_view(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  size_t n;
  luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n > 0 && n <= NAME_MAX_BYTES, 2,
                "a name of 1 to 64 bytes expected");
  luaL_checktype(L, 3, LUA_TFUNCTION);
  if (s->is_gone) return ws_push_closed(L);
  lua_settop(L, 3);
  push_views(L, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, 4) != LUA_TNIL)
    luaL_error(L, "the view '%s' is there already", lua_tostring(L, 2));
  lua_pushvalue(L, 3);
  int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, 2);
  lua_pushinteger(L, ref);
  lua_rawset(L, 4);
  lua_pushboolean(L, true);
  return 1;
}

/* The table of views is on top of the stack. */
static int no_view(lua_State *L, const char *name) {
  struct ws_guess g;
  ws_guess_begin(&g, name);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    ws_guess_try(&g, lua_tostring(L, -2));
  if (g.best)
    return luaL_error(L, "the server has no view '%s' (did you mean '%s'?)",
                      name, g.best);
  return luaL_error(L, "the server has no view '%s' (server:view makes one)",
                    name);
}

int ws_view_check(lua_State *L, struct ws_server *s, const char *name) {
  ws_object_push(L, ws_state_of_loop(s->loop),
                 WS_LIST_ENTRY(s, struct lua_server, s));
  if (!lua_isuserdata(L, -1)) return -1; /* it is gone */
  push_views(L, lua_gettop(L));
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return no_view(L, name);
  }
  int view = (int)lua_tointeger(L, -1);
  lua_pop(L, 3);
  return view;
}

void ws_view_unref(lua_State *L, int index) {
  if (lua_getiuservalue(L, index, UV_VIEWS) == LUA_TTABLE)
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
      luaL_unref(L, LUA_REGISTRYINDEX, (int)lua_tointeger(L, -1));
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setiuservalue(L, index < 0 ? index - 1 : index, UV_VIEWS);
}

/* ---- one at work ---- */

struct viewing {
  int view;
  const struct ws_publication *p;
  struct ws_viewed *out;
};

/* Leaves the message, or nil. */
static int view_body(lua_State *L) {
  struct viewing *v = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, v->view);
  ws_push_publication(L, v->p);
  lua_call(L, 3, 2);
  lua_replace(L, 1); /* the kind */
  if (!lua_toboolean(L, -1)) return 0;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "a view returned a %s (a string or nil expected)",
               luaL_typename(L, -1));
  struct ws_slice *m = &v->out->message;
  m->p = lua_tolstring(L, -1, &m->n);
  v->out->opcode = lua_isnil(L, 1) ? WS_OP_TEXT : ws_check_kind(L, 1);
  if (v->out->opcode == WS_OP_TEXT && !ws_utf8_is_valid(m->p, m->n))
    luaL_error(L, "a view returned text that is not UTF-8");
  return 1;
}

/* As if it were the error of a handler. */
static void tell_error(struct ws_state *st, lua_State *L) {
  struct ws_task failed = {.st = st, .handler = "a view"};
  st->failed(&failed, L);
}

bool ws_view_make(struct ws_server *s, int view, const struct ws_publication *p,
                  struct ws_viewed *out) {
  struct ws_state *st = ws_state_of_loop(s->loop);
  lua_State *L = ws_state_thread(st);
  struct viewing v = {view, p, out};
  bool was_viewing = st->is_viewing;
  if (!lua_checkstack(L, 8)) return false;
  lua_pushcfunction(L, view_body);
  lua_pushlightuserdata(L, &v);
  st->is_viewing = true;
  int status = lua_pcall(L, 1, 1, 0);
  st->is_viewing = was_viewing;
  if (status == LUA_OK && lua_isstring(L, -1)) return true;
  if (status != LUA_OK) tell_error(st, L);
  lua_pop(L, 1);
  return false;
}

void ws_view_done(struct ws_server *s) {
  lua_pop(ws_state_thread(ws_state_of_loop(s->loop)), 1);
}
