/* lua_queue.c: ws.queue: tasks that wait for one another.
 *
 * The values stand in a table, the queue's user value, at the keys from `first`
 * on. A task that is woken looks again: somebody who did not wait may have
 * been faster. While a task waits, its stack keeps the queue alive, in whose
 * lists it stands. */
#include "binding/lua_queue.h"

#include <math.h>

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/task.h"
#include "binding/waiting.h"

#define QUEUE_NAME "evws.queue"

struct lua_queue {
  struct ws_task *takers; /* who wait, by their `next` */
  struct ws_task *putters;
  lua_Integer first, count, limit;
  bool is_closed;
};

static struct lua_queue *check_queue(lua_State *L) {
  return ws_object_check(L, 1, QUEUE_NAME);
}

/* The tasks of a state that is closed are gone. */
static void wake(lua_State *L, struct ws_task *t, enum ws_wake why) {
  if (t && !ws_state_of(L)->is_closed) ws_task_wake(t, why);
}

static int driven_k(lua_State *L, const struct ws_woken *w) {
  (void)L;
  (void)w;
  return 0;
}

/* Stands in the list until it is woken, for as long as is left. A task goes on
 * in k, and only a driver of the loop comes back. */
static void wait_in(lua_State *L, struct ws_task **list, struct ws_woken *w,
                    ws_task_k *k) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t = ws_task_waiter(L, st, &here);
  double seconds = w->time_left;
  if (seconds >= 0 && !isinf(seconds) && !ws_task_set_timeout(t, seconds))
    luaL_error(L, "not enough memory");
  ws_task_wait_in(t, list);
  ws_task_wait(L, st, t, t->co ? k : driven_k);
  *w = ws_task_woken(t);
}

/* ---- put ---- */

/* The value is at index 2. */
static int append(lua_State *L, struct lua_queue *q) {
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, q->first + q->count);
  q->count++;
  wake(L, q->takers, WS_WAKE_DONE);
  lua_pushboolean(L, true);
  return 1;
}

static int put_k(lua_State *L, const struct ws_woken *w);

static int put(lua_State *L, struct ws_woken w) {
  struct lua_queue *q = check_queue(L);
  while (!q->is_closed) {
    if (q->count < q->limit) return append(L, q);
    if (w.why != WS_WAKE_DONE) return ws_push_why(L, w.why);
    wait_in(L, &q->putters, &w, put_k);
  }
  return ws_push_closed(L);
}

static int put_k(lua_State *L, const struct ws_woken *w) {
  return put(L, *w);
}

static int queue_put(lua_State *L) {
  struct lua_queue *q = check_queue(L);
  bool may_wait = !lua_isnoneornil(L, 3);
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be put");
  double seconds = ws_check_timeout(L, 3);
  lua_settop(L, 2);
  if (!may_wait && !q->is_closed && q->count == q->limit) {
    lua_pushnil(L);
    lua_pushliteral(L, "full");
    return 2;
  }
  return put(L, (struct ws_woken){.why = WS_WAKE_DONE, .time_left = seconds});
}

/* ---- take ---- */

static int shift(lua_State *L, struct lua_queue *q) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, q->first);
  lua_pushnil(L);
  lua_rawseti(L, -3, q->first);
  q->count--;
  q->first = q->count ? q->first + 1 : 1;
  wake(L, q->putters, WS_WAKE_DONE);
  return 1;
}

static int take_k(lua_State *L, const struct ws_woken *w);

static int take(lua_State *L, struct ws_woken w) {
  struct lua_queue *q = check_queue(L);
  while (!q->count) {
    if (q->is_closed) return ws_push_closed(L);
    if (w.why != WS_WAKE_DONE) return ws_push_why(L, w.why);
    wait_in(L, &q->takers, &w, take_k);
  }
  return shift(L, q);
}

static int take_k(lua_State *L, const struct ws_woken *w) {
  return take(L, *w);
}

static int queue_take(lua_State *L) {
  check_queue(L);
  double seconds = ws_check_timeout(L, 2);
  lua_settop(L, 1);
  return take(L, (struct ws_woken){.why = WS_WAKE_DONE, .time_left = seconds});
}

/* A generic for calls it with its own two values. */
static int queue_next(lua_State *L) {
  lua_settop(L, 1);
  return queue_take(L);
}

/* ---- the rest ---- */

/* Also __close, and __gc: a task may stand in its lists whose stack, by which
 * it lives, went with who closed it. What is in it can still be taken. */
static int queue_close(lua_State *L) {
  struct lua_queue *q = check_queue(L);
  bool is_alive = !ws_state_of(L)->is_closed;
  q->is_closed = true;
  while (is_alive && q->takers) ws_task_wake(q->takers, WS_WAKE_CLOSED);
  while (is_alive && q->putters) ws_task_wake(q->putters, WS_WAKE_CLOSED);
  lua_pushboolean(L, true);
  return 1;
}

static int queue_len(lua_State *L) {
  lua_pushinteger(L, check_queue(L)->count);
  return 1;
}

static int queue_tostring(lua_State *L) {
  struct lua_queue *q = check_queue(L);
  lua_pushfstring(L, QUEUE_NAME ": %p (%I of %I%s)", (void *)q,
                  (LUAI_UACINT)q->count, (LUAI_UACINT)q->limit,
                  q->is_closed ? ", closed" : "");
  return 1;
}

int ws_lua_queue(lua_State *L) {
  ws_state_check_dot(L, "queue");
  lua_Integer limit = luaL_checkinteger(L, 1);
  luaL_argcheck(L, limit >= 1, 1, "at least 1 expected");
  struct lua_queue *q = lua_newuserdatauv(L, sizeof *q, 1);
  *q = (struct lua_queue){.first = 1, .limit = limit};
  luaL_setmetatable(L, QUEUE_NAME);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

void ws_open_queue(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", queue_close},
                                     {"put", queue_put},
                                     {"take", queue_take},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__call", queue_next},         {"__close", queue_close},
    {"__gc", queue_close},          {"__len", queue_len},
    {"__tostring", queue_tostring}, {NULL, NULL}};
  ws_object_class(L, QUEUE_NAME, methods, meta);
}
