/* history.h: topics that keep their last messages, and where somebody is who
 * comes back to one. */
#ifndef EVWS_HISTORY_H
#define EVWS_HISTORY_H

#include "engine/view.h"

/* A position: all up to this offset in this epoch. */
struct ws_position {
  uint64_t offset;
  struct ws_slice epoch; /* n 0: whichever it is */
};

/* What is found out for who joins. */
struct ws_found {
  bool is_kept;
  bool is_recovered; /* all it has missed is there */
  uint64_t from;     /* the first offset that it has missed; top + 1: none */
  uint64_t top;
  char epoch[WS_EPOCH_LEN];
};

/* The topic of this name, made where there is none, with a history where the
 * server's rules give it one; NULL without memory. */
struct ws_topic *ws_history_topic(struct ws_topics *ts, struct ws_slice name);

/* A message as the next of the topic's history, as ws_kept_add. */
bool ws_history_add(struct ws_topic *t, struct ws_publication *p,
                    struct ws_part *part);

/* What somebody missed who was there, or NULL: at no position. */
void ws_history_find(const struct ws_topic *t, const struct ws_position *since,
                     struct ws_found *found);

/* All that was found to be missed, to who has just joined t, which is the
 * topic or a view of it. */
void ws_history_repeat(struct ws_topics *ts, struct ws_conn *c,
                       const struct ws_topic *t, const struct ws_found *found);

/* Forgets what a topic keeps: a new epoch. False without random bytes. */
bool ws_history_reset(struct ws_topics *ts, struct ws_topic *t);

/* Nothing is kept any more. */
void ws_history_stop(struct ws_topics *ts);

#endif
