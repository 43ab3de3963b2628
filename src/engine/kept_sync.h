/* kept_sync.h: topics whose history is kept elsewhere. Each process has a copy
 * of it, which is in step with the original or waits until it is: what comes
 * live is given on only where nothing is missing before it, and what is missing
 * is read. */
#ifndef EVWS_KEPT_SYNC_H
#define EVWS_KEPT_SYNC_H

#include "engine/topic.h"

/* A message with its position comes from there. False: it is of no topic that
 * has a history here. */
bool ws_sync_live(struct ws_server *s, struct ws_ids except,
                  const struct ws_publication *p);

/* Somebody comes who has been told of more than the copy holds, by another
 * process: what is on its way here is read first. */
void ws_sync_reach(struct ws_server *s, struct ws_slice name,
                   const struct ws_position *since);

/* The copy of a topic; NULL: there is none. */
struct ws_kept *ws_sync_copy(const struct ws_server *s, struct ws_slice name);

/* Has somebody come to it, and nobody asked yet where it is? */
bool ws_sync_is_new(const struct ws_server *s, struct ws_slice name);

/* What is known here of a topic whose rest is read now, the number-th time:
 * where it is, and the rule. NULL: nobody wants it. */
struct ws_kept *ws_sync_wants(struct ws_server *s, struct ws_slice name,
                              uint64_t number);

/* Is that for those who want it now? What was read for others, who have left,
 * does not say where it was when somebody came. */
bool ws_sync_is_read(const struct ws_server *s, struct ws_slice name,
                     uint64_t number);

/* What was read: first the epoch and the last offset there, then the messages
 * behind what was known, by their offsets, then that this was all. A message
 * tells whether it was a new one. */
void ws_sync_begin(struct ws_server *s, struct ws_slice name,
                   struct ws_slice epoch, uint64_t top);
bool ws_sync_message(struct ws_server *s, struct ws_ids except,
                     const struct ws_publication *p);
void ws_sync_end(struct ws_server *s, struct ws_slice name);

/* Nothing of what comes live is to be trusted to be all: of the topics for
 * which `is_it` says so. */
void ws_sync_lost(struct ws_server *s,
                  bool (*is_it)(struct ws_slice name, void *arg), void *arg);

/* Has the topic's history to be read before anybody can be told of it? */
bool ws_sync_is_due(const struct ws_server *s, struct ws_slice name);

/* Somebody waits for that, who wants the topic meanwhile. False without
 * memory. */
bool ws_sync_hold(struct ws_server *s, struct ws_slice name);
void ws_sync_release(struct ws_server *s, struct ws_slice name);

/* It could not be read; it may be later. */
void ws_sync_refused(const struct ws_server *s, struct ws_slice name);
bool ws_sync_is_refused(const struct ws_server *s, struct ws_slice name);

#endif
