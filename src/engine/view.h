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

/* A message to the members of a topic, or of a view, itself. Returns to how
 * many, or -1 without memory. */
int64_t ws_view_give(struct ws_topics *ts, const struct ws_left_out *out,
                     struct ws_topic *t, const struct ws_bytes *bytes);

/* The message as each view of the topic that has members makes it, to these.
 * Returns to how many; those whose queue is full are not among them. Who
 * cannot get it for want of memory is cut off. */
int64_t ws_view_publish(struct ws_topics *ts, const struct ws_left_out *out,
                        struct ws_topic *t, const struct ws_publication *p);

/* A message that was published before, to one who has joined the topic or a
 * view of it; ready: its frame as it was published. */
void ws_view_repeat(struct ws_topics *ts, struct ws_conn *c,
                    const struct ws_topic *t, const struct ws_publication *p,
                    const struct ws_part *ready);

/* Whoever has the topic, or this view of it, is cut off: a hole would not be
 * noticed by who counts on there being none. */
void ws_view_cut(struct ws_topic *t);

#endif
