/* loop.c: the turn. It knows no libev: what is ready was linked into the
 * ready list by the provider, the clock is the seam's. */
#include "transport/loop.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/buf.h"
#include "transport/tls_context.h"

/* Rounds of jobs and late work in one turn; what is left then (jobs that
 * beget jobs) goes on in the next turn, after the descriptors. */
#define ROUNDS_MAX 64

/* A turn that began this late was held up: by a handler, or by the process
 * being stopped. Peers get as long to be heard, one second at most: there may
 * be more of them than one look at the descriptors shows. */
#define LATE 0.05
#define HOLD_MAX 1.0
#define BEGIN_PART 4   /* of a turn goes to what begins, */
#define BEGIN_MAX 0.25 /* but not more seconds */

#define WAKE_UNKNOWN (-2.0)

/* Counts the forks that lie behind this process, so that telling a child from
 * its parent costs no system call. */
static atomic_uint forks;
static atomic_bool has_children; /* or had */
static pthread_once_t counting = PTHREAD_ONCE_INIT;

static void in_parent(void) {
  atomic_store(&has_children, true);
}

static void in_child(void) {
  atomic_fetch_add(&forks, 1);
}

static void count_forks(void) {
  pthread_atfork(NULL, in_parent, in_child);
}

bool ws_loop_is_forked(const struct ws_loop *loop) {
  return atomic_load_explicit(&forks, memory_order_relaxed) != loop->forks;
}

void ws_loop_close(struct ws_loop *loop, int fd) {
  if (atomic_load_explicit(&has_children, memory_order_relaxed) &&
      !ws_loop_is_forked(loop))
    loop->io->ops->shutdown(loop->io, fd, true);
  loop->io->ops->close(loop->io, fd);
}

uint32_t ws_loop_tick(const struct ws_loop *loop, double when) {
  return (uint32_t)(int64_t)((when - loop->epoch) / WS_TICK);
}

static void read_clock(struct ws_loop *loop) {
  loop->now = loop->io->ops->now(loop->io);
  loop->tick = ws_loop_tick(loop, loop->now);
}

static void begin_again(struct ws_late *late) {
  WS_LIST_ENTRY(late, struct ws_loop, begun_late)->begun = 0;
}

void ws_loop_init(struct ws_loop *loop, struct ws_io *io) {
  memset(loop, 0, sizeof *loop);
  loop->io = io;
  ws_list_init(&loop->ready);
  ws_list_init(&loop->behind);
  ws_list_init(&loop->jobs);
  ws_list_init(&loop->late);
  ws_list_init(&loop->running);
  ws_list_init(&loop->lingers);
  ws_list_init(&loop->dead);
  ws_deflate_pool_init(&loop->deflate);
  loop->deflate.spent = &loop->spent;
  ws_list_init(&loop->begun_late.link);
  loop->begun_late.run = begin_again;
  loop->wake = -1;
  pthread_once(&counting, count_forks);
  loop->forks = atomic_load(&forks);
  loop->epoch = io->ops->now(io);
  read_clock(loop);
  ws_wheel_init(&loop->wheel, loop->tick);
}

static void free_dead(struct ws_loop *loop) {
  struct ws_list *e;
  while ((e = ws_list_shift(&loop->dead))) ws_mem_free(e);
}

void ws_loop_free(struct ws_loop *loop) {
  free_dead(loop);
  ws_heap_free(&loop->timers);
  ws_mem_free(loop->read_buffer);
  ws_mem_free(loop->cork);
  ws_mem_free(loop->tls_io);
  loop->tls_io = NULL;
  ws_mem_free(loop->tls_under);
  loop->tls_under = NULL;
  ws_tls_context_release(loop->tls_client);
  loop->tls_client = NULL;
  ws_deflate_pool_free(&loop->deflate);
  ws_buf_pool_free(&loop->pool);
  loop->read_buffer = loop->cork = NULL;
}

bool ws_loop_prepare(struct ws_loop *loop) {
  if (!loop->read_buffer) loop->read_buffer = ws_mem_alloc(WS_READ_BUFFER);
  if (!loop->cork) loop->cork = ws_mem_alloc(WS_CORK_BUFFER);
  return loop->read_buffer && loop->cork;
}

double ws_loop_now(struct ws_loop *loop) {
  return loop->io->ops->now(loop->io);
}

uint32_t ws_loop_tick_now(struct ws_loop *loop) {
  return loop->in_turn ? loop->tick : ws_loop_tick(loop, ws_loop_now(loop));
}

bool ws_loop_is_busy(const struct ws_loop *loop) {
  return !ws_list_is_empty(&loop->ready) || !ws_list_is_empty(&loop->jobs) ||
         !ws_list_is_empty(&loop->late);
}

/* What is added to the list meanwhile waits for its turn. */
static void begin_phase(struct ws_loop *loop, struct ws_list *phase) {
  ws_list_splice(&loop->running, phase);
  loop->phase = phase;
}

void ws_loop_look(struct ws_loop *loop) {
  if (loop->spent < WS_TURN_BYTES &&
      ws_loop_now(loop) - loop->now < WS_TURN_SECONDS)
    return;
  loop->is_spent = true;
  if (ws_list_is_empty(&loop->running)) {
    if (loop->phase != &loop->ready) loop->is_cut = true; /* no more rounds */
    return;
  }
  ws_list_splice(&loop->running, loop->phase);
  ws_list_splice(loop->phase, &loop->running);
  loop->is_cut = true;
}

double ws_loop_beginning(const struct ws_loop *loop) {
  double part = fmin(loop->took / BEGIN_PART, BEGIN_MAX);
  return fmax(part, WS_TURN_SECONDS);
}

bool ws_loop_begins(struct ws_loop *loop, struct ws_watch *w, uint8_t got,
                    uint32_t cost) {
  ws_loop_late(loop, &loop->begun_late);
  if (loop->begun < ws_loop_beginning(loop) * 1e6) {
    loop->begun += cost;
    return true;
  }
  w->got |= got;
  if (!ws_list_is_linked(&w->ready)) ws_list_append(&loop->ready, &w->ready);
  loop->is_cut = true; /* it has not been heard */
  return false;
}

void ws_loop_begun(struct ws_loop *loop, double since, uint32_t cost) {
  double took = fmin(ws_loop_now(loop) - since, BEGIN_MAX) * 1e6;
  if (took > cost) loop->begun += (uint32_t)took - cost;
}

static void spend_anew(struct ws_loop *loop) {
  loop->spent = 0;
  loop->is_spent = false;
}

static void run_ready(struct ws_loop *loop) {
  struct ws_list *e;
  spend_anew(loop);
  begin_phase(loop, &loop->ready);
  while ((e = ws_list_shift(&loop->running))) {
    struct ws_watch *w = WS_LIST_ENTRY(e, struct ws_watch, ready);
    w->fn(w);
  }
  ws_list_splice(&loop->ready, &loop->behind);
}

static void run_timers(struct ws_loop *loop) {
  double now = loop->now; /* a timer set by a timer waits for its turn */
  uint32_t most = loop->timers.n;
  struct ws_timer *t;
  while (most-- && (t = ws_heap_first(&loop->timers)) && t->at <= now) {
    ws_heap_clear(&loop->timers, t);
    t->fn(t);
  }
}

static void run_jobs(struct ws_loop *loop) {
  struct ws_list *e;
  begin_phase(loop, &loop->jobs);
  while ((e = ws_list_shift(&loop->running))) {
    struct ws_job *job = WS_LIST_ENTRY(e, struct ws_job, link);
    job->run(job);
  }
}

static void run_late(struct ws_loop *loop) {
  struct ws_list *e;
  begin_phase(loop, &loop->late);
  while ((e = ws_list_shift(&loop->running))) {
    struct ws_late *late = WS_LIST_ENTRY(e, struct ws_late, link);
    late->run(late);
  }
}

double ws_loop_wake(const struct ws_loop *loop) {
  const struct ws_timer *t = ws_heap_first(&loop->timers);
  int64_t ticks = ws_wheel_next(&loop->wheel);
  double wake = -1;
  if (ws_loop_is_busy(loop)) return loop->now;
  if (t) wake = t->at;
  if (ticks >= 0) {
    int64_t tick = (int64_t)((loop->now - loop->epoch) / WS_TICK) + ticks;
    tick -= loop->tick - loop->wheel.tick;
    /* a little into the tick, so that rounding cannot make it early */
    double at = loop->epoch + ((double)tick + 0.05) * WS_TICK;
    if (at < loop->hold) at = loop->hold;
    if (wake < 0 || at < wake) wake = at;
  }
  return wake;
}

bool ws_loop_is_quiet(const struct ws_loop *loop) {
  const struct ws_heap *h = &loop->timers;
  return h->n_quiet && h->n == h->n_quiet && !ws_loop_is_busy(loop) &&
         ws_wheel_next(&loop->wheel) < 0;
}

static void set_wake(struct ws_loop *loop) {
  double wake = ws_loop_wake(loop);
  bool is_quiet = ws_loop_is_quiet(loop);
  if (wake == loop->wake && is_quiet == loop->was_quiet && !loop->rang) return;
  loop->wake = wake;
  loop->was_quiet = is_quiet;
  loop->io->ops->wake_at(loop->io, wake);
}

/* Outside of a turn nothing else would take the new time to the driver. */
static void changed(struct ws_loop *loop) {
  if (!loop->in_turn) set_wake(loop);
}

/* All rounds share what may be spent; but jobs that took all of it leave as
 * much to the late work, or it would wait for ever. */
static void settle(struct ws_loop *loop) {
  int rounds = ROUNDS_MAX;
  loop->is_cut = false;
  spend_anew(loop);
  while (rounds-- && !loop->is_cut &&
         (!ws_list_is_empty(&loop->jobs) || !ws_list_is_empty(&loop->late))) {
    run_jobs(loop);
    if (loop->is_cut) spend_anew(loop);
    run_late(loop);
  }
  free_dead(loop);
}

static void held_up(struct ws_loop *loop, double late) {
  if (loop->was_held) return; /* else who is always late would never judge */
  loop->hold = loop->now + fmin(late, HOLD_MAX);
  loop->was_held = true;
}

/* Those that were due when the last turn ended, before the descriptors were
 * looked at for this one. What the events have brought may still move them. */
static void run_deadlines(struct ws_loop *loop, uint32_t tick) {
  struct ws_list due, *e;
  if (loop->now < loop->hold) return;
  loop->was_held = false;
  ws_list_init(&due);
  ws_wheel_advance(&loop->wheel, tick, &due);
  if (ws_list_is_empty(&due)) return;
  settle(loop);
  while ((e = ws_list_shift(&due)))
    loop->on_deadline(WS_LIST_ENTRY(e, struct ws_deadline, link));
}

/* Is there anything behind the descriptors that takes time? */
static bool has_more(const struct ws_loop *loop) {
  const struct ws_timer *t = ws_heap_first(&loop->timers);
  return (t && t->at <= loop->now) || !ws_list_is_empty(&loop->jobs) ||
         !ws_list_is_empty(&loop->late);
}

/* Without timers and tasks what was read for the deadlines tells it: a turn
 * that only echoes costs no further look at the clock. */
static void end_turn(struct ws_loop *loop, double began, bool has_run) {
  double now = has_run ? loop->io->ops->now(loop->io) : loop->now;
  loop->took = now - began;
  ws_pace_turn(&loop->pace, loop->took);
}

void ws_loop_turn(struct ws_loop *loop) {
  assert(!loop->in_turn);
  double wake = loop->wake;
  uint32_t looked = loop->tick;
  loop->in_turn = true;
  read_clock(loop);
  if (loop->rang && wake >= 0 && loop->now > wake)
    ws_pace_late(&loop->pace, loop->now, loop->now - wake);
  if (wake >= 0 && loop->now > wake + LATE) held_up(loop, loop->now - wake);
  if (loop->rang) loop->wake = WAKE_UNKNOWN;
  loop->rang = false;
  double began = loop->now;
  loop->is_cut = false;
  run_ready(loop);
  read_clock(loop);
  if (loop->is_cut) held_up(loop, HOLD_MAX); /* not everybody was heard */
  run_deadlines(loop, looked);
  bool has_run = has_more(loop);
  run_timers(loop);
  settle(loop);
  end_turn(loop, began, has_run);
  loop->in_turn = false;
  set_wake(loop);
}

void ws_loop_again(struct ws_loop *loop, struct ws_watch *w) {
  w->got |= WS_AGAIN;
  if (!ws_list_is_linked(&w->ready)) ws_list_append(&loop->ready, &w->ready);
  changed(loop);
}

void ws_loop_behind(struct ws_loop *loop, struct ws_watch *w) {
  w->got |= WS_AGAIN;
  ws_list_remove(&w->ready);
  ws_list_append(&loop->behind, &w->ready);
}

void ws_loop_deaf(struct ws_loop *loop, struct ws_watch *w, int error) {
  w->got |= WS_DEAF;
  w->error = (uint16_t)error;
  if (!ws_list_is_linked(&w->ready)) ws_list_append(&loop->ready, &w->ready);
  changed(loop);
}

void ws_loop_watch(struct ws_loop *loop, struct ws_watch *w, uint8_t want) {
  if (w->want == want) return;
  w->want = want;
  loop->io->ops->watch(loop->io, w, want);
}

void ws_loop_unwatch(struct ws_loop *loop, struct ws_watch *w) {
  ws_loop_watch(loop, w, 0);
  ws_list_remove(&w->ready);
  w->got = 0;
}

void ws_loop_job(struct ws_loop *loop, struct ws_job *job) {
  if (ws_list_is_linked(&job->link)) return;
  ws_list_append(&loop->jobs, &job->link);
  changed(loop);
}

void ws_loop_late(struct ws_loop *loop, struct ws_late *late) {
  if (ws_list_is_linked(&late->link)) return;
  ws_list_append(&loop->late, &late->link);
  changed(loop);
}

void ws_loop_free_later(struct ws_loop *loop, void *p) {
  struct ws_list *e = p;
  ws_list_init(e);
  ws_list_append(&loop->dead, e);
  if (!loop->in_turn) free_dead(loop);
}

bool ws_loop_timer(struct ws_loop *loop, struct ws_timer *t, double seconds) {
  if (!ws_heap_set(&loop->timers, t, ws_loop_now(loop) + seconds)) return false;
  changed(loop);
  return true;
}

/* One that is not set may be of a loop that has ended. */
void ws_loop_timer_stop(struct ws_loop *loop, struct ws_timer *t) {
  if (!t->index) return;
  ws_heap_clear(&loop->timers, t);
  changed(loop);
}

void ws_loop_timer_quiet(struct ws_loop *loop, struct ws_timer *t, bool on) {
  if (t->is_quiet == on) return;
  ws_heap_quiet(&loop->timers, t, on);
  if (t->index) changed(loop);
}

void ws_loop_deadline(struct ws_loop *loop, struct ws_deadline *d,
                      uint32_t tick) {
  ws_wheel_set(&loop->wheel, d, tick);
  changed(loop);
}

uint32_t ws_loop_ticks(double seconds) {
  double ticks = ceil(seconds / WS_TICK);
  if (!(ticks > 1)) return 1;
  return ticks < WS_TICKS_MAX ? (uint32_t)ticks : WS_TICKS_MAX;
}
