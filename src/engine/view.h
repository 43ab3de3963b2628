/* view.h: how a topic's messages reach those who see it in a view. */
#ifndef EVWS_VIEW_H
#define EVWS_VIEW_H

#include "engine/publish.h"
#include "engine/topic_table.h"

/* Who does not get a message: connections, or the ids of some where it was
 * published elsewhere. */
struct ws_left_out {
  struct ws_except except;
  struct ws_ids ids;
  bool is_foreign;
};

/* The message as each view of the topic that has members makes it, to these.
 * Returns to how many; those whose queue is full are not among them. Who
 * cannot get it for want of memory is cut off. */
int64_t ws_view_publish(struct ws_topics *ts, const struct ws_left_out *out,
                        struct ws_topic *t, const struct ws_publication *p);

#endif
