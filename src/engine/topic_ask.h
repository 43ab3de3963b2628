/* topic_ask.h: what may be asked of a topic: who has it, who is in it, what it
 * keeps. */
#ifndef EVWS_TOPIC_ASK_H
#define EVWS_TOPIC_ASK_H

#include "engine/topic.h"

/* Hands out those that have subscribed; the topic must not change meanwhile. */
void ws_topic_each(const struct ws_server *s, struct ws_slice name,
                   void (*each)(struct ws_conn *, void *), void *arg);

size_t ws_topic_count(const struct ws_server *s, struct ws_slice name);

/* ---- presence ---- */

/* The server among others, by a few letters at random, with a zero byte; NULL
 * without memory. */
const char *ws_topic_node(struct ws_server *s);

/* Who is in a topic; NULL: nobody. */
/* What has changed of who is there is told now. */
void ws_topic_settle_presence(struct ws_server *s);

/* Somebody has come or gone, in whatever process. False without memory. */
bool ws_topic_hear_of(struct ws_server *s, const struct ws_rumour *what);

const struct ws_presence *ws_topic_presence(const struct ws_server *s,
                                            struct ws_slice name);

/* May somebody get what is published to it? */
bool ws_topic_has_audience(const struct ws_server *s, struct ws_slice name);

/* ---- history ---- */

/* Where a topic is, and what is kept of it: found->from to found->top. False
 * without memory. */
bool ws_topic_position(struct ws_server *s, struct ws_slice name,
                       struct ws_found *found);

/* The message at an offset of the epoch that was found, for the moment; false
 * where it is not kept any more. */
bool ws_topic_message(const struct ws_server *s, struct ws_slice name,
                      const struct ws_found *found, uint64_t offset,
                      struct ws_publication *p);

/* A topic's history is forgotten: a new epoch. Who hears it is told, and views
 * are asked, by a publication that says so. WS_ERR_MEMORY. */
enum ws_err ws_topic_reset(struct ws_server *s, struct ws_slice name);

/* The same where the history is kept elsewhere. NULL, or why it cannot be. */
const char *ws_topic_reset_far(struct ws_server *s, struct ws_slice name);

#endif
