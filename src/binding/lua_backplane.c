/* lua_backplane.c: ws.backplane: topics over processes and machines. */
#include "binding/lua_backplane.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "binding/anchors.h"
#include "binding/backplane_stats.h"
#include "binding/bus_wait.h"
#include "binding/bus_wait_presence.h"
#include "binding/lua_history.h"
#include "binding/lua_message.h"
#include "binding/lua_presence.h"
#include "binding/notice.h"
#include "binding/option_backplane.h"
#include "binding/option_values.h"
#include "binding/send_options.h"
#include "binding/task.h"
#include "binding/waiting.h"
#include "binding/worker.h"

#define NAME "evws.backplane"
#define ENVIRONMENT "EVWS_BACKPLANE"
#define LONG 1e8 /* seconds; no wait is without an end */

/* User values: what the settings stand in, on_state, and the URL of one that
 * ws.listen has made. */
enum { UV_KEPT = 1, UV_ON_STATE = 2, UV_URL = 3, UV_BACKPLANE_COUNT = 3 };

struct lua_backplane {
  struct ws_bus bus; /* first */
  struct ws_list link;
  struct ws_state *st;
  struct ws_task *waiting; /* for it to be up, by their `next` */
  enum ws_bus_state told;
  bool is_own; /* made by ws.listen: closed when its servers are */
};

static const char *const states[] = {"connecting", "up", "away", "closed"};

static struct lua_backplane *check_backplane(lua_State *L) {
  return ws_object_check(L, 1, NAME);
}

static struct lua_backplane *of_bus(struct ws_bus *bus) {
  return WS_LIST_ENTRY(bus, struct lua_backplane, bus);
}

/* ---- what it tells ---- */

static int state_body(lua_State *L) {
  struct lua_backplane *lb = lua_touserdata(L, 1);
  ws_object_push(L, lb->st, lb);
  if (lua_isnil(L, -1)) return 0;
  lua_getiuservalue(L, -1, UV_ON_STATE);
  lua_pushstring(L, states[lb->told]);
  return ws_task_call(L, 1, NULL);
}

static bool is_state_wanted(const struct lua_backplane *lb, lua_State *L) {
  int top = lua_gettop(L);
  ws_object_push(L, lb->st, (void *)lb);
  bool is_wanted =
    lua_isuserdata(L, -1) && lua_getiuservalue(L, -1, UV_ON_STATE) != LUA_TNIL;
  lua_settop(L, top);
  return is_wanted;
}

/* Without memory it is told at the next change. */
static void tell_state(struct lua_backplane *lb) {
  lua_State *L = ws_state_thread(lb->st);
  struct ws_task *t;
  if (lb->told == lb->bus.state || !lua_checkstack(L, 3)) return;
  if (!is_state_wanted(lb, L)) {
    lb->told = lb->bus.state;
  } else if ((t = ws_task_new(lb->st))) {
    lb->told = lb->bus.state;
    lua_pushcfunction(t->co, state_body);
    lua_pushlightuserdata(t->co, lb);
    ws_task_start(t, 1);
  }
}

static void on_changed(struct ws_bus *bus) {
  struct lua_backplane *lb = of_bus(bus);
  bool is_over = bus->state == WS_BUS_CLOSED;
  if (bus->state == WS_BUS_UP || is_over)
    while (lb->waiting)
      ws_task_wake(lb->waiting, is_over ? WS_WAKE_CLOSED : WS_WAKE_DONE);
  ws_bus_wait_wake(lb->st, bus);
  tell_state(lb);
  if (!is_over) return;
  ws_list_remove(&lb->link);
  ws_object_drop(ws_state_thread(lb->st), lb->st, lb);
}

static void on_deserted(struct ws_bus *bus) {
  if (of_bus(bus)->is_own) ws_bus_close(bus);
}

/* 1: the backplane, 2: the change. What settings stand in begins with those
 * of the caller. */
static int present_body(lua_State *L) {
  struct lua_backplane *lb = lua_touserdata(L, 1);
  const struct ws_change *c = lua_touserdata(L, 2);
  ws_object_push(L, lb->st, lb);
  if (!lua_isuserdata(L, -1)) return 0; /* it has closed */
  lua_getiuservalue(L, -1, UV_KEPT);
  lua_rawgeti(L, -1, 1);
  lua_getfield(L, -1, "on_presence");
  return ws_presence_call(L, c);
}

static bool on_presence(struct ws_changes *all, const struct ws_change *c) {
  struct lua_backplane *lb = of_bus(WS_LIST_ENTRY(all, struct ws_bus, heard));
  return ws_notice(lb->st, present_body, lb, c);
}

/* ---- making one ---- */

static struct lua_backplane *new_backplane(lua_State *L, struct ws_state *st) {
  static const struct ws_bus_calls calls = {.changed = on_changed,
                                            .deserted = on_deserted};
  struct lua_backplane *lb =
    lua_newuserdatauv(L, sizeof *lb, UV_BACKPLANE_COUNT);
  memset(lb, 0, sizeof *lb);
  lb->st = st;
  lb->bus.host = &st->host;
  lb->bus.calls = &calls;
  lb->bus.heard.present = on_presence; /* if that is an option */
  ws_list_init(&lb->link);
  luaL_setmetatable(L, NAME);
  return lb;
}

static void tell_all(struct ws_state *st, const struct ws_share *share) {
  const struct ws_list *e = st->backplanes.next;
  for (; e != &st->backplanes; e = e->next) {
    struct lua_backplane *lb = WS_LIST_ENTRY(e, struct lua_backplane, link);
    ws_backplane_tell(share, &lb->bus);
  }
}

/* The options at arg, a table or a URL. Pushes the object, or false and why it
 * cannot be. */
static bool make(lua_State *L, int arg, bool is_own) {
  struct ws_state *st = ws_state_of(L);
  char problem[WS_TLS_WHY_MAX];
  if (!ws_resp_is_built_in())
    luaL_error(L, "evws was built without hiredis (install libhiredis-dev "
                  "and build again)");
  struct lua_backplane *lb = new_backplane(L, st);
  int at = lua_gettop(L);
  lb->is_own = is_own;
  lua_newtable(L); /* it has it at once: what follows may raise */
  lua_pushvalue(L, at + 1);
  lua_setiuservalue(L, at, UV_KEPT);
  ws_options_backplane(L, arg, at + 1, &lb->bus);
  if (!ws_options_backplane_tls(L, arg, at + 1, &lb->bus, problem)) {
    lua_pushboolean(L, false);
    lua_pushstring(L, problem);
    return false;
  }
  lua_settop(L, at);
  ws_object_keep(L, st, lb, at);
  if (!ws_bus_start(&lb->bus, &st->loop)) {
    ws_bus_free(&lb->bus);
    ws_object_drop(L, st, lb);
    luaL_error(L, "not enough memory");
  }
  st->tell_backplanes = tell_all;
  ws_list_append(&st->backplanes, &lb->link);
  return true;
}

int ws_lua_backplane(lua_State *L) {
  ws_state_check_dot(L, "backplane");
  lua_settop(L, 1);
  ws_state_check_fork(L, ws_state_of(L));
  ws_task_check_opener(L);
  if (make(L, 1, false)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* Servers with the same URL share one. */
static bool push_own(lua_State *L, int url) {
  struct ws_state *st = ws_state_of(L);
  for (struct ws_list *e = st->backplanes.next; e != &st->backplanes;
       e = e->next) {
    struct lua_backplane *lb = WS_LIST_ENTRY(e, struct lua_backplane, link);
    if (!lb->is_own || lb->bus.is_closing) continue;
    ws_object_push(L, st, lb);
    lua_getiuservalue(L, -1, UV_URL);
    bool is_it = lua_rawequal(L, -1, url);
    lua_pop(L, 1);
    if (is_it) return true;
    lua_pop(L, 1);
  }
  lua_pushvalue(L, url);
  if (!make(L, lua_gettop(L), true)) return false;
  lua_pushvalue(L, url);
  lua_setiuservalue(L, -2, UV_URL);
  return true;
}

bool ws_option_backplane(lua_State *L, int arg) {
  int type = lua_getfield(L, arg, "backplane");
  const struct ws_worker *w = ws_state_of(L)->worker; /* it had it first */
  const char *url = type != LUA_TNIL ? NULL
                    : w              ? w->backplane
                                     : getenv(ENVIRONMENT);
  if (type == LUA_TNIL && (!url || !*url)) return true;
  if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) {
    lua_pushnil(L);
    return true;
  }
  if (type == LUA_TNIL) lua_pushstring(L, url);
  if (lua_type(L, -1) == LUA_TSTRING) return push_own(L, lua_gettop(L));
  struct lua_backplane *lb = luaL_testudata(L, -1, NAME);
  if (!lb)
    ws_option_bad(L, "backplane", "a ws.backplane or a URL");
  else if (lb->bus.is_closing)
    luaL_error(L, "bad option 'backplane' (it is closed)");
  return true;
}

void ws_backplane_join(lua_State *L, int index, struct ws_server *s) {
  struct lua_backplane *lb = luaL_testudata(L, index, NAME);
  if (lb && !ws_bus_join(&lb->bus, s)) luaL_error(L, "not enough memory");
}

/* ---- methods ---- */

static int backplane_publish(lua_State *L) {
  static const char *const options[] = {"meta", NULL};
  struct lua_backplane *lb = check_backplane(L);
  struct ws_publication p = {.topic = ws_check_topic(L, 2)};
  p.opcode = ws_check_message(L, 3, &p.message);
  if (!lua_isnoneornil(L, 5)) {
    luaL_checktype(L, 5, LUA_TTABLE);
    ws_option_names(L, 5, "publish", options);
    p.meta = ws_read_meta(L, 5);
  }
  if (lb->st->is_viewing)
    luaL_error(L, "cannot %s inside of a view", "publish");
  if (lb->bus.is_closing || ws_loop_is_forked(&lb->st->loop))
    return ws_push_closed(L);
  const char *why = NULL;
  int64_t n = ws_bus_publish(&lb->bus, &p, &why);
  if (n < 0) return ws_push_failure(L, WS_ERR_MEMORY);
  lua_pushinteger(L, n);
  if (!why) return 1;
  lua_pushstring(L, why);
  return 2;
}

static int backplane_presence(lua_State *L) {
  struct lua_backplane *lb = check_backplane(L);
  struct ws_slice topic = ws_check_topic(L, 2);
  if (lb->bus.is_closing || ws_loop_is_forked(&lb->st->loop))
    return ws_push_closed(L);
  return ws_bus_wait_presence(L, &lb->bus, topic);
}

/* Of the server that keeps it: its copy is the backplane's. */
static int backplane_history(lua_State *L) {
  struct lua_backplane *lb = check_backplane(L);
  struct ws_slice topic = ws_check_topic(L, 2);
  if (lb->bus.is_closing || ws_loop_is_forked(&lb->st->loop))
    return ws_push_closed(L);
  for (struct ws_list *e = lb->st->servers.next; e != &lb->st->servers;
       e = e->next) {
    struct lua_server *ls = WS_LIST_ENTRY(e, struct lua_server, link);
    if (ws_bus_of(&ls->s) != &lb->bus || ls->s.is_gone ||
        !ws_kept_rule_of(&ls->s.kept, topic))
      continue;
    ws_object_push(L, lb->st, ls);
    lua_replace(L, 1);
    return ws_server_history(L);
  }
  lua_pushnil(L);
  lua_pushliteral(L, "not kept");
  return 2;
}

static int wait_k(lua_State *L, const struct ws_woken *w) {
  return ws_push_waited(L, w->why);
}

static int backplane_wait(lua_State *L) {
  struct lua_backplane *lb = check_backplane(L);
  struct ws_task here, *t;
  double seconds = ws_check_timeout(L, 2);
  if (lb->bus.is_closing) return ws_push_closed(L);
  if (lb->bus.state == WS_BUS_UP) return ws_push_waited(L, WS_WAKE_DONE);
  t = ws_task_waiter(L, lb->st, &here);
  if (!ws_task_set_timeout(t, seconds < 0 ? LONG : fmin(seconds, LONG)))
    return luaL_error(L, "not enough memory");
  ws_task_wait_in(t, &lb->waiting);
  return ws_task_wait(L, lb->st, t, wait_k);
}

static int backplane_on_state(lua_State *L) {
  check_backplane(L);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_setiuservalue(L, 1, UV_ON_STATE);
  return ws_push_self(L);
}

/* What was published before is on its way. */
static int backplane_close(lua_State *L) {
  struct lua_backplane *lb = check_backplane(L);
  if (lb->bus.loop && !lb->bus.is_closing && !lb->st->is_closed &&
      !ws_loop_is_forked(&lb->st->loop))
    ws_bus_close(&lb->bus);
  lua_pushboolean(L, true);
  return 1;
}

static int backplane_index(lua_State *L) {
  const struct lua_backplane *lb = check_backplane(L);
  const char *key = lua_tostring(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || !key) return 1;
  if (strcmp(key, "state") == 0)
    lua_pushstring(L,
                   states[lb->bus.is_closing ? WS_BUS_CLOSED : lb->bus.state]);
  return 1;
}

static int backplane_tostring(lua_State *L) {
  const struct lua_backplane *lb = check_backplane(L);
  lua_pushfstring(L, NAME ": %p (%s)", (const void *)lb,
                  states[lb->bus.is_closing ? WS_BUS_CLOSED : lb->bus.state]);
  return 1;
}

/* Whoever was told twice to end does not wait. */
static int backplane_gc(lua_State *L) {
  struct lua_backplane *lb = check_backplane(L);
  ws_list_remove(&lb->link);
  if (lb->bus.loop && !lb->st->is_closed)
    ws_bus_part(lb->bus.links, lb->bus.n_links, lb->st->signals < 2);
  ws_bus_free(&lb->bus);
  for (size_t i = 0; i < lb->bus.n_links; i++)
    ws_tls_context_release(lb->bus.links[i].redis.tls);
  lb->bus.n_links = 0;
  return 0;
}

void ws_backplanes_close(struct ws_state *st) {
  struct ws_list *e = st->backplanes.next;
  while (e != &st->backplanes) {
    struct lua_backplane *lb = WS_LIST_ENTRY(e, struct lua_backplane, link);
    e = e->next;
    ws_bus_close(&lb->bus);
  }
}

void ws_backplanes_fence(struct ws_state *st) {
  struct ws_list *e = st->backplanes.next;
  for (; e != &st->backplanes; e = e->next) {
    struct ws_bus *bus = &WS_LIST_ENTRY(e, struct lua_backplane, link)->bus;
    ws_bus_fence(bus->links, bus->n_links);
  }
}

bool ws_backplanes_are_behind(struct ws_state *st) {
  struct ws_list *e = st->backplanes.next;
  for (; e != &st->backplanes; e = e->next) {
    struct ws_bus *bus = &WS_LIST_ENTRY(e, struct lua_backplane, link)->bus;
    if (ws_bus_is_behind(bus->links, bus->n_links)) return true;
  }
  return false;
}

void ws_open_backplane(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", backplane_close},
                                     {"history", backplane_history},
                                     {"on_state", backplane_on_state},
                                     {"presence", backplane_presence},
                                     {"publish", backplane_publish},
                                     {"wait", backplane_wait},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", backplane_close},
                                  {"__gc", backplane_gc},
                                  {"__tostring", backplane_tostring},
                                  {NULL, NULL}};
  ws_object_class(L, NAME, methods, meta);
  ws_open_bus_wait(L);
  ws_open_bus_wait_presence(L);
  luaL_getmetatable(L, NAME);
  lua_getfield(L, -1, "__index");
  lua_pushcclosure(L, backplane_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
