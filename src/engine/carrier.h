/* carrier.h: what carries a server's topics beyond it, to other servers and
 * other processes: a table of functions, which whoever does it hands down.
 * None of them calls back into the topics of the server that calls; what
 * comes from elsewhere goes in by ws_topic_deliver. */
#ifndef EVWS_CARRIER_H
#define EVWS_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "engine/fleeting.h"

#define WS_META_MAX 4096 /* bytes beside a message */
#define WS_EPOCH_LEN 10

struct ws_carrier;
struct ws_change;
struct ws_conn;
struct ws_kept_rule;
struct ws_server;

/* Connections that do not get a message. */
struct ws_except {
  const struct ws_conn *const *conns;
  size_t n;
};

/* Of a message for a history that is kept elsewhere, for who wants to know
 * what has become of it: offset 0 until that is known. Whoever owns it takes
 * it out of its list before it goes. */
struct ws_receipt {
  struct ws_list link;
  uint64_t number; /* of the message */
  uint64_t offset;
  char epoch[WS_EPOCH_LEN];
  bool is_lost;    /* it may have been kept or not */
  bool is_refused; /* it was not kept */
};

/* What is published. */
struct ws_publication {
  struct ws_slice topic; /* its name; p NULL: for everybody */
  struct ws_slice message;
  struct ws_slice meta;  /* for views and those who hear; n 0: none */
  struct ws_fleet fleet; /* with a ttl or a key: it may go */
  uint8_t opcode;
  bool is_reset;         /* no message: the topic has a new epoch */
  bool is_kept;          /* it has */
  bool is_away;          /* it has gone where the topic's history is kept */
  uint64_t offset;       /* a position: this one */
  struct ws_slice epoch; /* in this */
  struct ws_receipt *receipt; /* NULL: nobody wants to know */
};

/* The same, as it goes out. */
struct ws_outgoing {
  const struct ws_publication *what;
  struct ws_except except;
};

struct ws_carrier_calls {
  /* A topic of this server has somebody who wants what comes from elsewhere,
   * the first one. False without memory: then it has nobody. */
  bool (*want)(struct ws_carrier *, struct ws_server *, struct ws_slice name);

  /* And now nobody any more. */
  void (*unwant)(struct ws_carrier *, struct ws_server *, struct ws_slice name);

  /* Takes a message that this server's own subscribers have by now. NULL, or
   * why others will not get it. */
  const char *(*publish)(struct ws_carrier *, struct ws_server *,
                         const struct ws_outgoing *);

  /* Takes a message to a topic whose history is kept elsewhere: it comes back
   * by ws_sync_live. NULL, or why it cannot be taken. */
  const char *(*keep)(struct ws_carrier *, const struct ws_outgoing *,
                      const struct ws_kept_rule *);

  /* The history of a topic begins a new epoch, which comes back likewise. */
  const char *(*reset)(struct ws_carrier *, struct ws_slice name,
                       const struct ws_kept_rule *);

  /* Reads what came behind a position, for ws_sync_begin; where the topic is
   * not wanted or nobody can be asked, that is done later. */
  void (*sync)(struct ws_carrier *, struct ws_server *, struct ws_slice name);

  /* Takes what has changed of who is in the server's topics: it comes back to
   * all who want to hear of it. json: how a message tells it, behind its first
   * word. False without memory: it is given again. */
  bool (*present)(struct ws_carrier *, struct ws_server *,
                  const struct ws_change *, struct ws_slice json);

  /* The server is given back; nothing is wanted any more. */
  void (*left)(struct ws_carrier *, struct ws_server *);
};

struct ws_carrier {
  const struct ws_carrier_calls *calls;
};

#endif
