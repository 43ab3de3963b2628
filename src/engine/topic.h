/* topic.h: publish and subscribe among the connections of one server.
 *
 * What is published in a turn stands in one log, framed once; each subscriber
 * gets its part of it in one write at the end of the turn, or before anything
 * else is sent to it. topic_table.c is who subscribes to what, publish.c the
 * log. */
#ifndef EVWS_TOPIC_H
#define EVWS_TOPIC_H

#include "engine/conn_base.h"
#include "engine/hear.h"
#include "engine/history.h"

#define WS_USUAL_VIEW (-2) /* as the topic's history says */

/* How somebody wants a topic. */
struct ws_wish {
  int view;     /* as the host makes it, WS_NO_VIEW or WS_USUAL_VIEW */
  bool is_here; /* not what is published elsewhere */
  bool is_back; /* it was there before, at this position */
  struct ws_position since;
  const struct ws_arrival *who; /* it is present as this; NULL: as before */
  bool is_absent;               /* or not any more */
  bool is_asking;               /* wants to know */
  struct ws_found found;        /* what is made out at the moment of joining, */
  /* which this tells, before anything of the topic is sent; NULL: what was
   * missed is sent instead. It may not publish or subscribe. */
  void (*joined)(struct ws_wish *);
};

/* From now on c gets what is published to the topic. WS_OK also when it did
 * before, perhaps in another view; WS_ERR_CLOSED, WS_ERR_MEMORY. Of a server's
 * connections only. */
enum ws_err ws_topic_subscribe(struct ws_conn *c, struct ws_slice name,
                               struct ws_wish *wish);

/* And from now on not any more. Did it? */
bool ws_topic_unsubscribe(struct ws_conn *c, struct ws_slice name);

/* The name of its i-th subscription, in no particular order; p NULL at the
 * end. Of a connection that is over: of those that it had. */
struct ws_slice ws_topic_name(const struct ws_conn *c, size_t *i);

/* From now on h hears the topic, until ws_hear_stop; what was missed is told
 * to wish->joined alone. WS_ERR_CLOSED, WS_ERR_MEMORY. */
enum ws_err ws_topic_hear(struct ws_server *s, struct ws_slice name,
                          struct ws_hearer *h, struct ws_wish *wish);

/* Sends a message to the subscribers of a topic, without these connections.
 * Returns to how many of this server; those whose queue is full are not among
 * them. -1 without memory: nothing was sent. far becomes NULL, or why others
 * than this server's will not get it; where it is NULL, the message stays
 * here. p is given its position where the topic has a history. */
int64_t ws_topic_publish(struct ws_server *s, struct ws_except except,
                         struct ws_publication *p, const char **far);

/* The same to every open connection. */
int64_t ws_topic_broadcast(struct ws_server *s, uint8_t opcode,
                           struct ws_slice message, const char **far);

/* What was published elsewhere reaches the subscribers, but for those in
 * `except`; topic.p NULL: every open connection. False without memory. */
bool ws_topic_deliver(struct ws_server *s, struct ws_ids except,
                      const struct ws_publication *p);

/* ---- called by the engine ---- */

/* To all who want it here. Returns to how many, or -1 without memory. */
int64_t ws_topic_give(struct ws_topics *ts, const struct ws_left_out *out,
                      struct ws_topic *t, struct ws_publication *p);

/* The topics of a server, from now on; NULL without memory. */
struct ws_topics *ws_topics_of(struct ws_server *s);

/* It is open: what is broadcast is for it too. */
void ws_topic_opened(struct ws_conn *c);

/* The server is gone: who was in its topics is told to have left, and nobody
 * hears anything any more. */
void ws_topics_stop(struct ws_server *s);

/* Nothing goes out any more, nor comes in. No connection is left, and nobody
 * who hears. */
void ws_topics_leave(struct ws_server *s);

/* The same, and all of it is given back. */
void ws_topics_free(struct ws_server *s);

#endif
