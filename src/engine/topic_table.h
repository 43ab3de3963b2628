/* topic_table.h: topics by their names, who has subscribed to them, and the
 * log of what is published in a turn, as data. For topic.c and publish.c. */
#ifndef EVWS_TOPIC_TABLE_H
#define EVWS_TOPIC_TABLE_H

#include "base/hash.h"
#include "engine/conn_base.h"
#include "engine/kept.h"
#include "engine/presence.h"

#define WS_NO_ENTRY UINT32_MAX
#define WS_NODE_LEN 8

/* What few topics have beside their members. */
struct ws_facets {
  struct ws_topic *views; /* by their `next` */
  struct ws_list hearers;
  struct ws_kept *kept;         /* NULL: it has no history */
  struct ws_presence *presence; /* NULL: nobody has ever said who he is */
  size_t holds;                 /* who wait to join */
};

/* A view of a topic is one of its own, with the same name: it is in no bucket,
 * but in a list of the topic that it is a view of. */
struct ws_topic {
  struct ws_topic *next; /* in its bucket, or of the views */
  struct ws_list members;
  size_t n;
  uint64_t hash;
  struct ws_text *name; /* NULL: everybody's */
  uint64_t epoch;       /* the log's, when it was last named there */
  uint64_t flushed;     /* and when it was last gone through */
  uint32_t last;        /* its last entry, in that epoch */
  uint32_t n_far;       /* who want what is published elsewhere too, of views
                           as well */
  int view;             /* the host's own */
  bool is_leaving;      /* among those that go with the log */
  struct ws_topic *leaving;
  struct ws_topic *base;    /* whose view it is; NULL: none */
  struct ws_facets *facets; /* NULL: members alone */
};

struct ws_subscription {
  struct ws_list link; /* of the topic */
  struct ws_topic *topic;
  struct ws_member *member;
  bool is_here;                 /* what is published elsewhere is not for it */
  bool is_present;              /* it has what follows */
  struct ws_present *present[]; /* one, or NULL */
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
  struct ws_topic *leaving; /* go when the log names none any more, */
  uint32_t pins;            /* and nobody walks a topic's views */
  struct ws_topic *all;     /* everybody, once something was broadcast */
  struct ws_list slow;      /* members that are caught up all the time */
  size_t n_slow;
  const struct ws_fleet *fleet; /* of what is being published, if it may go */
  struct ws_entry *log;
  uint32_t *mine; /* room for as many: of whoever is caught up */
  size_t n_log, cap_log, log_bytes;
  /* Blocks being filled, each with a count of its own: so that what belongs
   * together is one run. */
  struct ws_block *plain, *packed;
  struct ws_run run;
  uint64_t epoch;                      /* 1 and up */
  struct ws_heard *heard, *last_heard; /* what has to be told to hearers */
  uint64_t n_heard;                    /* so many were there so far */
  char node[WS_NODE_LEN + 1];          /* letters at random */
  struct ws_changes changes;           /* of presence, to be told */
  struct ws_job hear;
  struct ws_timer hear_again;
};

/* NULL: it has subscribed to nothing. */
static inline struct ws_member *ws_member_of(const struct ws_conn *c) {
  return (struct ws_member *)c->ahead;
}

static inline struct ws_topic *ws_topic_views(const struct ws_topic *t) {
  return t->facets ? t->facets->views : NULL;
}

static inline struct ws_kept *ws_topic_kept(const struct ws_topic *t) {
  return t->facets ? t->facets->kept : NULL;
}

static inline bool ws_topic_is_heard(const struct ws_topic *t) {
  return t->facets && !ws_list_is_empty(&t->facets->hearers);
}

/* NULL: nobody has subscribed to it. */
struct ws_topic *ws_topics_find(const struct ws_topics *ts,
                                struct ws_slice name);

/* One that is not there yet; NULL without memory. */
struct ws_topic *ws_topics_add(struct ws_topics *ts, struct ws_slice name);

/* One without a name, which is in no table. */
struct ws_topic *ws_topics_new_topic(void);

/* Its facets, made where there are none; NULL without memory. */
struct ws_facets *ws_topic_facets(struct ws_topic *t);

/* The same topic as those see it who have this view; NULL: nobody has. Made
 * where there is none; then NULL is without memory. */
struct ws_topic *ws_topic_view(const struct ws_topic *t, int view);
struct ws_topic *ws_topic_add_view(struct ws_topic *t, int view);

/* Does anybody want it, whatever the log names? */
bool ws_topic_is_wanted(const struct ws_topic *t);

/* Views stay where they are until the last one says so. */
void ws_topics_pin(struct ws_topics *ts);
void ws_topics_unpin(struct ws_topics *ts);

/* One more, or one less, wants what is published elsewhere. False without
 * memory. */
bool ws_topic_want(struct ws_topics *ts, struct ws_topic *t);
void ws_topic_unwant(struct ws_topics *ts, struct ws_topic *t);

/* It goes, as soon as the log does not name it, if nobody subscribes. */
void ws_topics_check_empty(struct ws_topics *ts, struct ws_topic *t);

/* Those that had to stay for the log go. */
void ws_topics_sweep(struct ws_topics *ts);

/* NULL: it has not subscribed. */
struct ws_subscription *ws_member_find(const struct ws_member *m,
                                       const struct ws_topic *t);

/* The same, with whatever view; NULL: with none. */
struct ws_subscription *ws_member_find_any(const struct ws_member *m,
                                           const struct ws_topic *t);

/* False without memory. It has not subscribed to it yet. is_present: it may
 * become so. */
bool ws_member_join(struct ws_member *m, struct ws_topic *t, bool is_here,
                    bool is_present);

/* The same subscription, which may become present from now on; NULL without
 * memory: it is as it was. */
struct ws_subscription *ws_member_extend(struct ws_member *m,
                                         struct ws_subscription *sub);

/* It wants what is published elsewhere too; false without memory. */
bool ws_subscription_widen(struct ws_subscription *sub);

/* Ends one subscription; it has that. */
void ws_member_part(struct ws_topics *ts, struct ws_member *m,
                    const struct ws_topic *t);

/* Ends all. */
void ws_member_part_all(struct ws_topics *ts, struct ws_member *m);

#endif
