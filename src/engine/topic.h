/* topic.h: publish and subscribe among the connections of one server.
 *
 * What is published in a turn stands in one log, framed once; each subscriber
 * gets its part of it in one write at the end of the turn, or before anything
 * else is sent to it. topic.c is who subscribes to what, publish.c the log. */
#ifndef EVWS_TOPIC_H
#define EVWS_TOPIC_H

#include "base/hash.h"
#include "engine/conn.h"
#include "engine/server.h"

struct ws_topic {
  struct ws_topic *next; /* in its bucket */
  struct ws_list members;
  size_t n;
  uint64_t hash;
  struct ws_text *name; /* NULL: everybody's */
  uint64_t flushed;     /* the log's epoch when it was last gone through */
};

struct ws_subscription {
  struct ws_list link; /* of the topic */
  struct ws_topic *topic;
  struct ws_member *member;
};

/* A connection that has subscribed to something. */
struct ws_member {
  struct ws_conn *conn;
  struct ws_list slow;           /* while bytes wait for the peer, or for the
                                    end of a writer's message */
  struct ws_subscription **list; /* by the topics' addresses */
  size_t n, cap;
  uint64_t epoch; /* of the log, when */
  size_t at;      /* it had seen so many entries */
};

/* One frame as bytes; the entry holds a count of the block. */
struct ws_part {
  struct ws_range range;
  uint8_t first, head; /* the first byte; length of the head */
};

struct ws_entry {
  struct ws_topic *topic;
  uint64_t except; /* id of who published it, 0: nobody to leave out */
  struct ws_part plain;
  struct ws_part packed; /* by permessage-deflate; no block: it is not */
};

/* Of one server, from the first use. */
struct ws_topics {
  struct ws_server *server;
  struct ws_late late; /* the end of the turn */
  struct ws_hash_key key;
  struct ws_topic **buckets; /* a power of two of them */
  size_t n_buckets, n;
  bool has_empty;       /* topics that go when the log names none any more */
  struct ws_topic *all; /* everybody, once something was broadcast */
  struct ws_list slow;  /* members that are caught up all the time */
  struct ws_entry *log;
  size_t n_log, cap_log, log_bytes;
  /* Blocks being filled, each with a count of its own: so that what belongs
   * together is one run. */
  struct ws_block *plain, *packed;
  size_t n_packed; /* members with permessage-deflate */
  uint64_t epoch;  /* 1 and up */
};

/* From now on c gets what is published to the topic. WS_OK also when it did
 * before; WS_ERR_CLOSED, WS_ERR_MEMORY. Of a server's connections only. */
enum ws_err ws_topic_subscribe(struct ws_conn *c, struct ws_slice name);

/* And from now on not any more. Did it? */
bool ws_topic_unsubscribe(struct ws_conn *c, struct ws_slice name);

/* The name of its i-th subscription, in no particular order; p NULL at the
 * end. */
struct ws_slice ws_topic_name(const struct ws_conn *c, size_t *i);

size_t ws_topic_count(const struct ws_server *s, struct ws_slice name);

/* Sends a message to the subscribers of a topic, without the connection
 * `from` (NULL: to all). Returns to how many; those whose queue is full are
 * not among them. -1 without memory: nothing was sent. */
int64_t ws_topic_publish(struct ws_server *s, const struct ws_conn *from,
                         struct ws_slice name, uint8_t opcode,
                         struct ws_slice message);

/* The same to every open connection. */
int64_t ws_topic_broadcast(struct ws_server *s, uint8_t opcode,
                           struct ws_slice message);

/* ---- called by the engine, where c->member is set ---- */

/* What was published for it is sent or queued now. */
void ws_topic_catch_up(struct ws_conn *c);

/* The kernel refuses its bytes or takes them again, a writer was opened or has
 * ended. */
void ws_topic_note(struct ws_conn *c);

/* It sends nothing any more. */
void ws_topic_leave(struct ws_conn *c);

/* ---- always ---- */

/* It is open: what is broadcast is for it too. */
void ws_topic_opened(struct ws_conn *c);

/* No connection is left. */
void ws_topics_free(struct ws_server *s);

/* ---- between topic.c and publish.c ---- */

struct ws_topics *ws_topics_of(struct ws_server *s);
struct ws_topic *ws_topic_find(const struct ws_topics *ts,
                               struct ws_slice name);
/* NULL: it has not subscribed. */
struct ws_subscription *ws_topic_of_member(const struct ws_member *m,
                                           const struct ws_topic *t);
struct ws_topic *ws_topic_everybody(struct ws_topics *ts);
void ws_topics_sweep(struct ws_topics *ts);
void ws_publish_late(struct ws_late *late);
void ws_publish_free(struct ws_topics *ts);

#endif
