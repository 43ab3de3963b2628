/* anchors.c: the objects that scripts hold, and what keeps them alive while
 * they are in use. A connection has a slot in a table of 256, itself in a table
 * behind the registry: one big table would have to be traversed at once by the
 * collector. The others, which are few, are in one table. */
#include "binding/anchors.h"

#include <string.h>

#include "engine/conn.h"
#include "engine/conn_flow.h"

#define BUCKET 256

static const char server_magic;

void ws_object_class(lua_State *L, const char *name, const luaL_Reg *methods,
                     const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_pushstring(L, name); /* __gc and the like are not for scripts */
  lua_setfield(L, -2, "__metatable");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static void push_bucket(lua_State *L, struct ws_state *st, uint32_t slot) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->anchors);
  lua_rawgeti(L, -1, (lua_Integer)(slot / BUCKET) + 1);
  lua_remove(L, -2);
}

/* A free slot holds which one is free next. */
static uint32_t next_slot(const struct ws_state *st) {
  return st->free_slot != WS_NO_SLOT ? st->free_slot : st->n_slots;
}

static void make_bucket(lua_State *L, struct ws_state *st, uint32_t slot) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->anchors);
  lua_createtable(L, BUCKET, 0);
  for (int k = 1; k <= BUCKET; k++) { /* so that filling never allocates */
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, k);
  }
  /* a finalizer that ran meanwhile may have made it */
  if (lua_rawgeti(L, -2, (lua_Integer)(slot / BUCKET) + 1) != LUA_TNIL) {
    lua_pop(L, 3);
    return;
  }
  lua_pop(L, 1);
  lua_rawseti(L, -2, (lua_Integer)(slot / BUCKET) + 1);
  lua_pop(L, 1);
}

struct lua_conn *ws_anchor_object(lua_State *L, struct ws_state *st,
                                  int handlers) {
  struct lua_conn *lc = lua_newuserdatauv(L, sizeof *lc, UV_CONN_COUNT);
  memset(lc, 0, sizeof *lc);
  ws_conn_blank(&lc->c); /* until the engine has made a connection of it */
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->conn_meta);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, handlers);
  lua_setiuservalue(L, -2, UV_HANDLERS);
  return lc;
}

void ws_anchor_add(lua_State *L, struct ws_state *st, int index) {
  struct lua_conn *lc = lua_touserdata(L, index);
  for (;;) {
    push_bucket(L, st, next_slot(st));
    if (!lua_isnil(L, -1)) break;
    lua_pop(L, 1);
    make_bucket(L, st, next_slot(st));
  }
  /* from here on nothing allocates, so nobody else takes the slot */
  st->n_anchored++;
  lc->c.user = next_slot(st);
  if (lc->c.user == st->n_slots) {
    st->n_slots++;
  } else {
    lua_rawgeti(L, -1, lc->c.user % BUCKET + 1);
    st->free_slot = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, lc->c.user % BUCKET + 1);
  lua_pop(L, 1);
}

void ws_anchor_drop(struct ws_state *st, struct lua_conn *lc) {
  lua_State *L = ws_state_thread(st);
  if (!lua_checkstack(L, 4)) return; /* it stays until the state is closed */
  push_bucket(L, st, lc->c.user);
  lua_pushinteger(L, st->free_slot);
  lua_rawseti(L, -2, lc->c.user % BUCKET + 1);
  lua_pop(L, 1);
  st->free_slot = lc->c.user;
  st->n_anchored--;
}

void ws_anchor_leave(struct ws_state *st, struct lua_conn *lc) {
  if (--lc->tasks) return;
  if (lc->c.is_freed)
    ws_anchor_drop(st, lc);
  else if (lc->c.is_close_pending) /* it may have waited for this task */
    ws_conn_resume(&lc->c);
}

void ws_anchor_push(lua_State *L, struct ws_state *st, struct lua_conn *lc) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->anchors);
  lua_rawgeti(L, -1, (lua_Integer)(lc->c.user / BUCKET) + 1);
  lua_rawgeti(L, -1, lc->c.user % BUCKET + 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void ws_anchor_each(lua_State *L, struct ws_state *st,
                    void (*fn)(struct lua_conn *)) {
  for (uint32_t slot = 0; slot < st->n_slots; slot++) {
    push_bucket(L, st, slot);
    lua_rawgeti(L, -1, slot % BUCKET + 1);
    struct lua_conn *lc = lua_touserdata(L, -1);
    if (lc) fn(lc);
    lua_pop(L, 2);
  }
}

/* conn.send "x": what the method was called as, where that is known. */
static const char *called_as(lua_State *L) {
  lua_Debug ar;
  lua_getstack(L, 0, &ar); /* ours, which has been called */
  lua_getinfo(L, "n", &ar);
  return ar.name && strcmp(ar.namewhat, "field") == 0 ? ar.name : NULL;
}

void *ws_object_check(lua_State *L, int arg, const char *name) {
  void *object = luaL_testudata(L, arg, name);
  if (object) return object;
  const char *method = arg == 1 ? called_as(L) : NULL;
  const char *got = luaL_typename(L, arg), *own = strchr(name, '.') + 1;
  if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING)
    got = lua_tostring(L, -1);
  if (method)
    luaL_argerror(L, arg,
                  lua_pushfstring(L,
                                  "%s expected, got %s; call %s:%s, not %s.%s",
                                  name, got, own, method, own, method));
  luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", name, got));
  return NULL;
}

/* The check of every send: the object carries an address that nothing else
 * holds, from accepting or connecting on, which spares a look at the
 * registry. */
struct lua_conn *ws_check_conn(lua_State *L, int arg) {
  struct lua_conn *lc = lua_touserdata(L, arg);
  if (lc && lua_rawlen(L, arg) == sizeof *lc &&
      lc->c.stream.watch.fn == ws_conn_on_ready)
    return lc;
  return ws_object_check(L, arg, WS_CONN_NAME); /* blank, or it raises */
}

/* Lua gives the memory to other userdata as it is, and one of the same size
 * must not be taken for a connection before it has been filled. */
void ws_anchor_forget(struct lua_conn *lc) {
  lc->c.stream.watch.fn = NULL;
}

void ws_push_handler(lua_State *L, int conn_index, const char *name) {
  lua_getiuservalue(L, conn_index, UV_HANDLERS);
  if (!lua_istable(L, -1)) return; /* nil */
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

void ws_object_keep(lua_State *L, struct ws_state *st, void *at, int index) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->objects);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, at);
  lua_pop(L, 1);
}

void ws_object_push(lua_State *L, struct ws_state *st, void *at) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->objects);
  lua_rawgetp(L, -1, at);
  lua_remove(L, -2);
}

/* The key is there already, so clearing it allocates nothing. */
void ws_object_drop(lua_State *L, struct ws_state *st, void *at) {
  if (!lua_checkstack(L, 3)) return; /* it stays until the state is closed */
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->objects);
  lua_pushnil(L);
  lua_rawsetp(L, -2, at);
  lua_pop(L, 1);
}

void ws_server_mark(struct lua_server *ls, bool on) {
  ls->magic = on ? &server_magic : NULL;
}

struct lua_server *ws_check_server(lua_State *L, int arg) {
  struct lua_server *ls = lua_touserdata(L, arg);
  if (ls && lua_rawlen(L, arg) == sizeof *ls && ls->magic == &server_magic)
    return ls;
  return ws_object_check(L, arg, WS_SERVER_NAME);
}
