/* topic_log.h: the log of what is published in a turn, for publish.c. */
#ifndef EVWS_TOPIC_LOG_H
#define EVWS_TOPIC_LOG_H

#include "engine/topic_table.h"

/* A message, perhaps framed already. */
struct ws_bytes {
  const struct ws_part *ready; /* NULL: it is not */
  struct ws_slice message;
  uint8_t opcode;
};

/* A message to a topic, as the last entry; NULL without memory. */
struct ws_entry *ws_topic_log_append(struct ws_topics *ts, struct ws_topic *t,
                                     const struct ws_bytes *bytes);

/* A message as a frame of its own, in no entry: the caller holds a count of its
 * block. False without memory. */
bool ws_topic_log_frame(struct ws_topics *ts, struct ws_part *part,
                        uint8_t opcode, struct ws_slice message);

/* The message as a route with these settings wants it compressed, made for
 * the first one who does; NULL where there is none. */
const struct ws_part *ws_topic_log_packed(struct ws_topics *ts,
                                          struct ws_entry *e,
                                          const struct ws_protocol_env *env);

/* The entries from `from` on that a member's topics have, in order, into
 * ts->mine; their number. */
size_t ws_topic_log_gather(struct ws_topics *ts, const struct ws_member *m,
                           size_t from);

/* Everybody has what is in it: it begins anew. */
void ws_topic_log_clear(struct ws_topics *ts);

/* Gives back its memory. */
void ws_topic_log_free(struct ws_topics *ts);

#endif
