/* lua_topic.c: publish and subscribe: the methods of connections and servers
 * that have to do with topics. */
#include "binding/topic.h"

#include <string.h>

#include "engine/topic.h"
#include "protocol/utf8.h"

static struct ws_slice check_topic(lua_State *L, int arg) {
  struct ws_slice name;
  name.p = luaL_checklstring(L, arg, &name.n);
  luaL_argcheck(L, name.n > 0 && name.n <= WS_TOPIC_MAX, arg,
                "a name of 1 to 65535 bytes expected");
  return name;
}

static uint8_t check_message(lua_State *L, int arg, struct ws_slice *message) {
  message->p = luaL_checklstring(L, arg, &message->n);
  uint8_t opcode = ws_check_kind(L, arg + 1);
  if (opcode == WS_OP_TEXT && !ws_utf8_is_valid(message->p, message->n))
    luaL_argerror(L, arg, WS_NOT_UTF8);
  return opcode;
}

static int closed(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "closed");
  return 2;
}

static int push_count(lua_State *L, int64_t n) {
  if (n >= 0) {
    lua_pushinteger(L, n);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "out of memory");
  return 2;
}

/* ---- of a connection ---- */

static struct ws_conn *check_member(lua_State *L) {
  struct ws_conn *c = &ws_check_conn(L, 1)->c;
  if (c->is_client)
    luaL_error(L, "topics are a server's; this connection is a client's");
  return c;
}

static int conn_subscribe(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name = check_topic(L, 2);
  switch (ws_topic_subscribe(c, name)) {
  case WS_OK: lua_pushboolean(L, true); return 1;
  case WS_ERR_CLOSED: return closed(L);
  default: return push_count(L, -1);
  }
}

static int conn_unsubscribe(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name = check_topic(L, 2);
  lua_pushboolean(L, ws_topic_unsubscribe(c, name));
  return 1;
}

static int conn_topics(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name;
  size_t i = 0;
  lua_newtable(L);
  /* a finalizer that runs meanwhile may change the list: it is walked by
   * position and never past its end */
  for (lua_Integer n = 1; (name = ws_topic_name(c, &i)).p; n++) {
    lua_pushlstring(L, name.p, name.n);
    lua_rawseti(L, -2, n);
  }
  return 1;
}

static int conn_publish(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name = check_topic(L, 2), message;
  uint8_t opcode = check_message(L, 3, &message);
  if (!c->server || c->state != WS_CONN_OPEN ||
      !ws_is_usable(WS_LIST_ENTRY(c, struct lua_conn, c)))
    return closed(L);
  return push_count(L, ws_topic_publish(c->server, c, name, opcode, message));
}

/* ---- of a server ---- */

static struct ws_server *check_server(lua_State *L) {
  struct lua_server *ls = luaL_checkudata(L, 1, WS_SERVER_NAME);
  return &ls->s;
}

static bool is_usable(const struct ws_server *s) {
  return !s->is_gone && !ws_loop_is_forked(s->loop);
}

static int server_publish(lua_State *L) {
  struct ws_server *s = check_server(L);
  struct ws_slice name = check_topic(L, 2), message;
  uint8_t opcode = check_message(L, 3, &message);
  if (!is_usable(s)) return closed(L);
  return push_count(L, ws_topic_publish(s, NULL, name, opcode, message));
}

static int server_broadcast(lua_State *L) {
  struct ws_server *s = check_server(L);
  struct ws_slice message;
  uint8_t opcode = check_message(L, 2, &message);
  if (!is_usable(s)) return closed(L);
  return push_count(L, ws_topic_broadcast(s, opcode, message));
}

static int server_subscribers(lua_State *L) {
  struct ws_server *s = check_server(L);
  lua_pushinteger(L, (lua_Integer)ws_topic_count(s, check_topic(L, 2)));
  return 1;
}

const luaL_Reg ws_topic_conn_methods[] = {{"publish", conn_publish},
                                          {"subscribe", conn_subscribe},
                                          {"topics", conn_topics},
                                          {"unsubscribe", conn_unsubscribe},
                                          {NULL, NULL}};

const luaL_Reg ws_topic_server_methods[] = {{"broadcast", server_broadcast},
                                            {"publish", server_publish},
                                            {"subscribers", server_subscribers},
                                            {NULL, NULL}};
