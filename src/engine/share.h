/* share.h: what the workers of one supervisor know of each other: how many
 * connections each of them has, and what each has counted, in memory that all
 * of them see. Nobody ever waits for anybody.
 *
 * The slots are the supervisor's to give: one for each process that lives, and
 * slot 0 for what those counted that have ended. */
#ifndef EVWS_SHARE_H
#define EVWS_SHARE_H

#include <stdatomic.h>

#include "base/slice.h"
#include "engine/server_base.h"
#include "engine/totals.h"

#define WS_SHARE_SLOTS 512
#define WS_SHARE_SERVERS 8 /* of a worker, each in the place of its socket */

/* What parts of scripts count, by name. */
#define WS_SHARE_NAMES 8  /* of a worker */
#define WS_SHARE_WORDS 14 /* of a name */

enum ws_share_state {
  WS_SHARE_FREE,
  WS_SHARE_STARTING,
  WS_SHARE_READY,
  WS_SHARE_RETIRING
};

struct ws_share_page;

struct ws_share {
  struct ws_share_page *page; /* NULL: this process has no part in it */
  int slot;                   /* this worker's; 0: the supervisor */
  uint32_t taken;             /* places of servers, a bit for each */
  bool warned;
  double copied; /* when the counters were, last; negative: never */
};

/* Who somebody is. */
struct ws_share_worker {
  enum ws_share_state state;
  uint32_t id, generation;
  uint64_t serial; /* no two processes have the same */
};

/* The descriptor of a new page, or of one that was inherited; it stays the
 * caller's. A negative errno. */
int ws_share_new(void);
int ws_share_open(struct ws_share *share, int fd, int slot);
void ws_share_close(struct ws_share *share);

/* ---- the supervisor's part ---- */

/* A slot's next owner; WS_SHARE_FREE: its counters are added to slot 0's. */
void ws_share_set(struct ws_share *share, int slot, struct ws_share_worker w);
struct ws_share_worker ws_share_get(const struct ws_share *share, int slot);
void ws_share_set_state(struct ws_share *share, int slot,
                        enum ws_share_state state);
void ws_share_count_restart(struct ws_share *share);

/* ---- everybody's ---- */

uint32_t ws_share_workers(const struct ws_share *share); /* that are ready */
uint64_t ws_share_restarts(const struct ws_share *share);

/* Has this worker the lowest number of those that are ready? Of two with the
 * same the newer one. */
bool ws_share_is_leader(const struct ws_share *share);

/* ---- a server's ---- */

/* It listens, and takes part from now on; one too many does not. wanted: the
 * place of its socket, from 0, or any other number. */
void ws_share_enter(struct ws_share *share, struct ws_server *s, int wanted);

/* What was published went to nobody of another worker: says so, once. */
void ws_share_warn_alone(struct ws_server *s);

/* It listens no more: nobody waits for it. */
void ws_share_deaf(const struct ws_server *s);

/* It has come to its end. */
void ws_share_leave(struct ws_server *s);

/* Its connections have become more or fewer. */
void ws_share_count(const struct ws_server *s);

/* How many connections the one of the others has that has the fewest; false:
 * there are no others. */
bool ws_share_least(const struct ws_server *s, uint64_t *least);

/* Its counters are copied to where others see them; queued: bytes that wait
 * for its peers. Is it time to? */
void ws_share_publish(struct ws_server *s, uint64_t queued);
bool ws_share_is_due(const struct ws_share *share, double now);

/* Adds what all others have counted for the servers of its place. */
void ws_share_add_others(const struct ws_server *s, struct ws_totals *sum);

/* ---- what is counted by name ---- */

/* For others to see: so many words, the first of which, gauges, are of this
 * moment; the others go on where this process does not. One name too many is
 * not taken. */
void ws_share_tell(const struct ws_share *share, struct ws_slice name,
                   int gauges, const uint64_t *words, int n);

/* Adds what all others have told of this name. */
void ws_share_add_told(const struct ws_share *share, struct ws_slice name,
                       uint64_t *words, int n);

/* ---- all workers ---- */

/* Connections of its place in each worker that lives: calls fn with the number
 * of the worker, several times for one that is being replaced. */
void ws_share_each(const struct ws_server *s,
                   void (*fn)(void *, uint32_t id, uint64_t open), void *arg);

#endif
