/* loop.h: one turn of the event loop, told in terms of the seam alone.
 *
 *   ready list -> events -> deadlines and timers -> jobs -> flush and late
 *   work -> deferred frees
 *
 * A deadline is about a peer: it is judged when everything that the peer has
 * done in time is read, and what was written for it has left. So the turn that
 * judges it has to have looked at the descriptors after it was due, and when
 * the loop itself was late there are more such turns first.
 *
 * A turn never waits and turns never nest. Whoever drives (libev in ev.c, a
 * simulation) calls ws_loop_turn whenever something may be ready. */
#ifndef EVWS_LOOP_H
#define EVWS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "protocol/deflate.h"
#include "transport/io.h"
#include "transport/pace.h"
#include "transport/wheel.h"

#define WS_READ_BUFFER (256 * 1024)
/* Answers to all that one read brought, and to a message that it completed,
 * fit: an echo needs one send a read. */
#define WS_CORK_BUFFER (WS_READ_BUFFER + 65 * 1024)

/* Work for this turn, after the events and deadlines. */
struct ws_job {
  struct ws_list link;
  void (*run)(struct ws_job *);
};

/* Work for the end of the turn: flushing, then what depends on it. It may be
 * asked for again while it runs. */
struct ws_late {
  struct ws_list link;
  void (*run)(struct ws_late *);
};

struct ws_stream;
struct ws_tls_context;
struct ws_tls_io;

/* What was read for one stream and is being gone through. */
struct ws_input {
  struct ws_stream *owner; /* NULL: nothing is being read */
  uint8_t *p;
  size_t n;
  uint64_t budget; /* messages that may be taken in this turn */
  bool is_denied;  /* nothing was taken, for others have inflated so much */
};

/* The rest of a block of random bytes (random.c). What was given out is
 * wiped. */
#define WS_RANDOM_BLOCK 1024 /* bytes */
struct ws_random {
  size_t left;
  uint8_t block[WS_RANDOM_BLOCK];
};

struct ws_loop {
  struct ws_io *io;
  struct ws_list ready;  /* watches */
  struct ws_list behind; /* and those that come behind all others, meanwhile */
  struct ws_list jobs;
  struct ws_list late;
  struct ws_list running; /* of one of these three, what has its turn still */
  struct ws_list *phase;  /* which one */
  size_t spent;           /* bytes that the kernel was handed, and the work of
                           * inflating: for descriptors, then for the rest */
  bool is_spent;          /* as many as a phase may have, or its time */
  bool is_cut;            /* a phase of this turn was ended by that */
  double took;            /* seconds, the last turn */
  uint32_t begun;         /* microseconds spent on what is not open yet */
  struct ws_late begun_late;
  struct ws_list lingers; /* linger.c: descriptors on their way out, */
  size_t n_lingers;       /* the oldest first; so many */
  struct ws_list dead;    /* memory to give back at the end of the turn */
  struct ws_wheel wheel;
  void (*on_deadline)(struct ws_deadline *); /* all of them are connections */
  struct ws_heap timers;

  uint8_t *read_buffer; /* one for all streams; there from the first use */
  uint8_t *cork;        /* likewise */
  size_t cork_len;
  struct ws_stream *corked; /* whose bytes the cork holds */
  struct ws_input input;

  struct ws_tls_io *tls_io;    /* buffers; there from the first use of TLS */
  struct ws_tls_io *tls_under; /* and of TLS that carries TLS */
  struct ws_tls_context *tls_client; /* of clients with no settings */

  struct ws_buf_pool pool; /* of large messages' buffers */
  struct ws_random random;
  struct ws_deflate_pool deflate;

  double now, epoch; /* the turn's time; the wheel's tick 0 */
  double wake;       /* what wake_at was last told, negative for nothing */
  bool was_quiet;    /* and whether it is for quiet timers alone */
  uint32_t tick;     /* now, in ticks */
  double hold;       /* no deadline is judged before this time */
  bool was_held;     /* and none was since it was set */
  bool in_turn;
  bool rang;        /* set by the provider: what wake_at asked for has come */
  uint64_t last_id; /* of a connection, accepted or connected */
  unsigned forks;   /* of the process, when the loop was made */
  struct ws_pace pace;
};

void ws_loop_init(struct ws_loop *loop, struct ws_io *io);

/* Runs what is deferred and gives everything back. No watch, timer or
 * deadline may be left. */
void ws_loop_free(struct ws_loop *loop);

/* Allocates read_buffer and cork if that was not done yet. */
bool ws_loop_prepare(struct ws_loop *loop);

void ws_loop_turn(struct ws_loop *loop);

/* Is this a forked child of the process that made the loop? It must not touch
 * what it has inherited: descriptors may be closed, nothing else. */
bool ws_loop_is_forked(const struct ws_loop *loop);

/* Closes a connection, or a listener, of ours: also where a child that this
 * process has forked has it too, which else would keep it open. */
void ws_loop_close(struct ws_loop *loop, int fd);

/* The clock, read afresh. */
double ws_loop_now(struct ws_loop *loop);

/* Is there work that waits for no event? */
bool ws_loop_is_busy(const struct ws_loop *loop);

/* When a turn is due at the latest, on the loop's clock; negative: whenever
 * something is ready. */
double ws_loop_wake(const struct ws_loop *loop);

/* Is that for quiet timers alone? */
bool ws_loop_is_quiet(const struct ws_loop *loop);

/* Calls w->fn in the next turn with WS_AGAIN in w->got. */
void ws_loop_again(struct ws_loop *loop, struct ws_watch *w);

/* The same, behind all that this turn has not come to the end of. */
void ws_loop_behind(struct ws_loop *loop, struct ws_watch *w);

/* For the provider: w cannot be watched, for this errno. */
void ws_loop_deaf(struct ws_loop *loop, struct ws_watch *w, int error);

/* Starts, changes, ends watching. Stopping also takes w off the ready list. */
void ws_loop_watch(struct ws_loop *loop, struct ws_watch *w, uint8_t want);
void ws_loop_unwatch(struct ws_loop *loop, struct ws_watch *w);

void ws_loop_job(struct ws_loop *loop, struct ws_job *job);
void ws_loop_late(struct ws_loop *loop, struct ws_late *late);

/* The kernel was handed a lot of bytes, which takes its time. Beyond
 * WS_TURN_BYTES, or beyond WS_TURN_LOOK when WS_TURN_SECONDS have passed, those
 * that have not had their turn in this phase (descriptors, jobs, late work)
 * have it first in the next one. */
#define WS_TURN_BYTES (2 * 1024 * 1024)
#define WS_TURN_LOOK (256 * 1024)
#define WS_TURN_SECONDS 0.002
#define WS_CALL_BYTES 1024 /* whose copy takes as long as a call does */
void ws_loop_look(struct ws_loop *loop);
static inline void ws_loop_spend(struct ws_loop *loop, size_t bytes) {
  loop->spent += bytes;
  if (loop->spent >= WS_TURN_LOOK) ws_loop_look(loop);
}

/* What begins (connections, handshakes, requests) leaves most of a turn to
 * those who are connected: so many seconds may go to it, of long turns a part.
 * Else who comes faster than that would be late for ever. */
double ws_loop_beginning(const struct ws_loop *loop);

/* May it go on now, for some `cost` microseconds? Otherwise the watch, which is
 * ready for `got`, has its turn in the next one. */
bool ws_loop_begins(struct ws_loop *loop, struct ws_watch *w, uint8_t got,
                    uint32_t cost);

/* It has gone on since then: what that took beyond its cost counts as well. */
void ws_loop_begun(struct ws_loop *loop, double since, uint32_t cost);

/* Frees memory from ws_mem_alloc (at least sizeof(struct ws_list)) at the end
 * of the turn, when nothing on the C stack can know it any more. */
void ws_loop_free_later(struct ws_loop *loop, void *p);

/* Sets a timer `seconds` from now, on the clock read afresh. */
bool ws_loop_timer(struct ws_loop *loop, struct ws_timer *t, double seconds);
void ws_loop_timer_stop(struct ws_loop *loop, struct ws_timer *t);

/* A quiet one keeps nobody driving the loop; it may become that while it is
 * set. */
void ws_loop_timer_quiet(struct ws_loop *loop, struct ws_timer *t, bool on);

/* Sets a deadline, in ticks of loop->tick's count. */
void ws_loop_deadline(struct ws_loop *loop, struct ws_deadline *d,
                      uint32_t tick);

/* The tick of this moment: outside of a turn the loop's own is old. */
uint32_t ws_loop_tick_now(struct ws_loop *loop);

/* A time of the loop's clock as a tick. */
uint32_t ws_loop_tick(const struct ws_loop *loop, double when);

/* Seconds to ticks, rounded up, at least 1. */
uint32_t ws_loop_ticks(double seconds);

#endif
