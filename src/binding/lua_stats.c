/* lua_stats.c: server:stats and server:metrics: the counters as a table, and
 * as text for Prometheus (exposition format 0.0.4). */
#include "binding/lua_stats.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "binding/anchors.h"
#include "binding/backplane_stats.h"
#include "binding/option_values.h"
#include "engine/route.h"
#include "engine/server.h"
#include "engine/share.h"
#include "engine/totals.h"

static struct ws_server *check_running(lua_State *L) {
  ws_state_check_fork(L, ws_state_of(L)); /* the clock is the loop's */
  return &ws_check_server(L, 1)->s;
}

/* One look at everything, so that both forms say the same; is_all: at all
 * workers. */
static struct ws_totals look(const struct ws_server *s, bool is_all) {
  struct ws_totals t = ws_totals_of(s, ws_server_queued(s));
  if (is_all) ws_share_add_others(s, &t);
  return t;
}

static uint64_t turns_of(const struct ws_totals *t) {
  uint64_t n = 0;
  for (int i = 0; i <= WS_PACE_BOUNDS; i++) n += t->turns[i];
  return n;
}

/* ---- stats ---- */

static void set(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double x) {
  lua_pushnumber(L, x);
  lua_setfield(L, -2, name);
}

static void push_refused(lua_State *L, const struct ws_stats *s) {
  lua_createtable(L, 0, WS_REFUSALS);
  for (int i = 0; i < WS_REFUSALS; i++)
    set(L, ws_refusal_name((enum ws_refusal)i), s->refused[i]);
}

static void push_closed(lua_State *L, const struct ws_closes *c) {
  lua_newtable(L);
  for (int i = 0; i < WS_CODES; i++) {
    if (!c->known[i]) continue;
    lua_pushinteger(L, (lua_Integer)c->known[i]);
    lua_rawseti(L, -2, WS_CODE_FIRST + i);
  }
  for (int i = 0; i < WS_OWN_CODES && c->own[i].code; i++) {
    lua_pushinteger(L, (lua_Integer)c->own[i].n);
    lua_rawseti(L, -2, c->own[i].code);
  }
  if (c->others) set(L, "other", c->others);
}

static bool read_all(lua_State *L) {
  static const char *const names[] = {"all", NULL};
  if (lua_isnoneornil(L, 2)) return false;
  luaL_checktype(L, 2, LUA_TTABLE);
  ws_option_names(L, 2, "stats", names);
  return ws_option_bool(L, 2, "all", false);
}

static void push_backplane(lua_State *L, const struct ws_server *s,
                           bool is_all) {
  const struct ws_bus *bus = ws_bus_of(s);
  if (!bus) return;
  ws_backplane_push_stats(L, bus, is_all ? s->share : NULL);
  lua_setfield(L, -2, "backplane");
}

int ws_server_stats(lua_State *L) {
  const struct ws_server *s = check_running(L);
  bool is_all = read_all(L);
  struct ws_totals t = look(s, is_all);
  lua_createtable(L, 0, 20);
  set(L, "accepted", t.stats.accepted);
  set(L, "opened", t.stats.opened);
  set(L, "open", t.open);
  set(L, "pending", t.pending);
  set(L, "requests", t.stats.requests);
  push_refused(L, &t.stats);
  lua_setfield(L, -2, "refused");
  push_closed(L, &t.stats.closed);
  lua_setfield(L, -2, "closed");
  set(L, "messages_in", t.traffic.messages_in);
  set(L, "messages_out", t.traffic.messages_out);
  set(L, "bytes_in", t.traffic.bytes_in);
  set(L, "bytes_out", t.traffic.bytes_out);
  set(L, "dropped", t.traffic.dropped);
  set(L, "present", t.present);
  set(L, "joins", t.stats.joins);
  set(L, "leaves", t.stats.leaves);
  set(L, "queued_bytes", t.queued);
  set(L, "memory", t.memory);
  set(L, "turns", turns_of(&t));
  set_number(L, "busy_seconds", t.busy);
  set_number(L, "lag_seconds", t.lag);
  push_backplane(L, s, is_all);
  return 1;
}

/* ---- metrics ---- */

static void add(luaL_Buffer *b, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

static void add(luaL_Buffer *b, const char *format, ...) {
  char line[256];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  luaL_addstring(b, line);
}

static void head(luaL_Buffer *b, const char *name, const char *type,
                 const char *help) {
  add(b, "# HELP evws_%s %s\n", name, help);
  add(b, "# TYPE evws_%s %s\n", name, type);
}

static void one(luaL_Buffer *b, const char *name, const char *type,
                const char *help, uint64_t n) {
  head(b, name, type, help);
  add(b, "evws_%s %llu\n", name, (unsigned long long)n);
}

/* Digits as the format wants them, whatever the locale's point is. */
static void add_seconds(luaL_Buffer *b, double seconds) {
  uint64_t us = (uint64_t)(seconds * 1e6);
  add(b, "%llu.%06u", (unsigned long long)(us / 1000000),
      (unsigned)(us % 1000000));
}

static void add_refused(luaL_Buffer *b, const struct ws_stats *s) {
  head(b, "refused_total", "counter",
       "Connections and requests turned away, by reason.");
  for (int i = 0; i < WS_REFUSALS; i++)
    add(b, "evws_refused_total{reason=\"%s\"} %llu\n",
        ws_refusal_name((enum ws_refusal)i), (unsigned long long)s->refused[i]);
}

static void add_closed(luaL_Buffer *b, const struct ws_closes *c) {
  static const char line[] = "evws_closed_total{code=\"%d\"} %llu\n";
  head(b, "closed_total", "counter", "Connections that ended, by close code.");
  for (int i = 0; i < WS_CODES; i++)
    if (c->known[i])
      add(b, line, WS_CODE_FIRST + i, (unsigned long long)c->known[i]);
  for (int i = 0; i < WS_OWN_CODES && c->own[i].code; i++)
    add(b, line, c->own[i].code, (unsigned long long)c->own[i].n);
  add(b, "evws_closed_total{code=\"other\"} %llu\n",
      (unsigned long long)c->others);
}

static void add_pace(luaL_Buffer *b, const struct ws_totals *t) {
  static const char *const bounds[] = {"0.001", "0.01", "0.1", "1", "+Inf"};
  uint64_t n = 0;
  head(b, "turn_seconds", "histogram",
       "Turns of the loop: handlers, and the reading and writing around them.");
  for (int i = 0; i <= WS_PACE_BOUNDS; i++) {
    n += t->turns[i];
    add(b, "evws_turn_seconds_bucket{le=\"%s\"} %llu\n", bounds[i],
        (unsigned long long)n);
  }
  luaL_addstring(b, "evws_turn_seconds_sum ");
  add_seconds(b, t->busy);
  add(b, "\nevws_turn_seconds_count %llu\n", (unsigned long long)n);
  head(b, "loop_lag_seconds", "gauge",
       "How late a timer or deadline came at worst, in the last minute.");
  luaL_addstring(b, "evws_loop_lag_seconds ");
  add_seconds(b, t->lag);
  luaL_addchar(b, '\n');
}

static void add_traffic(luaL_Buffer *b, const struct ws_traffic *t) {
  one(b, "messages_received_total", "counter", "Messages received.",
      t->messages_in);
  one(b, "messages_sent_total", "counter", "Messages sent or queued.",
      t->messages_out);
  one(b, "received_bytes_total", "counter", "Bytes of received messages.",
      t->bytes_in);
  one(b, "sent_bytes_total", "counter", "Bytes of messages sent or queued.",
      t->bytes_out);
  one(b, "dropped_total", "counter",
      "Messages that a slow reader missed: publishes, its queue being "
      "full, and those that may go.",
      t->dropped);
}

static void add_presence(luaL_Buffer *b, const struct ws_totals *t) {
  one(b, "present", "gauge", "People who are in topics.", t->present);
  one(b, "joins_total", "counter", "People who came into topics.",
      t->stats.joins);
  one(b, "leaves_total", "counter", "People who left topics.", t->stats.leaves);
}

static void add_worker(luaL_Buffer *b, uint32_t id, uint64_t open) {
  add(b, "evws_worker_connections{worker=\"%u\"} %llu\n", (unsigned)id,
      (unsigned long long)open);
}

/* One that is being replaced is there twice: a label stands for a number. */
struct by_id {
  uint64_t open[WS_SHARE_SLOTS];
  uint32_t most;
};

static void sum_worker(void *sums, uint32_t id, uint64_t open) {
  struct by_id *by = sums;
  if (id >= WS_SHARE_SLOTS) return;
  by->open[id] += open;
  if (id > by->most) by->most = id;
}

static void add_workers(luaL_Buffer *b, const struct ws_server *s) {
  struct by_id by = {.most = 0};
  if (!s->share) return;
  one(b, "workers", "gauge", "Workers that serve.", ws_share_workers(s->share));
  one(b, "worker_restarts_total", "counter",
      "Workers that ended unasked, and were started again.",
      ws_share_restarts(s->share));
  head(b, "worker_connections", "gauge", "WebSocket connections, by worker.");
  ws_share_each(s, sum_worker, &by);
  for (uint32_t id = 1; id <= by.most; id++) add_worker(b, id, by.open[id]);
}

static void push_own(lua_State *L, const struct ws_server *s) {
  struct ws_totals t = look(s, true);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  one(&b, "accepted_total", "counter", "Connections accepted from the kernel.",
      t.stats.accepted);
  one(&b, "opened_total", "counter", "Connections that became WebSockets.",
      t.stats.opened);
  one(&b, "connections", "gauge", "WebSocket connections.", t.open);
  one(&b, "pending_connections", "gauge",
      "Connections that are no WebSockets yet.", t.pending);
  one(&b, "http_requests_total", "counter",
      "Requests answered with another status than 101.", t.stats.requests);
  add_refused(&b, &t.stats);
  add_closed(&b, &t.stats.closed);
  add_traffic(&b, &t.traffic);
  add_presence(&b, &t);
  one(&b, "queued_bytes", "gauge", "Bytes that wait for peers to read.",
      t.queued);
  one(&b, "memory_bytes", "gauge", "Memory of evws, beside that of Lua.",
      t.memory);
  add_pace(&b, &t);
  add_workers(&b, s);
  if (ws_bus_of(s)) ws_backplane_add_metrics(&b, ws_bus_of(s), s->share);
  luaL_pushresult(&b);
}

/* Was this function, on top of the stack, called already? */
static bool was_called(lua_State *L, int called) {
  lua_pushvalue(L, -1);
  bool was = lua_rawget(L, called) != LUA_TNIL;
  lua_pop(L, 1);
  if (was) return true;
  lua_pushvalue(L, -1);
  lua_pushboolean(L, true);
  lua_rawset(L, called);
  return false;
}

/* Adds what on_metrics of a route says to the list at index 2; at index 3: who
 * was called, as a hub has several routes. */
static void ask(lua_State *L, const struct ws_route *r) {
  lua_settop(L, 3);
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, r->user) != LUA_TTABLE) return;
  if (lua_getfield(L, -1, "on_metrics") != LUA_TFUNCTION) return;
  if (was_called(L, 3)) return;
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1)) return;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "on_metrics returned a %s (a string or nil expected)",
               luaL_typename(L, -1));
  lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
}

/* The list at index 2 as one page. */
static int join(lua_State *L) {
  lua_settop(L, 2);
  if (lua_rawlen(L, 2) == 1) {
    lua_rawgeti(L, 2, 1);
    return 1;
  }
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "evws.metrics");
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

int ws_server_metrics(lua_State *L) {
  const struct ws_server *s = check_running(L);
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  push_own(L, s);
  lua_rawseti(L, 2, 1);
  ask(L, &s->route);
  for (const struct ws_route *r = s->routes; r; r = r->next) ask(L, r);
  return join(L);
}
