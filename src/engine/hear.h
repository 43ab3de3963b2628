/* hear.h: functions that get what is published to a topic, beside its
 * subscribers. */
#ifndef EVWS_HEAR_H
#define EVWS_HEAR_H

#include "engine/topic_table.h"

/* Somebody who hears a topic, in the host's memory. A zeroed one hears
 * nothing. */
struct ws_hearer {
  struct ws_list link; /* of the topic */
  struct ws_server *server;
  struct ws_topic *topic; /* NULL: none */
  uint64_t heard;         /* all up to this one */
  bool is_here;           /* what is published elsewhere is not for it */
};

/* From now on host->heard is called for what is published to the topic, in a
 * later turn or in this one behind what is going on, one after the other in
 * the order of the publishes. is_here is set. False without memory. */
bool ws_hear_start(struct ws_topics *ts, struct ws_topic *t,
                   struct ws_hearer *h);

/* And now no more, not even what was published before. */
void ws_hear_stop(struct ws_hearer *h);

/* A message for all who hear the topic, in two steps: NULL without memory;
 * dropped, or told, when it has its position. */
struct ws_heard *ws_hear_take(const struct ws_topic *t,
                              const struct ws_publication *p);
void ws_hear_drop(struct ws_heard *m);
void ws_hear_tell(struct ws_topics *ts, struct ws_heard *m,
                  const struct ws_publication *p);

void ws_hear_init(struct ws_topics *ts);

/* Nobody hears anything any more; host->deaf is called. */
void ws_hear_free(struct ws_topics *ts);

#endif
