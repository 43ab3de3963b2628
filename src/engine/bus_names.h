/* bus_names.h: the channels that somebody in this process wants, and how far
 * Redis is with them: fresh (to be subscribed), asked for, there, or refused;
 * and those that nobody wants any more, which stay for a second, as one who
 * reconnects wants them again. */
#ifndef EVWS_BUS_NAMES_H
#define EVWS_BUS_NAMES_H

#include "base/hash.h"
#include "base/list.h"
#include "base/slice.h"

struct ws_channel {
  struct ws_channel *next; /* in its bucket */
  struct ws_list link;     /* of the fresh, alone, refused, or leaving */
  struct ws_list coming;   /* of those that are asked for, in that order */
  uint64_t hash;
  uint64_t asked; /* the number of the request; 0: none on this connection */
  size_t wanted;  /* by so many servers */
  double left;    /* when the last one let it go */
  bool is_there, is_refused;
  bool is_alone; /* it is asked for by itself: others with it were refused */
  size_t len;
  char name[];
};

struct ws_channels {
  struct ws_hash_key key;
  struct ws_channel **buckets; /* a power of two of them */
  size_t n_buckets, n, n_refused;
  struct ws_list fresh, alone, coming, refused, leaving;
};

void ws_channels_init(struct ws_channels *cs, struct ws_hash_key key);
void ws_channels_free(struct ws_channels *cs);

/* NULL: it is not known. */
struct ws_channel *ws_channels_find(const struct ws_channels *cs,
                                    struct ws_slice name);

/* Does anybody want it? */
bool ws_channels_is_wanted(const struct ws_channels *cs, struct ws_slice name);

/* One more wants it, or one less. want: NULL without memory. let_go: true if
 * that was the last one. */
struct ws_channel *ws_channels_want(struct ws_channels *cs,
                                    struct ws_slice name);
bool ws_channels_let_go(struct ws_channels *cs, struct ws_slice name,
                        double now);

/* The first that leaves, or NULL; how many of the fresh there are, up to most,
 * and of those that have left by then. */
struct ws_channel *ws_channels_leaving(const struct ws_channels *cs);
size_t ws_channels_fresh(const struct ws_channels *cs, size_t most);
size_t ws_channels_left(const struct ws_channels *cs, double by, size_t most);

/* Redis has confirmed it, or refused: by itself (then it is that), or with
 * others (then each is to be asked for alone). One that nobody wants is gone
 * when it is refused. True: it is refused. */
void ws_channels_confirmed(struct ws_channels *cs, struct ws_channel *c);
bool ws_channels_deny(struct ws_channels *cs, struct ws_channel *c);

/* Up to most of the refused are to be asked for again. */
void ws_channels_retry(struct ws_channels *cs, size_t most);

void ws_channels_remove(struct ws_channels *cs, struct ws_channel *c);

/* The connection is another one: all that is wanted is to be asked for, and
 * what is not is gone. */
void ws_channels_renew(struct ws_channels *cs);

#endif
