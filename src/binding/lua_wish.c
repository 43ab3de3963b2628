/* lua_wish.c: how somebody wants a topic, and what was found for who comes
 * back. */
#include "binding/lua_wish.h"

#include "binding/option_values.h"
#include "binding/publication.h"
#include "binding/state.h"
#include "protocol/frame.h"

/* ---- options ---- */

bool ws_wish_position(lua_State *L, int arg, const char *name,
                      struct ws_position *at) {
  static const char *const fields[] = {"offset", "epoch", NULL};
  int type = lua_getfield(L, arg, name), is_int = 0;
  *at = (struct ws_position){0, {NULL, 0}};
  if (type == LUA_TNIL) return false;
  if (type != LUA_TTABLE) ws_option_bad(L, name, "{ offset =, epoch = }");
  ws_option_fields(L, name, fields);
  int table = lua_gettop(L);
  int epoch = lua_getfield(L, table, "epoch");
  if (epoch == LUA_TSTRING)
    at->epoch.p = lua_tolstring(L, -1, &at->epoch.n);
  else if (epoch != LUA_TNIL)
    ws_option_bad(L, name, "an epoch that is a string");
  if (lua_getfield(L, table, "offset") == LUA_TNIL) return false;
  lua_Integer offset = lua_tointegerx(L, -1, &is_int);
  if (lua_type(L, -1) != LUA_TNUMBER || !is_int || offset < 0)
    ws_option_bad(L, name, "an offset that is a whole number from 0");
  at->offset = (uint64_t)offset;
  return true;
}

static void joined(struct ws_wish *wish);

void ws_wish_read(struct lua_wish *lw, lua_State *L, int arg,
                  struct ws_server *s, struct ws_slice topic) {
  *lw = (struct lua_wish){
    .wish = {.view = WS_USUAL_VIEW}, .L = L, .server = s, .topic = topic};
  if (lua_isnoneornil(L, arg)) return;
  luaL_checkstack(L, 12, NULL);
  lw->wish.is_here = ws_option_bool(L, arg, "here", false);
  lw->has_result = ws_option_is_given(L, arg, "recover");
  lw->wish.is_back = ws_wish_position(L, arg, "recover", &lw->wish.since);
  lw->fn = ws_option_function(L, arg, "joined");
  lw->wish.is_asking = lw->fn || lw->has_result;
  if (lw->fn) lw->wish.joined = joined;
}

/* ---- what was found ---- */

/* Pushed one by one, and looked up again for each value: anything may have
 * happened to the history in a finalizer. */
static bool push_message(lua_State *L, const struct ws_server *s,
                         struct ws_slice topic, const struct ws_found *found,
                         uint64_t offset) {
  struct ws_publication p;
  if (!ws_topic_message(s, topic, found, offset, &p)) return false;
  lua_createtable(L, 0, 4);
  if (!ws_topic_message(s, topic, found, offset, &p)) return false;
  lua_pushlstring(L, p.message.p, p.message.n);
  lua_setfield(L, -2, "message");
  lua_pushinteger(L, (lua_Integer)offset);
  lua_setfield(L, -2, "offset");
  lua_pushstring(L, p.opcode == WS_OP_TEXT ? "text" : "binary");
  lua_setfield(L, -2, "kind");
  if (!ws_topic_message(s, topic, found, offset, &p)) return false;
  if (!p.meta.n) return true;
  lua_pushlstring(L, p.meta.p, p.meta.n);
  lua_setfield(L, -2, "meta");
  return true;
}

bool ws_wish_push_messages(lua_State *L, const struct ws_server *s,
                           struct ws_slice topic, const struct ws_found *found,
                           uint64_t from, uint64_t to) {
  int list = lua_gettop(L);
  lua_Integer n = 0;
  for (uint64_t i = from;; from <= to ? i++ : i--) {
    if (!push_message(L, s, topic, found, i)) {
      lua_settop(L, list);
      return false;
    }
    lua_rawseti(L, list, ++n);
    if (i == to) return true;
  }
}

/* Pushes { recovered =, offset =, epoch =, missed = }. */
static void push_found(lua_State *L, struct lua_wish *lw) {
  struct ws_found *f = &lw->wish.found;
  lua_createtable(L, 0, 4);
  if (f->is_kept) {
    lua_pushinteger(L, (lua_Integer)f->top);
    lua_setfield(L, -2, "offset");
    lua_pushlstring(L, f->epoch, sizeof f->epoch);
    lua_setfield(L, -2, "epoch");
  }
  if (lw->fn) {
    lua_newtable(L);
    if (f->is_recovered && f->from <= f->top &&
        !ws_wish_push_messages(L, lw->server, lw->topic, f, f->from, f->top)) {
      lua_pop(L, 1);
      lua_newtable(L);
      f->is_recovered = false;
    }
  } else {
    lua_pushinteger(L,
                    f->is_recovered ? (lua_Integer)(f->top + 1 - f->from) : 0);
  }
  lua_setfield(L, -2, "missed");
  lua_pushboolean(L, f->is_recovered);
  lua_setfield(L, -2, "recovered");
}

/* 1: the wish, 2: fn. Returns what was found. */
static int joined_body(lua_State *L) {
  push_found(L, lua_touserdata(L, 1));
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_call(L, 1, 0);
  return 1;
}

static void joined(struct ws_wish *wish) {
  struct lua_wish *lw = WS_LIST_ENTRY(wish, struct lua_wish, wish);
  struct ws_state *st = ws_state_of_loop(lw->server->loop);
  bool was_joining = st->is_joining;
  lua_pushcfunction(lw->L, joined_body);
  lua_pushlightuserdata(lw->L, lw);
  lua_pushvalue(lw->L, lw->fn);
  st->is_joining = true;
  lw->has_failed = lua_pcall(lw->L, 2, 1, 0) != LUA_OK;
  st->is_joining = was_joining;
}

int ws_wish_push(struct lua_wish *lw) {
  if (lw->has_failed) return lua_error(lw->L);
  if (lw->fn) return 1; /* joined_body has left it */
  if (lw->has_result)
    push_found(lw->L, lw);
  else
    lua_pushboolean(lw->L, true);
  return 1;
}
