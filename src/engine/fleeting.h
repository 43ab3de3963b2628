/* fleeting.h: messages of one connection that wait and may go: what is older
 * than its time is not sent, and a newer one with the same key takes its
 * place. They are data here; when they leave is conn_send.c's. */
#ifndef EVWS_FLEETING_H
#define EVWS_FLEETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/slice.h"

/* What is asked for with a message. */
struct ws_fleet {
  double ttl;          /* seconds; 0: any number */
  struct ws_slice key; /* n is 0 without one */
  uint64_t scope;      /* keys of different ones are different */
  bool is_plain;       /* not to be compressed */
};

static inline bool ws_fleet_may_go(const struct ws_fleet *how) {
  return how->ttl > 0 || how->key.n;
}

struct ws_fleeting {
  struct ws_list link;      /* of all, in their order */
  struct ws_fleeting *next; /* of its bucket */
  double until;             /* 0: it does not grow old */
  uint8_t *data;            /* NULL: it has grown old, or is empty */
  size_t len;
  uint64_t scope;
  uint32_t hash;
  uint16_t key_len;
  uint8_t opcode;
  bool is_plain, is_gone;
  char key[];
};

#define WS_FLEETING_KEY_MAX 255

struct ws_fleetings {
  struct ws_list all;
  struct ws_fleeting **buckets; /* of those with a key */
  size_t n_buckets, n_keys;
  size_t bytes;  /* what they hold */
  double oldest; /* none of them is gone before; 0: none ever */
  struct ws_hash_key hash_key;
};

/* NULL without memory. */
struct ws_fleetings *ws_fleetings_new(struct ws_hash_key key);
void ws_fleetings_free(struct ws_fleetings *f); /* f may be NULL */

/* The one that waits with this key, or NULL. */
struct ws_fleeting *ws_fleetings_find(const struct ws_fleetings *f,
                                      const struct ws_fleet *how);

/* One more, behind all others, gone at `until`. NULL without memory. */
struct ws_fleeting *ws_fleetings_add(struct ws_fleetings *f,
                                     const struct ws_fleet *how, double until,
                                     uint8_t opcode, struct ws_slice message);

/* Another message in the place of one. False without memory: it stays. */
bool ws_fleetings_replace(struct ws_fleetings *f, struct ws_fleeting *m,
                          const struct ws_fleet *how, double until,
                          uint8_t opcode, struct ws_slice message);

/* Gives back the messages of those whose time is over; how many. */
size_t ws_fleetings_age(struct ws_fleetings *f, double now);

/* Has its time come? */
static inline bool ws_fleeting_is_over(const struct ws_fleeting *m,
                                       double now) {
  return m->is_gone || (m->until > 0 && now >= m->until);
}

/* Takes one out, to be sent; free it with ws_fleeting_free. */
void ws_fleetings_take(struct ws_fleetings *f, struct ws_fleeting *m);
void ws_fleeting_free(struct ws_fleeting *m);

#endif
