/* bus.h: the topics of servers as one space over processes and machines, by
 * way of Redis; or of several, each of which has its share of the topics. What
 * is published here goes to the other servers of the bus at once, and to
 * Redis, which has it for all others; what comes from there goes to everybody
 * who has subscribed. */
#ifndef EVWS_BUS_H
#define EVWS_BUS_H

#include "engine/bus_kept.h"
#include "engine/bus_link.h"
#include "engine/bus_news.h"
#include "engine/bus_presence.h"
#include "engine/bus_sums.h"
#include "engine/carrier.h"
#include "engine/server_base.h"

struct ws_bus;

/* Called in a turn, never inside of another function of the bus. */
struct ws_bus_calls {
  /* Its state is another one, or subscriptions have been confirmed. */
  void (*changed)(struct ws_bus *);

  /* The last of its servers has left it. */
  void (*deserted)(struct ws_bus *);
};

struct ws_bus {
  struct ws_carrier carrier; /* first */
  struct ws_loop *loop;
  struct ws_host *host;
  const struct ws_bus_calls *calls;
  struct ws_bus_settings settings;
  double presence_ttl; /* seconds */
  struct ws_bus_stats stats;
  struct ws_link *links;
  size_t n_links;
  struct ws_reader *readers; /* one for each link, */
  struct ws_roll *rolls;     /* and this */
  struct ws_list servers;    /* struct ws_bus_server */
  struct ws_changes heard;   /* its `present` may be filled in */
  struct ws_job news, close;
  uint64_t node; /* this process, by chance */
  enum ws_bus_state state;
  bool is_deserted; /* to be told */
  bool is_closing;
  unsigned n_walks; /* through the servers */
};

/* bus: zeroed memory with host, calls and settings filled in, and links, whose
 * `redis` is. False without memory or random bytes: it has to be freed. */
bool ws_bus_start(struct ws_bus *bus, struct ws_loop *loop);

/* Nothing is taken any more; it is CLOSED when what waits has left, or cannot
 * leave. */
void ws_bus_close(struct ws_bus *bus);

/* At the end of everything, or of a bus that has closed; servers that are left
 * have none any more. The links themselves are the owner's. */
void ws_bus_free(struct ws_bus *bus);

/* The server's topics are the bus' from now on; it has none yet. False without
 * memory. */
bool ws_bus_join(struct ws_bus *bus, struct ws_server *s);

/* Publishes to the servers of the bus and to all others. Returns to how many
 * connections of this process, or -1 as ws_topic_publish; *far likewise. */
int64_t ws_bus_publish(struct ws_bus *bus, const struct ws_publication *p,
                       const char **far);

/* The bus of a server; NULL: it has none. */
struct ws_bus *ws_bus_of(const struct ws_server *s);

/* Does Redis know that somebody here wants it? Has it refused that? */
bool ws_bus_is_there(struct ws_bus *bus, struct ws_slice name);
bool ws_bus_is_refused(struct ws_bus *bus, struct ws_slice name);

/* Of whose Redis the topic is; name.p NULL: what is everybody's. */
struct ws_link *ws_bus_link(const struct ws_bus *bus, struct ws_slice name);

/* Asks who is in a topic, everywhere, behind what has changed here; false:
 * Redis is away. */
bool ws_bus_ask_presence(struct ws_bus *bus, struct ws_slice topic,
                         struct ws_roll_call *call);

#endif
