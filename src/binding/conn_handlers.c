/* conn_handlers.c: the handlers of one connection, instead of the route's. */
#include "binding/conn_handlers.h"

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/task.h"
#include "engine/conn_flow.h"

static void check_handler(lua_State *L) {
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
}

/* What an application that has no on_message wants: a server that never
 * receives is a feed. */
uint8_t ws_mode_without_handler(const struct lua_conn *lc) {
  bool is_pulled =
    lc->is_pulled || ws_conn_is_client(&lc->c) || !lc->is_greeted;
  return is_pulled ? WS_PULL : WS_DISCARD;
}

static void take_control(lua_State *L, struct lua_conn *lc) {
  ws_push_handler(L, 1, "on_ping");
  ws_push_handler(L, 1, "on_pong");
  lc->c.wants_control = !lua_isnil(L, -1) || !lua_isnil(L, -2);
  lua_pop(L, 2);
}

/* (conn, message, kind): a message that was received whole, before there was
 * an on_chunk, is one chunk. */
static int call_on_chunk(lua_State *L) {
  lua_settop(L, 3);
  ws_push_handler(L, 1, "on_chunk");
  if (lua_isnil(L, -1)) return 0;
  lua_insert(L, 1);
  lua_pushboolean(L, true);
  return ws_task_call(L, 4, "on_chunk");
}

/* Whole messages go to the function (or nil) on top of the stack, which is
 * popped; to on_chunk where that is what there is. */
static void set_on_message(lua_State *L, struct lua_conn *lc) {
  lc->is_adapted = lua_isnil(L, -1) && lc->has_on_chunk;
  if (lc->is_adapted) {
    lua_pop(L, 1);
    lua_pushcfunction(L, call_on_chunk);
  }
  lc->has_on_message = !lua_isnil(L, -1);
  lua_setiuservalue(L, 1, UV_ON_MESSAGE);
}

void ws_handlers_opened(lua_State *L, struct lua_conn *lc) {
  if (!lc->has_on_message && lc->opens == 1) { /* on_message(nil) stays */
    ws_push_handler(L, 1, "on_chunk");
    lc->has_on_chunk = !lua_isnil(L, -1);
    ws_push_handler(L, 1, "on_message");
    set_on_message(L, lc);
    lua_pop(L, 1);
  }
  lc->c.protocol.wants_chunks = lc->has_on_chunk;
  take_control(L, lc);
}

/* The handlers are the route's until the connection has one of its own. */
void ws_own_handlers(lua_State *L, struct lua_conn *lc) {
  if (lc->has_own_handlers) {
    lua_getiuservalue(L, 1, UV_HANDLERS);
    return;
  }
  lua_newtable(L);
  lua_getiuservalue(L, 1, UV_HANDLERS);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, UV_HANDLERS);
  lc->has_own_handlers = true;
}

/* Handlers have changed; from the next message on they get chunks or not. */
static void take_mode(struct lua_conn *lc) {
  lc->c.protocol.wants_chunks = lc->has_on_chunk;
  if (lc->has_on_message) {
    lc->c.mode = WS_CALLBACK;
    lc->c.is_unheard = lc->c.drops_unread = false;
  } else if (lc->c.mode == WS_CALLBACK) {
    lc->c.mode = ws_mode_without_handler(lc);
  }
  ws_conn_resume(&lc->c);
}

static int conn_on_message(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  check_handler(L);
  if (lc->c.is_receiving)
    return luaL_error(L, "cannot set on_message: a task is receiving");
  if (!lua_isnil(L, 2)) lc->has_on_chunk = false;
  set_on_message(L, lc);
  take_mode(lc);
  return ws_push_self(L);
}

/* What was received whole by now still goes to on_message. */
static int conn_on_chunk(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  check_handler(L);
  if (lc->c.is_receiving)
    return luaL_error(L, "cannot set on_chunk: a task is receiving");
  if (!lua_isnil(L, 2) && lc->c.route->options.concurrency > 1)
    return luaL_error(L, "cannot set on_chunk: 'concurrency' is above 1");
  ws_own_handlers(L, lc);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "on_chunk");
  lc->has_on_chunk = !lua_isnil(L, 2);
  if (lc->is_adapted || !lc->has_on_message) {
    lua_pushnil(L);
    set_on_message(L, lc);
  }
  take_mode(lc);
  return ws_push_self(L);
}

static int set_handler(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  check_handler(L);
  ws_own_handlers(L, lc);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 2);
  lua_rawset(L, -3);
  take_control(L, lc);
  return ws_push_self(L);
}

void ws_add_handler_methods(lua_State *L) {
  static const char *const names[] = {"on_close", "on_drain", "on_error",
                                      "on_ping", "on_pong"};
  lua_pushcfunction(L, conn_on_message);
  lua_setfield(L, -2, "on_message");
  lua_pushcfunction(L, conn_on_chunk);
  lua_setfield(L, -2, "on_chunk");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_pushstring(L, names[i]);
    lua_pushcclosure(L, set_handler, 1);
    lua_setfield(L, -2, names[i]);
  }
}
