/* topic_table.h: topics by their names, who has subscribed to them, and the
 * log of what is published in a turn, as data. For topic.c and publish.c. */
#ifndef EVWS_TOPIC_TABLE_H
#define EVWS_TOPIC_TABLE_H

#include "base/hash.h"
#include "engine/conn_base.h"

#define WS_NO_ENTRY UINT32_MAX

struct ws_topic {
  struct ws_topic *next; /* in its bucket */
  struct ws_list members;
  size_t n;
  uint64_t hash;
  struct ws_text *name; /* NULL: everybody's */
  uint64_t epoch;       /* the log's, when it was last named there */
  uint64_t flushed;     /* and when it was last gone through */
  uint32_t last;        /* its last entry, in that epoch */
  bool is_leaving;      /* among those that go with the log */
  struct ws_topic *leaving;
};

struct ws_subscription {
  struct ws_list link; /* of the topic */
  struct ws_topic *topic;
  struct ws_member *member;
};

/* A connection that has subscribed to something. */
struct ws_member {
  struct ws_ahead ahead; /* first */
  struct ws_conn *conn;
  struct ws_list slow; /* while bytes wait for the peer, or for the end of a
                          writer's message */
  /* Hashed by topic, with empty slots between. */
  struct ws_subscription **slots;
  size_t n, cap;
  uint64_t epoch; /* of the log, when */
  size_t at;      /* it had seen so many entries */
};

/* One frame as bytes; the entry holds a count of the block. */
struct ws_part {
  struct ws_range range;
  uint8_t first, head; /* the first byte; length of the head */
};

/* By permessage-deflate, as one kind of route wants it. */
struct ws_packed {
  struct ws_packed *next;
  struct ws_deflate_level level;
  struct ws_part part; /* no block: it does not get smaller */
};

struct ws_entry {
  struct ws_topic *topic;
  uint64_t except;  /* id of one to leave out, 0: nobody */
  uint64_t *others; /* of several, sorted; NULL: none */
  size_t n_others;
  struct ws_part plain;
  struct ws_packed *packed; /* made when somebody wants it */
  uint32_t before;          /* the same topic's last entry before it */
};

/* What the members of one topic alone get, who do not compress: the same for
 * all who have seen the log so far. */
struct ws_run {
  const struct ws_topic *topic;
  uint64_t epoch;
  size_t from, to; /* entries of the log */
  int n;           /* ranges; negative: too many */
  bool has_except; /* some of it is not for everybody */
  uint64_t messages, bytes;
  struct ws_range ranges[WS_RANGES_MAX];
};

/* Of one server, from the first use. */
struct ws_topics {
  struct ws_server *server;
  struct ws_late late; /* the end of the turn */
  struct ws_hash_key key;
  struct ws_topic **buckets; /* a power of two of them */
  size_t n_buckets, n;
  struct ws_topic *leaving; /* go when the log names none any more */
  struct ws_topic *all;     /* everybody, once something was broadcast */
  struct ws_list slow;      /* members that are caught up all the time */
  size_t n_slow;
  struct ws_entry *log;
  uint32_t *mine; /* room for as many: of whoever is caught up */
  size_t n_log, cap_log, log_bytes;
  /* Blocks being filled, each with a count of its own: so that what belongs
   * together is one run. */
  struct ws_block *plain, *packed;
  struct ws_run run;
  uint64_t epoch; /* 1 and up */
};

/* NULL: it has subscribed to nothing. */
static inline struct ws_member *ws_member_of(const struct ws_conn *c) {
  return (struct ws_member *)c->ahead;
}

/* NULL: nobody has subscribed to it. */
struct ws_topic *ws_topics_find(const struct ws_topics *ts,
                                struct ws_slice name);

/* The same, made where there is none; NULL without memory. */
struct ws_topic *ws_topics_add(struct ws_topics *ts, struct ws_slice name);

/* One without a name, which is in no table. */
struct ws_topic *ws_topics_new_topic(void);

/* It goes, as soon as the log does not name it, if nobody subscribes. */
void ws_topics_check_empty(struct ws_topics *ts, struct ws_topic *t);

/* Those that had to stay for the log go. */
void ws_topics_sweep(struct ws_topics *ts);

/* NULL: it has not subscribed. */
struct ws_subscription *ws_member_find(const struct ws_member *m,
                                       const struct ws_topic *t);

/* False without memory. It has not subscribed to it yet. */
bool ws_member_join(struct ws_member *m, struct ws_topic *t);

/* Ends one subscription; it has that. */
void ws_member_part(struct ws_topics *ts, struct ws_member *m,
                    const struct ws_topic *t);

/* Ends all. */
void ws_member_part_all(struct ws_topics *ts, struct ws_member *m);

#endif
