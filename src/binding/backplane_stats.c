/* backplane_stats.c: what a backplane has counted. */
#include "binding/backplane_stats.h"

#include <stdio.h>
#include <string.h>

static const char *const drops[WS_DROPS] = {"full",   "timeout", "lost",
                                            "memory", "bad",     "refused"};

static void set(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* As words for other processes to add up: what is of this moment first. */
enum {
  AWAY, /* 1: not up */
  PENDING,
  SUBSCRIPTIONS,
  REFUSED,
  GAUGES,
  PUBLISHED = GAUGES,
  RECEIVED,
  RECONNECTS,
  DROPPED,
  WORDS = DROPPED + WS_DROPS
};
_Static_assert(WORDS <= WS_SHARE_WORDS, "a backplane counts too much");

struct counted {
  uint64_t w[WORDS];
};

static struct counted count(const struct ws_bus *bus) {
  const struct ws_bus_stats *s = &bus->stats;
  struct counted c = {
    {[AWAY] = bus->state != WS_BUS_UP,
     [PENDING] = ws_bus_pending(bus->links, bus->n_links),
     [SUBSCRIPTIONS] = ws_bus_subscriptions(bus->links, bus->n_links),
     [REFUSED] = ws_bus_subscriptions_refused(bus->links, bus->n_links),
     [PUBLISHED] = s->published,
     [RECEIVED] = s->received,
     [RECONNECTS] = s->reconnects}};
  memcpy(c.w + DROPPED, s->dropped, sizeof s->dropped);
  return c;
}

/* The same in each worker: which Redis, and which part of it. */
static struct ws_slice name_of(const struct ws_bus *bus, char to[512]) {
  const struct ws_redis_settings *r = &bus->links[0].redis;
  struct ws_slice prefix = bus->settings.prefix;
  int n = snprintf(to, 512, "backplane %s:%d %.*s", r->path ? r->path : r->host,
                   r->path ? 0 : r->port, (int)prefix.n, prefix.p);
  return (struct ws_slice){to, n < 512 ? (size_t)n : 511};
}

void ws_backplane_tell(const struct ws_share *share, const struct ws_bus *bus) {
  char name[512];
  struct counted c = count(bus);
  ws_share_tell(share, name_of(bus, name), GAUGES, c.w, WORDS);
}

static struct counted look(const struct ws_bus *bus,
                           const struct ws_share *share) {
  char name[512];
  struct counted c = count(bus);
  if (share) ws_share_add_told(share, name_of(bus, name), c.w, WORDS);
  return c;
}

void ws_backplane_push_stats(lua_State *L, const struct ws_bus *bus,
                             const struct ws_share *share) {
  struct counted c = look(bus, share);
  lua_createtable(L, 0, 9);
  lua_pushboolean(L, !c.w[AWAY]);
  lua_setfield(L, -2, "up");
  set(L, "published", c.w[PUBLISHED]);
  set(L, "received", c.w[RECEIVED]);
  set(L, "reconnects", c.w[RECONNECTS]);
  set(L, "pending_bytes", c.w[PENDING]);
  set(L, "subscriptions", c.w[SUBSCRIPTIONS]);
  set(L, "subscriptions_refused", c.w[REFUSED]);
  lua_pushnumber(L, ws_bus_rtt(bus->links, bus->n_links));
  lua_setfield(L, -2, "rtt_seconds");
  lua_createtable(L, 0, WS_DROPS);
  for (int i = 0; i < WS_DROPS; i++) set(L, drops[i], c.w[DROPPED + i]);
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

static void add_dropped(luaL_Buffer *b, const uint64_t *dropped) {
  char text[120];
  luaL_addstring(b, "# HELP evws_backplane_dropped_total Messages that did "
                    "not travel between processes, by reason.\n"
                    "# TYPE evws_backplane_dropped_total counter\n");
  for (int i = 0; i < WS_DROPS; i++) {
    snprintf(text, sizeof text,
             "evws_backplane_dropped_total{reason=\"%s\"} %llu\n", drops[i],
             (unsigned long long)dropped[i]);
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

void ws_backplane_add_metrics(luaL_Buffer *b, const struct ws_bus *bus,
                              const struct ws_share *share) {
  struct counted c = look(bus, share);
  add(b, "up", "gauge", "Whether Redis is there and knows all subscriptions.",
      !c.w[AWAY]);
  add(b, "published_total", "counter", "Messages for other processes.",
      c.w[PUBLISHED]);
  add(b, "received_total", "counter", "Messages of other processes.",
      c.w[RECEIVED]);
  add_dropped(b, c.w + DROPPED);
  add(b, "reconnects_total", "counter", "How often it came back.",
      c.w[RECONNECTS]);
  add(b, "pending_bytes", "gauge", "Bytes that wait for Redis.", c.w[PENDING]);
  add(b, "subscriptions", "gauge", "Channels that are wanted.",
      c.w[SUBSCRIPTIONS]);
  add(b, "subscriptions_refused", "gauge",
      "Channels that are wanted and that Redis refuses.", c.w[REFUSED]);
  add_rtt(b, ws_bus_rtt(bus->links, bus->n_links));
}
