/* lua_topic.c: publish and subscribe: the methods of connections and servers
 * that have to do with topics. */
#include "binding/lua_topic.h"

#include <limits.h>

#include "binding/anchors.h"
#include "binding/bus_wait.h"
#include "binding/lua_message.h"
#include "binding/lua_presence.h"
#include "binding/lua_view.h"
#include "binding/lua_wish.h"
#include "binding/option_values.h"
#include "binding/send_options.h"
#include "binding/stamp.h"
#include "binding/task.h"
#include "binding/waiting.h"
#include "engine/kept_sync.h"
#include "engine/topic_ask.h"

#define SYNC_SECONDS 5.0 /* that reading a history from Redis may take */

static int push_count(lua_State *L, int64_t n) {
  if (n >= 0) {
    lua_pushinteger(L, n);
    return 1;
  }
  return ws_push_failure(L, WS_ERR_MEMORY);
}

/* And why others than this server's connections do not get it; or the place
 * that it has in a history. */
static int push_published(lua_State *L, const struct ws_publication *p,
                          int64_t n, const char *why) {
  if (n >= 0 && p->is_away) { /* its place comes back with it */
    if (!why) {
      lua_pushboolean(L, true);
      return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
  }
  if (n >= 0 && p->is_kept) {
    lua_pushinteger(L, (lua_Integer)p->offset);
    lua_pushlstring(L, p->epoch.p, p->epoch.n);
    return 2;
  }
  int pushed = push_count(L, n);
  if (n < 0 || !why) return pushed;
  lua_pushstring(L, why);
  return 2;
}

/* What a view makes of a message is a matter of that message. */
static void check_no_view(lua_State *L, const struct ws_server *s,
                          const char *what) {
  if (ws_state_of_loop(s->loop)->is_viewing)
    luaL_error(L, "cannot %s inside of a view", what);
}

/* What is published: 2 is the topic, 3 the message, 4 its kind, and the table
 * at 5, or nothing, has options, of which it takes `meta`. The table keeps
 * that. here: is it for this process alone? */
static struct ws_publication check_publication(lua_State *L, bool *here,
                                               const char *const options[]) {
  struct ws_publication p = {.topic = ws_check_topic(L, 2)};
  p.opcode = ws_check_message(L, 3, &p.message);
  *here = false;
  if (lua_isnoneornil(L, 5)) return p;
  luaL_checktype(L, 5, LUA_TTABLE);
  ws_option_names(L, 5, "publish", options);
  *here = ws_option_bool(L, 5, "here", false);
  p.meta = ws_read_meta(L, 5);
  ws_read_fleet(L, 5, &p.fleet);
  return p;
}

/* What is stamped as JSON has to be JSON. */
static bool can_be_stamped(const struct ws_server *s,
                           const struct ws_publication *p) {
  const struct ws_kept_rule *r =
    s->kept.n ? ws_kept_rule_of(&s->kept, p->topic) : NULL;
  return !r || !r->is_json || ws_stamp_is_json(p);
}

/* One order for all: no message of it is for some alone. */
static void check_here(lua_State *L, const struct ws_server *s,
                       const struct ws_publication *p, bool here) {
  if (here && s->kept.n && ws_kept_rule_of(&s->kept, p->topic))
    luaL_error(L, "option 'here' is not for topics with a history");
}

/* Of a message to a history in Redis its place can be waited for; elsewhere
 * there is nothing to wait for. */
static int publish(lua_State *L, struct ws_server *s, struct ws_except except,
                   struct ws_publication *p, bool here) {
  double seconds = lua_gettop(L) < 5 ? -1 : ws_option_wait(L, 5);
  struct ws_task here_too;
  const char *why = NULL;
  bool waits =
    seconds >= 0 && s->carrier && ws_kept_rule_of(&s->kept, p->topic);
  if (waits) {
    ws_task_waiter(L, ws_state_of(L), &here_too); /* or it raises */
    p->receipt = ws_bus_wait_receipt(L);
  }
  int64_t n = ws_topic_publish(s, except, p, here ? NULL : &why);
  if (waits && !why) return ws_bus_wait_kept(L, s, p->receipt, seconds);
  return push_published(L, p, n, why);
}

static int push_not_json(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "not JSON");
  return 2;
}

/* ---- of a connection ---- */

static struct ws_conn *check_member(lua_State *L) {
  struct ws_conn *c = &ws_check_conn(L, 1)->c;
  if (ws_conn_is_client(c))
    luaL_error(L, "topics are a server's; this connection is a client's");
  return c;
}

static const char *const subscribe_options[] = {
  "here", "joined", "presence", "recover", "view", "wait", NULL};

/* The options of subscribe at 3, or nothing. */
static void check_wish(lua_State *L, struct ws_conn *c, struct ws_slice name,
                       struct lua_wish *lw) {
  if (!lua_isnoneornil(L, 3)) {
    luaL_checktype(L, 3, LUA_TTABLE);
    ws_option_names(L, 3, "subscribe", subscribe_options);
  }
  ws_wish_read(lw, L, 3, c->route->server, name);
  if (lua_isnoneornil(L, 3) || lua_getfield(L, 3, "view") == LUA_TNIL) return;
  if (lua_type(L, -1) == LUA_TSTRING)
    lw->wish.view = c->route->server
                      ? ws_view_check(L, c->route->server, lua_tostring(L, -1))
                      : WS_NO_VIEW;
  else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
    lw->wish.view = WS_NO_VIEW;
  else
    ws_option_bad(L, "view", "string or false");
}

static int subscribe(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name = ws_check_topic(L, 2);
  struct lua_wish lw;
  struct lua_arrival who;
  check_wish(L, c, name, &lw);
  if (c->route->server) check_no_view(L, c->route->server, "subscribe");
  double seconds = ws_option_wait(L, 3);
  struct ws_task here;
  if (lw.wish.is_asking) seconds = -1; /* that has been waited for */
  if (seconds >= 0) ws_task_waiter(L, ws_state_of(L), &here); /* or it raises */
  ws_presence_read(L, 3, c, name, &who);
  if (who.is_given) lw.wish.who = &who.who;
  lw.wish.is_absent = who.is_absent;
  enum ws_err err = ws_topic_subscribe(c, name, &lw.wish);
  ws_presence_give(&who);
  if (lw.has_failed) ws_topic_unsubscribe(c, name);
  switch (err) {
  case WS_OK:
    if (seconds >= 0 && !lw.wish.is_here && !lw.has_failed)
      return ws_bus_wait_there(L, c->route->server, name, seconds, 0);
    return ws_wish_push(&lw);
  case WS_ERR_CLOSED: return ws_push_closed(L);
  default: return push_count(L, -1);
  }
}

/* Who asks where the topic is waits until that is known. */
static int conn_subscribe(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name = ws_check_topic(L, 2);
  struct lua_wish lw;
  lua_settop(L, 3);
  check_wish(L, c, name, &lw);
  if (!ws_is_usable(ws_lua_conn(c))) return ws_push_closed(L);
  double seconds = ws_option_wait(L, 3);
  bool is_asking = lw.wish.is_asking && c->route->server;
  lua_settop(L, 3);
  if (!is_asking) return subscribe(L);
  check_no_view(L, c->route->server, "subscribe");
  if (lw.wish.is_back) ws_sync_reach(c->route->server, name, &lw.wish.since);
  return ws_bus_wait_sync(L, c->route->server, name,
                          seconds >= 0 ? seconds : SYNC_SECONDS, subscribe);
}

static int conn_unsubscribe(lua_State *L) {
  struct ws_conn *c = check_member(L);
  struct ws_slice name = ws_check_topic(L, 2);
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
  static const char *const options[] = {"here", "key",  "meta",
                                        "ttl",  "wait", NULL};
  struct ws_conn *c = check_member(L);
  bool here;
  struct ws_publication p = check_publication(L, &here, options);
  if (!c->route->server || c->state != WS_CONN_OPEN ||
      !ws_is_usable(ws_lua_conn(c)))
    return ws_push_closed(L);
  check_no_view(L, c->route->server, "publish");
  check_here(L, c->route->server, &p, here);
  if (!can_be_stamped(c->route->server, &p)) return push_not_json(L);
  const struct ws_conn *self = c;
  return publish(L, c->route->server, (struct ws_except){&self, 1}, &p, here);
}

/* ---- of a server ---- */

static bool is_usable(const struct ws_server *s) {
  return !s->is_gone && !ws_loop_is_forked(s->loop);
}

/* { except = connections } at arg, or nothing: those of this server. What is
 * pushed holds the list. */
static struct ws_except check_except(lua_State *L, int arg,
                                     const struct ws_server *s) {
  struct ws_except except = {NULL, 0};
  if (lua_isnoneornil(L, arg)) return except;
  if (lua_getfield(L, arg, "except") == LUA_TNIL) return except;
  if (!lua_istable(L, -1))
    luaL_error(L, "bad option 'except' (a list of connections expected)");
  int list = lua_gettop(L);
  size_t n = lua_rawlen(L, list);
  const struct ws_conn **conns =
    lua_newuserdatauv(L, (n ? n : 1) * sizeof *conns, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    struct lua_conn *lc = luaL_testudata(L, -1, WS_CONN_NAME);
    if (!lc)
      luaL_error(L, "bad option 'except' (entry %I is no connection)",
                 (LUAI_UACINT)i + 1);
    if (lc->c.route->server == s) conns[except.n++] = &lc->c;
    lua_pop(L, 1);
  }
  except.conns = conns;
  return except;
}

static int server_publish(lua_State *L) {
  static const char *const options[] = {"except", "here", "key", "meta",
                                        "ttl",    "wait", NULL};
  struct ws_server *s = &ws_check_server(L, 1)->s;
  bool here;
  struct ws_publication p = check_publication(L, &here, options);
  struct ws_except except = check_except(L, 5, s);
  if (!is_usable(s)) return ws_push_closed(L);
  check_no_view(L, s, "publish");
  check_here(L, s, &p, here);
  if (!can_be_stamped(s, &p)) return push_not_json(L);
  return publish(L, s, except, &p, here);
}

static int server_broadcast(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice message;
  uint8_t opcode = ws_check_message(L, 2, &message);
  if (!is_usable(s)) return ws_push_closed(L);
  check_no_view(L, s, "publish");
  const char *why;
  int64_t n = ws_topic_broadcast(s, opcode, message, &why);
  struct ws_publication plain = {.message = message};
  return push_published(L, &plain, n, why);
}

static int server_subscribers(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  lua_pushinteger(L, (lua_Integer)ws_topic_count(s, ws_check_topic(L, 2)));
  return 1;
}

/* ---- server:each ---- */

/* Those that end meanwhile are skipped. */
static int each_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
  for (;;) {
    lua_pushinteger(L, ++i);
    lua_replace(L, lua_upvalueindex(2));
    if (lua_rawgeti(L, lua_upvalueindex(1), i) == LUA_TNIL) return 1;
    struct lua_conn *lc = lua_touserdata(L, -1);
    if (lc->c.state == WS_CONN_OPEN) return 1;
    lua_pop(L, 1);
  }
}

/* A table on top of the stack with room for so many: it does not grow, so no
 * finalizer runs while the list is walked. */
struct gathering {
  lua_State *L;
  struct ws_state *st;
  lua_Integer n, room;
};

static void gather(struct ws_conn *c, void *arg) {
  struct gathering *g = arg;
  if (c->state != WS_CONN_OPEN || g->n == g->room) return;
  ws_anchor_push(g->L, g->st, ws_lua_conn(c));
  lua_rawseti(g->L, -2, ++g->n);
}

static void gather_all(const struct ws_server *s, struct gathering *g) {
  for (struct ws_list *l = s->conns.next; l != &s->conns; l = l->next)
    gather(WS_LIST_ENTRY(l, struct ws_conn, link), g);
}

static int server_each(lua_State *L) {
  const struct ws_server *s = &ws_check_server(L, 1)->s;
  bool has_topic = !lua_isnoneornil(L, 2);
  struct ws_slice topic = {NULL, 0};
  if (has_topic) topic = ws_check_topic(L, 2);
  size_t room = has_topic ? ws_topic_count(s, topic) : s->n_conns;
  if (room > INT_MAX) room = INT_MAX;
  lua_createtable(L, (int)room, 0);
  struct gathering g = {L, ws_state_of(L), 0, (lua_Integer)room};
  if (!s->is_gone && has_topic)
    ws_topic_each(s, topic, gather, &g);
  else if (!s->is_gone)
    gather_all(s, &g);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, each_next, 2);
  return 1;
}

const luaL_Reg ws_topic_conn_methods[] = {{"publish", conn_publish},
                                          {"subscribe", conn_subscribe},
                                          {"topics", conn_topics},
                                          {"unsubscribe", conn_unsubscribe},
                                          {NULL, NULL}};

const luaL_Reg ws_topic_server_methods[] = {{"broadcast", server_broadcast},
                                            {"each", server_each},
                                            {"publish", server_publish},
                                            {"subscribers", server_subscribers},
                                            {NULL, NULL}};
