/* kept.h: what stays of the messages of a topic that has a history: the last
 * ones, as frames, and where it is. Offsets are 1, 2, 3 ... within an epoch,
 * a few letters by chance; another epoch has nothing to do with this one. */
#ifndef EVWS_KEPT_H
#define EVWS_KEPT_H

#include "base/list.h"
#include "engine/carrier.h"
#include "engine/text.h"
#include "transport/loop.h"
#include "transport/queue.h"

#define WS_NO_VIEW (-1)           /* as it is published */
#define WS_KEPT_TOPICS_MAX 100000 /* of a rule */

/* One frame as bytes; whoever holds it holds a count of the block. */
struct ws_part {
  struct ws_range range;
  uint8_t first, head; /* the first byte; length of the head */
};

/* What is kept of the topics whose names match. */
struct ws_kept_rule {
  struct ws_text *pattern; /* without its `*` */
  bool is_prefix;          /* it had one */
  uint32_t size;           /* messages of a topic */
  size_t bytes;            /* of all topics together */
  double ttl;              /* seconds after a topic's last message */
  int stamp;               /* the view of who asks for none, or WS_NO_VIEW */
  bool is_json;            /* only JSON text may be published */
  struct ws_list topics;   /* who was published to last is the last */
  size_t n, used;          /* of them; bytes */
};

struct ws_kept_rules {
  struct ws_kept_rule *list;
  size_t n;
};

/* A frame, and the meta behind it. */
struct ws_kept_message {
  struct ws_block *block; /* a count of it */
  uint32_t off, len;
  uint16_t meta;
  uint8_t first, head;
};

struct ws_kept {
  struct ws_list link; /* of the rule */
  struct ws_kept_rule *rule;
  struct ws_topics *topics; /* where it belongs: history.c */
  struct ws_topic *topic;
  struct ws_timer timer;
  double used;  /* when it was last published to, or wanted */
  uint64_t top; /* the last offset; 0: nothing was published yet */
  struct ws_kept_message *ring;
  uint32_t cap, first, n;
  size_t bytes;           /* of these n */
  struct ws_block *block; /* being filled; a count of it */
  bool is_held;           /* it stays without subscribers */
  bool is_remote;         /* it is kept elsewhere too: kept_sync.h */
  bool is_known;          /* then: the epoch is the one there, */
  bool is_synced;         /* and all up to `top` has come from there */
  bool is_new;            /* nobody was there until a moment ago */
  bool is_refused;        /* it could not be read */
  bool is_due, is_asked;  /* it is to be read; it is being read */
  bool is_short;          /* something of what came meanwhile is not in, */
  bool is_stuck;          /* or of what was read */
  uint64_t sync_top;      /* where it is there, */
  uint64_t before;        /* and was when somebody came: only kept */
  uint64_t told;          /* who came while it was being read knew of this */
  uint64_t reading;       /* the first reading since somebody came; 0: none */
  struct ws_ahead_message *ahead; /* these, which wait for what is before */
  size_t ahead_bytes;
  char epoch[WS_EPOCH_LEN];
};

/* What the rules say of a topic: the longest pattern that matches; NULL. Those
 * that begin with a zero byte are evws' own, and never kept. */
struct ws_kept_rule *ws_kept_rule_of(const struct ws_kept_rules *rules,
                                     struct ws_slice name);
void ws_kept_rules_free(struct ws_kept_rules *rules);

/* A new epoch; what there was is forgotten. False without random bytes. */
bool ws_kept_renew(struct ws_kept *k, struct ws_loop *loop);

/* Keeps a message as the one behind the last; *part is its frame, with a count
 * of its block that is the caller's. p is given its position. False without
 * memory: nothing has changed. */
bool ws_kept_add(struct ws_kept *k, struct ws_publication *p,
                 struct ws_part *part);

/* The message at an offset, and its frame; false where it is not kept. What
 * they point to stays until the next message is kept or the history cleared,
 * or for as long as a count of the part's block is held. */
bool ws_kept_at(const struct ws_kept *k, uint64_t offset,
                struct ws_publication *p, struct ws_part *part);

/* The first offset that is kept; top + 1 where nothing is. */
static inline uint64_t ws_kept_first(const struct ws_kept *k) {
  return k->top - k->n + 1;
}

static inline struct ws_slice ws_kept_epoch(const struct ws_kept *k) {
  return (struct ws_slice){k->epoch, sizeof k->epoch};
}

/* Its messages are forgotten, its position is not. */
void ws_kept_clear(struct ws_kept *k);

/* A message that came before those in front of it, in a list by offset; ids:
 * who does not get it. False without memory or room. */
struct ws_ahead_message {
  struct ws_ahead_message *next;
  struct ws_publication what;
  uint64_t *ids;
  size_t n_ids;
  bool is_old; /* it was there before what is read now was asked for */
  char data[]; /* what it points to */
};
bool ws_ahead_add(struct ws_kept *k, const struct ws_publication *p,
                  const uint64_t *ids, size_t n_ids);

/* Takes out the first; NULL: there is none. */
struct ws_ahead_message *ws_ahead_take(struct ws_kept *k);
void ws_ahead_free(struct ws_kept *k);

/* All of it is; k may be NULL. */
void ws_kept_free(struct ws_kept *k, struct ws_loop *loop);

#endif
