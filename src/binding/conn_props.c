/* conn_props.c: what can be read of a connection, and the one thing that can
 * be written: data. */
#include "binding/conn_props.h"

#include <string.h>

#include "binding/anchors.h"
#include "binding/answer_table.h"
#include "binding/conn_handlers.h"
#include "binding/request_table.h"
#include "binding/suggest.h"
#include "engine/conn_send.h"
#include "engine/pending.h"

enum property {
  P_NONE,
  P_BUFFERED,
  P_CLOSE_CODE,
  P_CLOSE_REASON,
  P_COMPRESSED,
  P_DATA,
  P_ID,
  P_LATENCY,
  P_MISSED,
  P_ORIGIN,
  P_PARAMS,
  P_PATH,
  P_QUERY,
  P_REMOTE_ADDRESS,
  P_REMOTE_PORT,
  P_REQUEST,
  P_RESPONSE,
  P_SECURE,
  P_SERVER,
  P_STATE,
  P_SUBPROTOCOL
};

static const char *const names[] = {
  [P_BUFFERED] = "buffered",
  [P_CLOSE_CODE] = "close_code",
  [P_CLOSE_REASON] = "close_reason",
  [P_COMPRESSED] = "compressed",
  [P_DATA] = "data",
  [P_ID] = "id",
  [P_LATENCY] = "latency",
  [P_MISSED] = "missed",
  [P_ORIGIN] = "origin",
  [P_PARAMS] = "params",
  [P_PATH] = "path",
  [P_QUERY] = "query",
  [P_REMOTE_ADDRESS] = "remote_address",
  [P_REMOTE_PORT] = "remote_port",
  [P_REQUEST] = "request",
  [P_RESPONSE] = "response",
  [P_SECURE] = "secure",
  [P_SERVER] = "server",
  [P_STATE] = "state",
  [P_SUBPROTOCOL] = "subprotocol",
};

#define N_NAMES (sizeof names / sizeof *names)

void ws_props_add_names(lua_State *L) {
  for (size_t i = 1; i < N_NAMES; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_setfield(L, -2, names[i]);
  }
}

static int push_address(lua_State *L, const struct ws_meta *m) {
  char text[WS_NET_TEXT_MAX];
  lua_pushlstring(L, text, ws_conn_address(m, text));
  return 1;
}

static int push_text(lua_State *L, const struct ws_meta *m, size_t skip,
                     size_t len) {
  lua_pushlstring(L, m->text + skip, len);
  return 1;
}

/* What stands in the packed block. */
static int push_meta(lua_State *L, const struct ws_meta *m, enum property p) {
  if (!m) return 0;
  size_t query = m->path_len, subprotocol = query + m->query_len;
  switch (p) {
  case P_PATH: return push_text(L, m, 0, m->path_len);
  case P_QUERY: return m->query_len ? push_text(L, m, query, m->query_len) : 0;
  case P_SUBPROTOCOL:
    return m->has_subprotocol ? push_text(L, m, subprotocol, m->subprotocol_len)
                              : 0;
  case P_REMOTE_ADDRESS: return push_address(L, m);
  case P_PARAMS:
    ws_push_params(L, m->pattern, (struct ws_slice){m->text, m->path_len});
    return 1;
  case P_REMOTE_PORT: lua_pushinteger(L, m->port); return 1;
  case P_ORIGIN:
    if (!m->origin) return 0;
    lua_pushlstring(L, m->origin->text, m->origin->len);
    return 1;
  default: return 0;
  }
}

const char *ws_props_state(const struct ws_conn *c) {
  static const char *const states[] = {"connecting", "open", "closing",
                                       "closed"};
  return states[c->state];
}

/* Of one that comes back these are of the last time, until it is open. */
static bool has_ended(const struct ws_conn *c) {
  bool is_back = c->state == WS_CONN_PENDING && c->is_told;
  return c->state == WS_CONN_CLOSED || is_back;
}

static int push_reason(lua_State *L, const struct ws_conn *c) {
  struct ws_slice reason = ws_conn_reason(c);
  lua_pushlstring(L, reason.p, reason.n);
  return 1;
}

/* The request is made a table when it is first asked for, and kept. */
static int push_request(lua_State *L, struct lua_conn *lc) {
  lua_getiuservalue(L, 1, UV_HANDLERS);
  if (lc->has_own_handlers && lua_getfield(L, -1, "request") != LUA_TNIL)
    return 1;
  if (ws_conn_is_client(&lc->c)) return 0;
  if (lc->c.is_freed || !ws_pending_of(&lc->c) || lc->is_greeted)
    return luaL_error(L, "the request is gone: read conn.request in on_open, "
                         "before that waits or returns");
  ws_own_handlers(L, lc);
  ws_push_request(L, lc);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "request");
  return 1;
}

static int push_property(lua_State *L, struct lua_conn *lc, enum property p) {
  struct ws_conn *c = &lc->c;
  switch (p) {
  case P_STATE: lua_pushstring(L, ws_props_state(c)); return 1;
  case P_ID: lua_pushinteger(L, (lua_Integer)c->id); return 1;
  case P_DATA: lua_getiuservalue(L, 1, UV_DATA); return 1;
  case P_BUFFERED:
    lua_pushinteger(L, c->is_freed ? 0 : (lua_Integer)ws_conn_buffered(c));
    return 1;
  case P_CLOSE_CODE:
    if (!has_ended(c)) return 0;
    lua_pushinteger(L, ws_conn_code(c));
    return 1;
  case P_CLOSE_REASON: return has_ended(c) ? push_reason(L, c) : 0;
  case P_COMPRESSED: lua_pushboolean(L, c->protocol.extension.is_on); return 1;
  case P_LATENCY:
    if (c->latency < 0) return 0;
    lua_pushnumber(L, (lua_Number)c->latency);
    return 1;
  case P_MISSED:
    lua_pushinteger(L, c->rare ? (lua_Integer)c->rare->missed : 0);
    return 1;
  case P_SECURE: lua_pushboolean(L, ws_conn_is_secure(c)); return 1;
  case P_SERVER:
    if (!c->route->server) return 0;
    ws_object_push(L, ws_state_of(L),
                   WS_LIST_ENTRY(c->route->server, struct lua_server, s));
    return 1;
  case P_REQUEST: return push_request(L, lc);
  case P_RESPONSE: ws_push_answer(L, c); return 1;
  default: return push_meta(L, c->meta, p);
  }
}

int ws_props_index(lua_State *L) {
  if (lua_gettop(L) != 2) lua_settop(L, 2); /* called as a function */
  if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TFUNCTION) return 1;
  struct lua_conn *lc = ws_check_conn(L, 1);
  return push_property(L, lc, (enum property)lua_tointeger(L, -1));
}

/* `conn.onmessage = f`: the method that was meant, or NULL. */
static const char *handler_like(const char *key) {
  static const char *const handlers[] = {"on_message", "on_chunk", "on_close",
                                         "on_ping",    "on_pong",  "on_drain",
                                         "on_error"};
  struct ws_guess g;
  ws_guess_begin(&g, key);
  for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
    ws_guess_try(&g, handlers[i]);
  return strncmp(key, "on", 2) == 0 ? g.best : NULL;
}

int ws_props_newindex(lua_State *L) {
  ws_check_conn(L, 1);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  const char *handler = handler_like(key);
  if (handler)
    return luaL_error(L,
                      "cannot set '%s' of a connection (conn:%s(fn) sets a "
                      "handler)",
                      key, handler);
  if (strcmp(key, "data") != 0)
    return luaL_error(L, "cannot set '%s' of a connection ('data' is yours)",
                      luaL_tolstring(L, 2, NULL));
  lua_settop(L, 3);
  lua_setiuservalue(L, 1, UV_DATA);
  return 0;
}
