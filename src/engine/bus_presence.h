/* bus_presence.h: who is in the topics of all processes, in Redis. Each process
 * puts its own people there and says again and again that they are still
 * there; those of whom nobody says so any more are gone. Who comes first by a
 * key, and who goes last, is told by the script that sees it.
 *
 *   <prefix>p:<topic>  a hash: 'e', node, key: one entry; 'n', key: how many
 *   <prefix>x          a zset: node, topic and key by when the entry is over
 *
 * Changes are published to the channel of the topic "\0w", for all; and as
 * messages to the topic of the same name behind "\0p". */
#ifndef EVWS_BUS_PRESENCE_H
#define EVWS_BUS_PRESENCE_H

#include "engine/bus_link.h"
#include "engine/carrier.h"
#include "engine/roll_wire.h"

/* One who is here: of a server, a topic, a key. */
struct ws_roll_entry {
  struct ws_list link; /* of all, by when they were sent */
  struct ws_list sent; /* by the order of the answers */
  struct ws_roll_entry *next;
  struct ws_text *member, *value;
  unsigned round;   /* when it was last sent */
  bool is_gone;     /* Redis is to forget it */
  bool is_sent;     /* and not answered yet */
  bool has_changed; /* since then */
  bool is_known;    /* Redis may have it */
};

/* A question who is there, owned by who asks; ws_roll_forget ends it. */
struct ws_roll_call {
  struct ws_list link;
  uint64_t number;
  struct ws_buf items; /* length (4) and bytes, of fields and values */
  bool is_done, is_lost, is_refused, has_failed;
};

struct ws_roll {
  struct ws_link *link;
  const double *ttl; /* seconds */

  /* The message of what has come to be by this process' own people. Called in
   * a turn. */
  void (*told)(struct ws_roll *, const struct ws_publication *);

  char node[WS_ROLL_NODE];
  struct ws_hash_key hash;
  struct ws_roll_entry **buckets;
  size_t n_buckets, n;
  struct ws_list all, sent, calls;
  size_t n_sent;
  struct ws_asked changing, sweeping, calling;
  uint64_t n_asked, n_answered; /* questions */
  struct ws_timer timer;
  unsigned round;
  unsigned n_listeners; /* servers that want to hear of changes */
  bool is_passing;      /* through all of them */
  bool is_up;
  bool is_set;                 /* the timer */
  struct ws_buf command, zset; /* being written; its key */
};

/* r: with ttl and told filled in; node: this process. False without memory. */
bool ws_roll_init(struct ws_roll *r, struct ws_link *l, struct ws_hash_key key,
                  uint64_t node);
void ws_roll_free(struct ws_roll *r);

/* A change of a server's own people; json: how a message tells it, behind its
 * first word. False without memory. */
bool ws_roll_change(struct ws_roll *r, const char *node,
                    const struct ws_change *c, struct ws_slice json);

/* All of a server, or of everybody (NULL), are gone. */
void ws_roll_leave(struct ws_roll *r, const char *node);

/* The link is up, or may be. */
void ws_roll_go_on(struct ws_roll *r);
void ws_roll_lost(struct ws_roll *r);

/* One server more wants to hear of changes, or one less. False without
 * memory. */
bool ws_rolls_listen(struct ws_roll *rolls, size_t n);
void ws_rolls_ignore(struct ws_roll *rolls, size_t n);

/* False: it cannot be asked now. The answer is told by `changed`. */
bool ws_roll_ask(struct ws_roll *r, struct ws_roll_call *call,
                 struct ws_slice topic);
void ws_roll_forget(struct ws_roll_call *call);

#endif
