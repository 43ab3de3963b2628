/* lua_stats.c: server:stats and server:metrics: the counters as a table, and
 * as text for Prometheus (exposition format 0.0.4). */
#include "binding/lua_stats.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "binding/anchors.h"
#include "engine/route.h"
#include "engine/server.h"

/* One look at everything, so that both forms say the same. */
struct snapshot {
  const struct ws_stats *s;
  const struct ws_pace *pace;
  struct ws_traffic traffic;
  uint64_t open, pending, queued, turns;
  double lag;
};

static struct ws_server *check_running(lua_State *L) {
  ws_state_check_fork(L, ws_state_of(L)); /* the clock is the loop's */
  return &ws_check_server(L, 1)->s;
}

static struct snapshot look(const struct ws_server *s) {
  struct ws_loop *loop = s->loop;
  struct snapshot v = {.s = &s->stats, .pace = &loop->pace};
  v.traffic = ws_route_traffic(s);
  v.open = s->n_open;
  v.pending = s->n_conns - s->n_open;
  v.queued = ws_server_queued(s);
  v.lag = ws_pace_lag(&loop->pace, ws_loop_now(loop));
  for (int i = 0; i <= WS_PACE_BOUNDS; i++) v.turns += loop->pace.turns[i];
  return v;
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

int ws_server_stats(lua_State *L) {
  struct snapshot v = look(check_running(L));
  lua_createtable(L, 0, 16);
  set(L, "accepted", v.s->accepted);
  set(L, "opened", v.s->opened);
  set(L, "open", v.open);
  set(L, "pending", v.pending);
  set(L, "requests", v.s->requests);
  push_refused(L, v.s);
  lua_setfield(L, -2, "refused");
  push_closed(L, &v.s->closed);
  lua_setfield(L, -2, "closed");
  set(L, "messages_in", v.traffic.messages_in);
  set(L, "messages_out", v.traffic.messages_out);
  set(L, "bytes_in", v.traffic.bytes_in);
  set(L, "bytes_out", v.traffic.bytes_out);
  set(L, "dropped", v.traffic.dropped);
  set(L, "queued_bytes", v.queued);
  set(L, "memory", ws_mem_used());
  set(L, "turns", v.turns);
  set_number(L, "busy_seconds", v.pace->busy);
  set_number(L, "lag_seconds", v.lag);
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

static void add_pace(luaL_Buffer *b, const struct snapshot *v) {
  static const char *const bounds[] = {"0.001", "0.01", "0.1", "1", "+Inf"};
  uint64_t n = 0;
  head(b, "turn_seconds", "histogram",
       "Turns of the loop: handlers, and the reading and writing around them.");
  for (int i = 0; i <= WS_PACE_BOUNDS; i++) {
    n += v->pace->turns[i];
    add(b, "evws_turn_seconds_bucket{le=\"%s\"} %llu\n", bounds[i],
        (unsigned long long)n);
  }
  luaL_addstring(b, "evws_turn_seconds_sum ");
  add_seconds(b, v->pace->busy);
  add(b, "\nevws_turn_seconds_count %llu\n", (unsigned long long)n);
  head(b, "loop_lag_seconds", "gauge",
       "How late a timer or deadline came at worst, in the last minute.");
  luaL_addstring(b, "evws_loop_lag_seconds ");
  add_seconds(b, v->lag);
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

int ws_server_metrics(lua_State *L) {
  struct snapshot v = look(check_running(L));
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  one(&b, "accepted_total", "counter", "Connections accepted from the kernel.",
      v.s->accepted);
  one(&b, "opened_total", "counter", "Connections that became WebSockets.",
      v.s->opened);
  one(&b, "connections", "gauge", "WebSocket connections.", v.open);
  one(&b, "pending_connections", "gauge",
      "Connections that are no WebSockets yet.", v.pending);
  one(&b, "http_requests_total", "counter",
      "Requests answered with another status than 101.", v.s->requests);
  add_refused(&b, v.s);
  add_closed(&b, &v.s->closed);
  add_traffic(&b, &v.traffic);
  one(&b, "queued_bytes", "gauge", "Bytes that wait for peers to read.",
      v.queued);
  one(&b, "memory_bytes", "gauge",
      "Memory of evws in this process, beside that of Lua.", ws_mem_used());
  add_pace(&b, &v);
  luaL_pushresult(&b);
  return 1;
}
