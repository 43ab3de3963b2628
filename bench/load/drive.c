/* drive.c: opens the connections, asks, waits, and measures in between. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "conn.h"

#define EVENTS 1024

static uint64_t progress(const struct load *l) {
  return l->answered + l->opened + l->ended;
}

/* One look at the kernel, for at most so many milliseconds. */
static void look(struct load *l, int timeout) {
  static struct epoll_event events[EVENTS];
  int n = epoll_wait(l->epoll, events, EVENTS, timeout);
  if (n < 0 && errno != EINTR) fail("epoll: %s", strerror(errno));
  l->now = clock_now();
  for (int i = 0; i < n; i++)
    conn_event(l, &l->conns[events[i].data.u32], events[i].events);
}

/* The same, where something has to come. */
static void await(struct load *l, int timeout) {
  static uint64_t seen, since;
  look(l, timeout);
  if (progress(l) != seen || since == 0) {
    seen = progress(l);
    since = l->now;
  } else if ((double)(l->now - since) > l->plan.stall * 1e9) {
    fail("nothing came for %g s (%llu of %llu connections are open, %llu "
         "answers to %llu messages so far)",
         l->plan.stall, (unsigned long long)l->opened,
         (unsigned long long)l->begun, (unsigned long long)l->answered,
         (unsigned long long)l->asked);
  }
}

static void take_sample(const struct load *l, struct sample *s) {
  sample_take(s, &l->plan.server);
  s->answered = l->answered;
  s->opened = l->opened;
}

static void open_all(struct load *l) {
  while (l->opened < l->plan.conns) {
    while (l->begun < l->plan.conns && l->begun - l->opened < l->plan.burst)
      conn_start(l, &l->conns[l->begun]);
    await(l, 20);
  }
}

/* ---- for a time ---- */

/* What is due by now, one after the other over all connections that have room
 * for one more. */
static void ask_on_schedule(struct load *l, uint64_t *next) {
  static unsigned turn;
  uint64_t step = (uint64_t)(1e9 / l->plan.rate);
  while (l->now >= *next) {
    unsigned tried = 0;
    while (tried < l->plan.conns &&
           l->conns[turn].in_flight >= l->plan.in_flight) {
      turn = (turn + 1) % l->plan.conns;
      tried++;
    }
    if (tried == l->plan.conns) return;
    conn_ask(l, &l->conns[turn], 1, *next);
    turn = (turn + 1) % l->plan.conns;
    *next += step;
  }
}

static void start_anew(struct load *l) {
  for (unsigned i = 0; i < l->plan.conns; i++)
    if (l->conns[i].state == CLOSED) conn_start(l, &l->conns[i]);
}

static void go_on_until(struct load *l, uint64_t end) {
  static uint64_t next;
  if (next == 0) next = l->now;
  while (l->now < end) {
    await(l, l->plan.rate > 0 ? 0 : 20);
    if (l->plan.rate > 0) ask_on_schedule(l, &next);
    if (l->plan.mode == HANDSHAKE) start_anew(l);
  }
}

/* Every answer that is still to come has to come. */
static void drain(struct load *l) {
  uint64_t members = l->plan.mode == BROADCAST ? l->plan.conns : 1;
  while (l->answered < l->asked * members) await(l, 20);
  if (l->answered > l->asked * members) fail("more answers than messages");
}

static void drive_for_a_time(struct load *l, struct measured *m) {
  unsigned senders = l->plan.mode == BROADCAST ? 1 : l->plan.conns;
  l->now = clock_now();
  l->is_refilling = l->plan.rate == 0 && l->plan.mode != HANDSHAKE;
  for (unsigned i = 0; l->is_refilling && i < senders; i++)
    conn_ask(l, &l->conns[i], l->plan.in_flight, l->now);
  go_on_until(l, l->now + (uint64_t)(l->plan.warmup * 1e9));
  take_sample(l, &m->from);
  l->is_measuring = true;
  go_on_until(l, m->from.at + (uint64_t)(l->plan.seconds * 1e9));
  l->is_measuring = false;
  take_sample(l, &m->to);
  l->is_refilling = false;
  if (l->plan.mode != HANDSHAKE) drain(l);
}

/* ---- in lockstep ---- */

/* Each batch leaves in one write and is waited for, so that what the server
 * does depends on nothing but their number. */
static void drive_in_step(struct load *l) {
  for (uint64_t i = 0; i < l->plan.steps; i++) {
    struct conn *c = &l->conns[0];
    if (l->plan.mode == ECHO) c = &l->conns[i % l->plan.conns];
    if (l->plan.mode == HANDSHAKE) {
      conn_start(l, c);
      while (c->state != CLOSED) await(l, 20);
    } else {
      conn_ask(l, c, l->plan.in_flight, clock_now());
      drain(l);
    }
  }
}

static void drive_idle(struct load *l, struct measured *m) {
  take_sample(l, &m->from);
  open_all(l);
  uint64_t end = clock_now() + (uint64_t)(l->plan.seconds * 1e9);
  do look(l, 20);
  while (l->now < end);
  take_sample(l, &m->to);
}

void drive(struct load *l) {
  struct measured m = {0};
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (l->epoll < 0) fail("epoll: %s", strerror(errno));
  if (l->plan.mode == IDLE) {
    drive_idle(l, &m);
  } else {
    if (l->plan.mode != HANDSHAKE) open_all(l);
    take_sample(l, &m.from);
    if (l->plan.steps > 0)
      drive_in_step(l);
    else
      drive_for_a_time(l, &m);
    if (l->plan.steps > 0) take_sample(l, &m.to);
  }
  report(l, &m);
}
