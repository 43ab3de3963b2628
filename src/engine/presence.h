/* presence.h: who is in a topic, and who has come or gone. Several who say the
 * same key, as the tabs of one person do, are one. */
#ifndef EVWS_PRESENCE_H
#define EVWS_PRESENCE_H

#include "base/hash.h"
#include "base/list.h"
#include "engine/text.h"
#include "transport/loop.h"

struct ws_server;

#define WS_PRESENCE_ID_MAX 255
#define WS_PRESENCE_INFO_MAX 4096

/* Somebody has come or gone. */
struct ws_change {
  struct ws_change *next;
  struct ws_text *topic, *id, *key, *info;
  uint32_t n;     /* connections of this server that say the key now */
  bool is_join;   /* or neither: */
  bool is_update; /* he is another, or there more or less often */
  bool is_heard;  /* somewhere in all processes, not of this one's own */
};

/* What is to be told, in order: of a server's topics, or of those of all. */
struct ws_changes {
  struct ws_loop *loop;
  struct ws_server *server; /* NULL: of no one's in particular */

  /* Tells it; false: it has to be tried again. */
  bool (*present)(struct ws_changes *, const struct ws_change *);

  struct ws_change *first, *last;
  struct ws_job job;
  struct ws_timer again;
};

/* One person of a topic. */
struct ws_person {
  struct ws_person *next; /* in its bucket */
  struct ws_list link;    /* by the order of coming */
  struct ws_text *id, *key, *info;
  size_t n; /* so often there */
};

/* Of one topic. */
struct ws_presence {
  const struct ws_hash_key *hash;
  struct ws_person **buckets;
  size_t n_buckets, n;
  struct ws_list people;
};

/* One who is there. */
struct ws_present {
  struct ws_presence *of;
  struct ws_person *person;
  struct ws_change *leave; /* what will be told, made beforehand */
};

/* Who comes: the texts are taken over by reference. */
struct ws_arrival {
  struct ws_text *topic, *id, *key, *info;
};

struct ws_presence *ws_presence_new(const struct ws_hash_key *hash);
void ws_presence_free(struct ws_presence *p); /* nobody is there; may be NULL */

/* Somebody has come; NULL without memory. If the key is new, that is told. */
struct ws_present *ws_presence_join(struct ws_presence *p,
                                    struct ws_changes *changes,
                                    const struct ws_arrival *who);

/* And has gone, which is told if nobody else says the key. */
void ws_presence_leave(struct ws_present *who, struct ws_changes *changes);

/* Of a server; or with `present` filled in, or without it for nothing. */
void ws_changes_init(struct ws_changes *c, struct ws_server *s);
void ws_changes_start(struct ws_changes *c, struct ws_loop *loop);

/* Tells what was heard of. False without memory. */
struct ws_rumour {
  struct ws_slice topic, id, key, info;
  bool is_join;
};
bool ws_changes_hear(struct ws_changes *c, const struct ws_rumour *what);

/* All is told now, not behind what is going on. */
void ws_changes_flush(struct ws_changes *c);

/* Nothing is told any more. */
void ws_changes_free(struct ws_changes *c);

#endif
