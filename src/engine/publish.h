/* publish.h: the log of what is published in a turn, for topic.c. */
#ifndef EVWS_PUBLISH_H
#define EVWS_PUBLISH_H

#include "engine/carrier.h"
#include "engine/conn_base.h"
#include "engine/topic_log.h"

/* Ids of connections, sorted, each once. */
struct ws_ids {
  const uint64_t *list;
  size_t n;
};

/* Sends a message to the subscribers of a topic but for some, as
 * ws_topic_publish says. */
int64_t ws_publish(struct ws_topics *ts, struct ws_except except,
                   struct ws_topic *t, const struct ws_bytes *bytes);

/* The same for what was published elsewhere. False without memory. */
bool ws_publish_foreign(struct ws_topics *ts, struct ws_ids except,
                        struct ws_topic *t, const struct ws_bytes *bytes);

/* A frame to a member that is caught up, full queue or not. */
void ws_publish_give(struct ws_conn *c, const struct ws_part *p);

/* What was published for a member is sent or queued now. */
void ws_publish_catch_up(struct ws_conn *c);

/* The kernel refuses its bytes or takes them again, a writer was opened or has
 * ended. */
void ws_publish_note(struct ws_conn *c);

/* The end of the turn. */
void ws_publish_late(struct ws_late *late);

#endif
