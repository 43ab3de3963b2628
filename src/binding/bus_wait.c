/* bus_wait.c: tasks that wait for what Redis says. */
#include "binding/bus_wait.h"

#include <math.h>

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/waiting.h"

#define RECEIPT_NAME "evws.receipt"
#define WAITER_NAME "evws.bus_waiter"
#define LONG 1e8 /* seconds; no wait is without an end */

static bool is_over(struct ws_bus_waiter *w, struct ws_bus *bus) {
  if (w->call) return w->call->is_done;
  if (w->receipt) return w->receipt->offset || w->receipt->is_lost;
  if (w->next)
    return !ws_sync_is_due(w->server, w->topic) ||
           ws_sync_is_refused(w->server, w->topic);
  w->is_refused = ws_bus_is_refused(bus, w->topic);
  w->is_dropped = !ws_link_is_wanted(ws_bus_link(bus, w->topic), w->topic);
  return w->is_refused || w->is_dropped || ws_bus_is_there(bus, w->topic);
}

void ws_bus_wait_wake(struct ws_state *st, struct ws_bus *bus) {
  struct ws_list *e, *next;
  for (e = st->bus_waiters.next; e != &st->bus_waiters; e = next) {
    struct ws_bus_waiter *w = WS_LIST_ENTRY(e, struct ws_bus_waiter, link);
    next = e->next;
    if (w->bus != bus) continue;
    if (is_over(w, bus))
      ws_task_wake(w->task, WS_WAKE_DONE);
    else if (bus->state == WS_BUS_CLOSED)
      ws_task_wake(w->task, WS_WAKE_CLOSED);
  }
}

void ws_bus_waiter_begin(struct ws_bus_waiter *w, struct ws_state *st,
                         struct ws_task *t) {
  w->task = t;
  t->seat = &w->link;
  ws_list_append(&st->bus_waiters, &w->link);
}

/* While it is in the list its task has not been woken, and is there. */
void ws_bus_waiter_end(struct ws_bus_waiter *w) {
  if (!ws_list_is_linked(&w->link)) return;
  w->task->seat = NULL;
  ws_list_remove(&w->link);
}

int ws_push_refused(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "refused");
  return 2;
}

int ws_push_waited(lua_State *L, enum ws_wake why) {
  if (why == WS_WAKE_DONE) {
    lua_pushboolean(L, true);
    return 1;
  }
  if (why == WS_WAKE_CLOSED) return ws_push_closed(L);
  return ws_push_why(L, why);
}

/* ---- its end ---- */

static void release(struct ws_bus_waiter *w) {
  if (w->is_held) ws_sync_release(w->server, w->topic);
  w->is_held = false;
}

static void stop_hearer(struct ws_hearer *h) {
  if (!h || !h->topic) return;
  struct ws_host *host = h->server->host;
  ws_hear_stop(h);
  host->deaf(h);
}

/* Its task is cancelled, or its coroutine closed: nobody gets the handle of a
 * hearer. */
static void forsake(void *waiter) {
  struct ws_bus_waiter *w = waiter;
  ws_bus_waiter_end(w);
  release(w);
  stop_hearer(w->hearer);
  w->hearer = NULL;
}

static int waiter_gc(lua_State *L) {
  forsake(lua_touserdata(L, 1));
  return 0;
}

/* ---- that it is there ---- */

static int instead(lua_State *L, int first, int n) {
  if (!first) return n;
  lua_pushvalue(L, first);
  lua_replace(L, -n - 1);
  return n;
}

static int push_dropped(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "unsubscribed");
  return 2;
}

static int there_k(lua_State *L, const struct ws_woken *w) {
  struct ws_bus_waiter *waiter = lua_touserdata(L, -1);
  bool is_done = w->why == WS_WAKE_DONE;
  int n = instead(L, waiter->first,
                  is_done && waiter->is_refused   ? ws_push_refused(L)
                  : is_done && waiter->is_dropped ? push_dropped(L)
                                                  : ws_push_waited(L, w->why));
  waiter->hearer = NULL; /* it has been given */
  return n;
}

/* Nobody waits anew for a Redis that has been away for as long as that. */
static double left_of(const struct ws_bus *bus, struct ws_slice topic,
                      double seconds) {
  return fmin(seconds, LONG) - ws_link_silence(ws_bus_link(bus, topic));
}

static int waiter_body(lua_State *L) {
  struct ws_bus_waiter *w = lua_newuserdatauv(L, sizeof *w, 2);
  *w = (struct ws_bus_waiter){.task = NULL};
  ws_list_init(&w->link);
  luaL_setmetatable(L, WAITER_NAME);
  return 1;
}

/* Pushes one, which keeps the topic's name; or raises. */
static struct ws_bus_waiter *new_waiter(lua_State *L, struct ws_hearer *h) {
  struct ws_bus_waiter *w;
  lua_pushcfunction(L, waiter_body);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
    stop_hearer(h);
    lua_error(L);
  }
  w = lua_touserdata(L, -1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  return w;
}

int ws_bus_wait_there(lua_State *L, struct ws_server *s, struct ws_slice topic,
                      double seconds, int first) {
  struct ws_bus *bus = ws_bus_of(s);
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t;
  if (!bus || ws_bus_is_there(bus, topic))
    return instead(L, first, ws_push_waited(L, WS_WAKE_DONE));
  if (bus->is_closing) return instead(L, first, ws_push_closed(L));
  if (ws_bus_is_refused(bus, topic))
    return instead(L, first, ws_push_refused(L));
  seconds = left_of(bus, topic, seconds);
  if (seconds <= 0)
    return instead(L, first, ws_push_waited(L, WS_WAKE_TIMEOUT));
  t = ws_task_waiter(L, st, &here);
  struct ws_hearer *h = first ? lua_touserdata(L, first) : NULL;
  struct ws_bus_waiter *w = new_waiter(L, h);
  w->bus = bus;
  w->topic = topic;
  w->first = first;
  w->hearer = h;
  if (first) lua_pushvalue(L, first);
  if (first) lua_setiuservalue(L, -2, 2);
  if (!ws_task_set_timeout(t, seconds)) {
    forsake(w);
    return luaL_error(L, "not enough memory");
  }
  ws_bus_waiter_begin(w, st, t);
  t->undo = forsake;
  t->undone = w;
  return ws_task_wait(L, st, t, there_k);
}

/* ---- what is kept in Redis ---- */

static int wait_for_sync(lua_State *L, struct ws_bus_waiter *w, double seconds);

/* On top of the stack is the waiter, as it was when it began to wait. */
static int sync_k(lua_State *L, const struct ws_woken *woken) {
  struct ws_bus_waiter *w = lua_touserdata(L, -1);
  bool is_due = ws_sync_is_due(w->server, w->topic);
  if (is_due && ws_sync_is_refused(w->server, w->topic)) {
    release(w);
    return ws_push_refused(L);
  }
  if (woken->why == WS_WAKE_DONE && is_due)
    return wait_for_sync(L, w, woken->time_left);
  if (is_due) {
    release(w);
    return ws_push_waited(L, woken->why);
  }
  lua_pushcclosure(L, w->next, 1); /* which keeps the waiter, and so on */
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  release(w);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static int wait_for_sync(lua_State *L, struct ws_bus_waiter *w,
                         double seconds) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t = ws_task_waiter(L, st, &here);
  if (!ws_task_set_timeout(t, fmin(seconds, LONG))) {
    release(w);
    return luaL_error(L, "not enough memory");
  }
  ws_bus_waiter_begin(w, st, t);
  t->undo = forsake;
  t->undone = w;
  return ws_task_wait(L, st, t, sync_k);
}

int ws_bus_wait_sync(lua_State *L, struct ws_server *s, struct ws_slice topic,
                     double seconds, lua_CFunction next) {
  struct ws_task here;
  struct ws_bus *bus = ws_bus_of(s);
  if (!bus || !ws_sync_is_due(s, topic)) return next(L);
  if (bus->is_closing) return ws_push_closed(L);
  if (ws_sync_is_refused(s, topic)) return ws_push_refused(L);
  if (seconds == 0) return ws_push_waited(L, WS_WAKE_TIMEOUT);
  ws_task_waiter(L, ws_state_of(L), &here); /* or it raises */
  struct ws_bus_waiter *w = new_waiter(L, NULL);
  w->bus = bus;
  w->topic = topic;
  w->server = s;
  w->next = next;
  ws_object_push(L, ws_state_of(L), WS_LIST_ENTRY(s, struct lua_server, s));
  lua_setiuservalue(L, -2, 2); /* it stays as long as somebody waits */
  w->is_held = ws_sync_hold(s, topic);
  if (!w->is_held) return ws_push_failure(L, WS_ERR_MEMORY);
  return wait_for_sync(L, w, seconds);
}

/* ---- what has become of a message ---- */

struct kept_waiter {
  struct ws_bus_waiter w; /* first */
  struct ws_receipt receipt;
};

static void give_up(void *waiter) {
  struct kept_waiter *k = waiter;
  ws_bus_waiter_end(&k->w);
  ws_list_remove(&k->receipt.link);
}

static int receipt_gc(lua_State *L) {
  give_up(lua_touserdata(L, 1));
  return 0;
}

struct ws_receipt *ws_bus_wait_receipt(lua_State *L) {
  struct kept_waiter *k = lua_newuserdatauv(L, sizeof *k, 0);
  *k = (struct kept_waiter){.w = {.receipt = &k->receipt}};
  ws_list_init(&k->w.link);
  ws_list_init(&k->receipt.link);
  luaL_setmetatable(L, RECEIPT_NAME);
  return &k->receipt;
}

static int kept_k(lua_State *L, const struct ws_woken *woken) {
  struct kept_waiter *k = lua_touserdata(L, -1);
  give_up(k);
  if (k->receipt.offset) {
    lua_pushinteger(L, (lua_Integer)k->receipt.offset);
    lua_pushlstring(L, k->receipt.epoch, sizeof k->receipt.epoch);
    return 2;
  }
  if (k->receipt.is_refused) return ws_push_refused(L);
  if (!k->receipt.is_lost) return ws_push_waited(L, woken->why);
  lua_pushnil(L);
  lua_pushliteral(L, "lost");
  return 2;
}

int ws_bus_wait_kept(lua_State *L, struct ws_server *s,
                     struct ws_receipt *receipt, double seconds) {
  struct kept_waiter *k = WS_LIST_ENTRY(receipt, struct kept_waiter, receipt);
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t = ws_task_waiter(L, st, &here);
  if (!ws_task_set_timeout(t, fmin(seconds, LONG)))
    return luaL_error(L, "not enough memory");
  k->w.bus = ws_bus_of(s);
  ws_bus_waiter_begin(&k->w, st, t);
  t->undo = give_up;
  t->undone = k;
  return ws_task_wait(L, st, t, kept_k);
}

void ws_open_bus_wait(lua_State *L) {
  luaL_newmetatable(L, WAITER_NAME);
  lua_pushcfunction(L, waiter_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, RECEIPT_NAME);
  lua_pushcfunction(L, receipt_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
