/* lua_view.c: server:view: functions that make of a message what those get who
 * have subscribed with that view. The number by which the engine knows one is
 * its reference in the registry. */
#include "binding/lua_view.h"

#include "base/buf.h"
#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/option_values.h"
#include "binding/publication.h"
#include "binding/stamp.h"
#include "binding/suggest.h"
#include "binding/task.h"
#include "protocol/utf8.h"

#define NAME_MAX_BYTES 64
#define STAMP_JSON (-3) /* no reference: ours (stamp.c) */

/* ---- which there are ---- */

/* Pushes name -> number, made where there is none. */
static void push_views(lua_State *L, int server) {
  if (lua_getiuservalue(L, server, UV_VIEWS) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, server, UV_VIEWS);
}

static int reference(lua_State *L, int index) {
  lua_pushvalue(L, index);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

int ws_view_add(lua_State *L, struct lua_server *ls, int fn, int reset) {
  struct lua_view v = {LUA_NOREF, LUA_NOREF};
  size_t size = (ls->n_views + 1) * sizeof *ls->views;
  struct lua_view *views = ws_mem_resize(ls->views, size);
  if (!views) return luaL_error(L, "not enough memory");
  ls->views = views;
  ls->views[ls->n_views++] = v;
  size_t at = ls->n_views - 1; /* below, finalizers may add some */
  v.fn = fn ? reference(L, fn) : STAMP_JSON;
  ls->views[at].fn = v.fn;
  if (reset) v.reset = reference(L, reset);
  ls->views[at].reset = v.reset;
  return (int)at;
}

static const char *const view_options[] = {"reset", NULL};

/* server:view(name, fn, { reset = }) */
int ws_server_view(lua_State *L) {
  struct lua_server *ls = ws_check_server(L, 1);
  size_t n;
  luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n > 0 && n <= NAME_MAX_BYTES, 2,
                "a name of 1 to 64 bytes expected");
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 4);
  int reset = 0;
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    ws_option_names(L, 4, "view", view_options);
    reset = ws_option_function(L, 4, "reset");
  }
  if (ls->s.is_gone) return ws_push_closed(L);
  push_views(L, 1);
  int views = lua_gettop(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, views) != LUA_TNIL)
    luaL_error(L, "the view '%s' is there already", lua_tostring(L, 2));
  lua_pushvalue(L, 2);
  lua_pushinteger(L, ws_view_add(L, ls, 3, reset));
  lua_rawset(L, views);
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

void ws_view_unref(lua_State *L, struct lua_server *ls) {
  for (size_t i = 0; i < ls->n_views; i++) {
    luaL_unref(L, LUA_REGISTRYINDEX, ls->views[i].fn);
    luaL_unref(L, LUA_REGISTRYINDEX, ls->views[i].reset);
  }
  ws_mem_free(ls->views);
  ls->views = NULL;
  ls->n_views = 0;
}

/* ---- one at work ---- */

struct viewing {
  struct lua_view view;
  const struct ws_publication *p;
  struct ws_viewed *out;
};

/* Leaves the message, or nil. */
static int view_body(lua_State *L) {
  struct viewing *v = lua_touserdata(L, 1);
  bool is_reset = v->p->is_reset;
  if (v->view.fn == STAMP_JSON) {
    /* What others published past the history was checked by nobody. */
    if (!v->p->offset && !ws_stamp_is_json(v->p)) return 0;
    ws_stamp_push(L, v->p);
    v->out->message.p = lua_tolstring(L, -1, &v->out->message.n);
    v->out->opcode = WS_OP_TEXT;
    return 1;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, is_reset ? v->view.reset : v->view.fn);
  if (is_reset)
    ws_push_about(L, v->p);
  else
    ws_push_publication(L, v->p);
  lua_call(L, is_reset ? 1 : 3, 2);
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
  struct lua_server *ls = WS_LIST_ENTRY(s, struct lua_server, s);
  bool was_viewing = st->is_viewing;
  if ((size_t)view >= ls->n_views || !lua_checkstack(L, 8)) return false;
  struct viewing v = {ls->views[view], p, out};
  if (p->is_reset && v.view.reset == LUA_NOREF) return false;
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
