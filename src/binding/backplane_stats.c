/* backplane_stats.c: what a backplane has counted. */
#include "binding/backplane_stats.h"

#include <stdio.h>

static const char *const drops[WS_DROPS] = {"full",   "timeout", "lost",
                                            "memory", "bad",     "refused"};

static void set(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

void ws_backplane_push_stats(lua_State *L, const struct ws_bus *bus) {
  const struct ws_bus_stats *s = &bus->stats;
  lua_createtable(L, 0, 9);
  lua_pushboolean(L, bus->state == WS_BUS_UP);
  lua_setfield(L, -2, "up");
  set(L, "published", s->published);
  set(L, "received", s->received);
  set(L, "reconnects", s->reconnects);
  set(L, "pending_bytes", ws_bus_pending(bus->links, bus->n_links));
  set(L, "subscriptions", ws_bus_subscriptions(bus->links, bus->n_links));
  set(L, "subscriptions_refused",
      ws_bus_subscriptions_refused(bus->links, bus->n_links));
  lua_pushnumber(L, ws_bus_rtt(bus->links, bus->n_links));
  lua_setfield(L, -2, "rtt_seconds");
  lua_createtable(L, 0, WS_DROPS);
  for (int i = 0; i < WS_DROPS; i++) set(L, drops[i], s->dropped[i]);
  lua_setfield(L, -2, "dropped");
}

static void add(luaL_Buffer *b, const char *name, const char *type,
                const char *help, uint64_t n) {
  char text[320];
  snprintf(text, sizeof text,
           "# HELP evws_backplane_%s %s\n# TYPE evws_backplane_%s %s\n"
           "evws_backplane_%s %llu\n",
           name, help, name, type, name, (unsigned long long)n);
  luaL_addstring(b, text);
}

static void add_dropped(luaL_Buffer *b, const struct ws_bus_stats *s) {
  char text[120];
  luaL_addstring(b, "# HELP evws_backplane_dropped_total Messages that did "
                    "not travel between processes, by reason.\n"
                    "# TYPE evws_backplane_dropped_total counter\n");
  for (int i = 0; i < WS_DROPS; i++) {
    snprintf(text, sizeof text,
             "evws_backplane_dropped_total{reason=\"%s\"} %llu\n", drops[i],
             (unsigned long long)s->dropped[i]);
    luaL_addstring(b, text);
  }
}

/* Digits as the format wants them, whatever the locale's point is. */
static void add_rtt(luaL_Buffer *b, double seconds) {
  char text[80];
  unsigned long long us = (unsigned long long)(seconds * 1e6);
  luaL_addstring(b, "# HELP evws_backplane_rtt_seconds What a ping took last.\n"
                    "# TYPE evws_backplane_rtt_seconds gauge\n");
  snprintf(text, sizeof text, "evws_backplane_rtt_seconds %llu.%06llu\n",
           us / 1000000, us % 1000000);
  luaL_addstring(b, text);
}

void ws_backplane_add_metrics(luaL_Buffer *b, const struct ws_bus *bus) {
  const struct ws_bus_stats *s = &bus->stats;
  add(b, "up", "gauge", "Whether Redis is there and knows all subscriptions.",
      bus->state == WS_BUS_UP);
  add(b, "published_total", "counter", "Messages for other processes.",
      s->published);
  add(b, "received_total", "counter", "Messages of other processes.",
      s->received);
  add_dropped(b, s);
  add(b, "reconnects_total", "counter", "How often it came back.",
      s->reconnects);
  add(b, "pending_bytes", "gauge", "Bytes that wait for Redis.",
      ws_bus_pending(bus->links, bus->n_links));
  add(b, "subscriptions", "gauge", "Channels that are wanted.",
      ws_bus_subscriptions(bus->links, bus->n_links));
  add(b, "subscriptions_refused", "gauge",
      "Channels that are wanted and that Redis refuses.",
      ws_bus_subscriptions_refused(bus->links, bus->n_links));
  add_rtt(b, ws_bus_rtt(bus->links, bus->n_links));
}
