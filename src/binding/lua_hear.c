/* lua_hear.c: server:hear: a function as a subscriber. Each message is a task
 * of its own, so the function may wait; the next message does not wait for
 * it. */
#include "binding/lua_hear.h"

#include "binding/anchors.h"
#include "binding/bus_wait.h"
#include "binding/lua_message.h"
#include "binding/lua_wish.h"
#include "binding/notice.h"
#include "binding/option_values.h"
#include "binding/publication.h"
#include "binding/task.h"
#include "binding/waiting.h"
#include "engine/kept_sync.h"
#include "engine/topic.h"

#define SYNC_SECONDS 5.0 /* that reading a history from Redis may take */
#define HEARER_NAME "evws.hearer"

enum { UV_FUNCTION = 1, UV_RESET = 2, UV_HEARER_COUNT = 2 };

struct lua_hearer {
  struct ws_hearer h; /* first */
  struct ws_state *st;
};

static struct lua_hearer *check_hearer(lua_State *L) {
  return ws_object_check(L, 1, HEARER_NAME);
}

/* ---- what is heard ---- */

/* 1: the hearer, 2: the publication. */
static int heard_body(lua_State *L) {
  struct lua_hearer *lh = lua_touserdata(L, 1);
  const struct ws_publication *p = lua_touserdata(L, 2);
  ws_object_push(L, ws_state_of(L), lh);
  if (!lua_isuserdata(L, -1)) return 0; /* it was just cancelled */
  if (!p->is_reset) {
    lua_getiuservalue(L, -1, UV_FUNCTION);
    ws_push_publication(L, p);
    return ws_task_call(L, 3, "a hearer");
  }
  if (lua_getiuservalue(L, -1, UV_RESET) != LUA_TFUNCTION) return 0;
  ws_push_about(L, p);
  return ws_task_call(L, 1, "a hearer");
}

bool ws_hear_heard(struct ws_hearer *h, const struct ws_publication *p) {
  struct lua_hearer *lh = WS_LIST_ENTRY(h, struct lua_hearer, h);
  return ws_notice(lh->st, heard_body, lh, p);
}

/* ---- the object ---- */

static const char *const hear_options[] = {"here",  "joined", "recover",
                                           "reset", "wait",   NULL};

/* The options at 4, or nothing. Returns the index of `reset`, or 0. */
static int check_options(lua_State *L, struct ws_server *s,
                         struct ws_slice name, struct lua_wish *lw) {
  if (lua_isnil(L, 4)) {
    ws_wish_read(lw, L, 4, s, name);
    return 0;
  }
  luaL_checktype(L, 4, LUA_TTABLE);
  ws_option_names(L, 4, "hear", hear_options);
  ws_wish_read(lw, L, 4, s, name);
  if (lw->has_result && !lw->fn)
    luaL_error(L, "option 'recover' of 'hear' needs 'joined'");
  return ws_option_function(L, 4, "reset");
}

static int hear(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice name = ws_check_topic(L, 2);
  struct lua_wish lw;
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 4);
  int reset = check_options(L, s, name, &lw);
  if (s->is_gone || ws_loop_is_forked(s->loop)) return ws_push_closed(L);
  struct ws_state *st = ws_state_of(L);
  struct lua_hearer *lh = lua_newuserdatauv(L, sizeof *lh, UV_HEARER_COUNT);
  int self = lua_gettop(L);
  *lh = (struct lua_hearer){.st = st};
  luaL_setmetatable(L, HEARER_NAME);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, self, UV_FUNCTION);
  if (reset) lua_pushvalue(L, reset);
  if (reset) lua_setiuservalue(L, self, UV_RESET);
  ws_object_keep(L, st, lh, self);
  enum ws_err err = ws_topic_hear(s, name, &lh->h, &lw.wish);
  if (err != WS_OK || lw.has_failed) {
    ws_hear_stop(&lh->h);
    ws_object_drop(L, st, lh);
  }
  if (err != WS_OK) return ws_push_failure(L, err);
  ws_wish_push(&lw);
  lua_pushvalue(L, self);
  return 1;
}

/* seconds: negative: it does not wait. */
static int hear_there(lua_State *L, struct ws_server *s, struct ws_slice name,
                      double seconds) {
  struct ws_task here;
  if (seconds >= 0) ws_task_waiter(L, ws_state_of(L), &here); /* or it raises */
  int n = hear(L);
  if (seconds < 0 || n > 1) return n;
  return ws_bus_wait_there(L, s, name, seconds, lua_gettop(L));
}

int ws_server_hear(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice name = ws_check_topic(L, 2);
  struct lua_wish lw;
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 4);
  check_options(L, s, name, &lw);
  double seconds = ws_option_wait(L, 4);
  lua_settop(L, 4);
  if (!lw.wish.is_asking || s->is_gone)
    return hear_there(L, s, name, lw.wish.is_here ? -1 : seconds);
  if (lw.wish.is_back) ws_sync_reach(s, name, &lw.wish.since);
  return ws_bus_wait_sync(L, s, name, seconds >= 0 ? seconds : SYNC_SECONDS,
                          hear);
}

void ws_hear_deaf(struct ws_hearer *h) {
  struct lua_hearer *lh = WS_LIST_ENTRY(h, struct lua_hearer, h);
  ws_object_drop(ws_state_thread(lh->st), lh->st, lh);
}

/* Also __close. */
static int hearer_cancel(lua_State *L) {
  struct lua_hearer *lh = check_hearer(L);
  bool was_hearing = lh->h.topic != NULL;
  ws_hear_stop(&lh->h);
  if (was_hearing) ws_object_drop(L, lh->st, lh);
  lua_pushboolean(L, was_hearing);
  return 1;
}

/* When the state is closed; else it is kept while it hears. */
static int hearer_gc(lua_State *L) {
  ws_hear_stop(&check_hearer(L)->h);
  return 0;
}

static int hearer_tostring(lua_State *L) {
  struct lua_hearer *lh = check_hearer(L);
  lua_pushfstring(L, HEARER_NAME ": %p (%s)", (void *)lh,
                  lh->h.topic ? "hears" : "over");
  return 1;
}

void ws_open_hear(lua_State *L) {
  static const luaL_Reg methods[] = {{"cancel", hearer_cancel}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", hearer_cancel},
                                  {"__gc", hearer_gc},
                                  {"__tostring", hearer_tostring},
                                  {NULL, NULL}};
  ws_object_class(L, HEARER_NAME, methods, meta);
}
