/* ev.c: the only file that includes ev.h. An ev_io in each watch only links
 * the watch into the ready list; an ev_check of the lowest priority runs the
 * turn when all of them have; one ev_timer stands for the next deadline. No
 * Lua and no connection code ever runs inside of a libev callback but the
 * turn, and nothing may leave that by longjmp. */
#include <errno.h>
#include <ev.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/reserve.h"
#include "transport/driver.h"
#include "transport/io_kernel.h"
#include "transport/standard.h"
#include "transport/wakefd.h"

#define COVERED_FIRST 64 /* watchers and descriptors, before there is any */

struct caught {
  ev_signal watcher;
  struct sigaction before;
  bool is_on;
};

struct ws_ev {
  struct ws_driver driver; /* first */
  struct ws_io io;
  struct ws_io_ops ops;
  struct ev_loop *ev;
  struct ws_loop *loop;
  void (*turn)(void *);
  void *arg;
  ev_check check;
  ev_timer timer;
  struct caught sigint, sigterm;
  void (*on_signal)(void *, int);
  int catching;
  bool is_default;
  bool is_muted; /* no turn for now */
  bool is_quiet; /* the timer is set for quiet ones alone */

  /* for a foreign loop, once it has asked */
  struct ws_wakefd wakefd;
  ev_check first; /* of the highest priority: counts what runs after it */
  double when;    /* what wake_at was last told */
  bool is_stale;  /* the kernel does not know all that is watched */
  bool is_stepping, has_run;

  unsigned watched; /* watchers of descriptors */
  unsigned covered; /* so many, of descriptors below covered_fds, can */
  int covered_fds;  /* make libev ask for no more than the reserve has */
};

static void release_one(struct ws_ev *e, struct caught *c, int signum);

_Static_assert(sizeof(ev_io) <= sizeof(((struct ws_watch *)0)->slot),
               "an ev_io fits into the slot of a watch");

static ev_io *io_of(struct ws_watch *w) {
  _Static_assert(offsetof(ev_io, data) == WS_SLOT_FRONT * sizeof(void *),
                 "what an ev_io has for its owner is the watch's loop");
  return (ev_io *)(void *)w->slot;
}

/* A quiet one keeps no driver waiting. libev's priority of it says so, as
 * there is no room for anything else in a watch. */
#define QUIET (EV_MAXPRI - 1)

static void start_io(struct ws_ev *e, ev_io *i) {
  ev_io_start(e->ev, i);
  if (ev_priority(i) == QUIET) ev_unref(e->ev);
  e->watched++;
}

/* It has been stopped, by us or by libev. */
static void stopped_io(struct ws_ev *e, const ev_io *i) {
  if (ev_priority(i) == QUIET) ev_ref(e->ev);
  e->watched--;
}

/* libev has stopped the watcher. It looks at the kernel's side again only
 * when the watcher is set anew. */
static void refused(struct ws_ev *e, struct ws_watch *w) {
  ev_io *i = io_of(w);
  int error = ws_wakefd_why(w->fd);
  stopped_io(e, i);
  if (error == 0) {
    ev_io_set(i, w->fd, i->events);
    start_io(e, i);
    return;
  }
  ws_loop_deaf(e->loop, w, error);
}

static void on_io(struct ev_loop *ev, ev_io *io, int events) {
  struct ws_watch *w = WS_LIST_ENTRY(io, struct ws_watch, slot);
  (void)ev;
  if (events & EV_ERROR) {
    refused(WS_LIST_ENTRY(w->loop->io, struct ws_ev, io), w);
    return;
  }
  if (events & EV_READ) w->got |= WS_READ;
  if (events & EV_WRITE) w->got |= WS_WRITE;
  if (!ws_list_is_linked(&w->ready)) ws_list_append(&w->loop->ready, &w->ready);
}

/* libev tells the kernel what is watched when it polls, not before: a foreign
 * loop must step once before it can wait. */
static void set_wakefd(struct ws_ev *e) {
  ws_wakefd_set(&e->wakefd, e->is_stale ? 0 : e->when);
}

static void became_stale(struct ws_ev *e) {
  if (e->wakefd.fd < 0 || e->is_stale) return;
  e->is_stale = true;
  if (!e->is_stepping) set_wakefd(e);
}

/* What libev's arrays may come to need for so many watchers and descriptors:
 * each at least doubles when it grows, and is rounded up to pages. */
static size_t need(unsigned watchers, int fds) {
  return 32768 + watchers * (size_t)96 + (size_t)fds * 64;
}

static bool reserve(struct ws_ev *e, unsigned watchers, int fds) {
  size_t had = e->covered ? need(e->covered, e->covered_fds) : 0;
  if (!ws_reserve_grow(need(watchers, fds) - had)) return false;
  e->covered = watchers;
  e->covered_fds = fds;
  return true;
}

/* libev would end the process when it gets no memory for one watcher more:
 * it is set aside before, by doubling, or just enough. */
static bool cover(struct ws_ev *e, int fd) {
  unsigned n = e->watched + 1;
  if (n <= e->covered && fd < e->covered_fds) return true;
  unsigned least = n > e->covered ? n : e->covered;
  int least_fds = fd < e->covered_fds ? e->covered_fds : fd + 1;
  return reserve(e, n > e->covered ? 2 * n : least,
                 fd < e->covered_fds ? least_fds : 2 * fd) ||
         reserve(e, least, least_fds);
}

static void watch(struct ws_io *io, struct ws_watch *w, uint8_t want) {
  struct ws_ev *e = WS_LIST_ENTRY(io, struct ws_ev, io);
  ev_io *i = io_of(w);
  became_stale(e);
  if (ev_is_active(i)) {
    ev_io_stop(e->ev, i);
    stopped_io(e, i);
  }
  if (!(want & (WS_READ | WS_WRITE))) return;
  if (!cover(e, w->fd)) {
    ws_loop_deaf(e->loop, w, ENOMEM);
    return;
  }
  int events =
    (want & WS_READ ? EV_READ : 0) | (want & WS_WRITE ? EV_WRITE : 0);
  ev_io_init(i, on_io, w->fd, events);
  w->loop = e->loop;
  if (want & WS_QUIET) ev_set_priority(i, QUIET);
  start_io(e, i);
}

/* It is stopped: what was left out of the count for it comes back. */
static void loud(struct ws_ev *e) {
  if (e->is_quiet) ev_ref(e->ev);
  e->is_quiet = false;
}

static void on_timer(struct ev_loop *ev, ev_timer *t, int events) {
  struct ws_ev *e = t->data;
  (void)events;
  loud(e);
  if (e->is_muted) { /* nobody would set it again */
    ev_timer_set(t, 0., 0.);
    ev_timer_start(ev, t);
    return;
  }
  e->loop->rang = true;
}

static void wake_at(struct ws_io *io, double when) {
  struct ws_ev *e = WS_LIST_ENTRY(io, struct ws_ev, io);
  ev_timer_stop(e->ev, &e->timer);
  loud(e);
  e->when = when;
  if (e->wakefd.fd >= 0 && !e->is_stale) set_wakefd(e);
  if (when < 0) return;
  double after = when - io->ops->now(io);
  /* libev counts from its own idea of now, which may be a little behind: a
   * turn that comes too early finds nothing due and asks again */
  ev_timer_set(&e->timer, after > 0 ? after : 0., 0.);
  ev_timer_start(e->ev, &e->timer);
  e->is_quiet = ws_loop_is_quiet(e->loop);
  if (e->is_quiet) ev_unref(e->ev);
}

static void on_check(struct ev_loop *ev, ev_check *c, int events) {
  struct ws_ev *e = c->data;
  (void)ev;
  (void)events;
  if (!e->is_muted) e->turn(e->arg);
}

static void on_first(struct ev_loop *ev, ev_check *c, int events) {
  struct ws_ev *e = c->data;
  (void)events;
  if (ev_pending_count(ev) > 1) e->has_run = true; /* `check` is one */
}

/* libev's default loop takes SIGCHLD for itself and would reap the children
 * of io.popen; the disposition is put back. */
static struct ev_loop *default_loop(void) {
  struct sigaction before;
  sigaction(SIGCHLD, NULL, &before);
  struct ev_loop *ev = ev_default_loop(EVFLAG_AUTO);
  sigaction(SIGCHLD, &before, NULL);
  return ev;
}

/* Nor does it come back from the lack of descriptors: two for its signals,
 * beside that of epoll. */
static struct ev_loop *make_loop(struct ws_ev *e, bool is_default) {
  ev_set_allocator(ws_reserve_alloc);
  if (!reserve(e, COVERED_FIRST, COVERED_FIRST) || !ws_standard_has_three())
    return NULL;
  return is_default ? default_loop() : ev_loop_new(EVFLAG_AUTO);
}

void ws_ev_free(struct ws_ev *e) {
  if (!e) return;
  if (e->catching) { /* the state is closed in the middle of a run */
    release_one(e, &e->sigint, SIGINT);
    release_one(e, &e->sigterm, SIGTERM);
  }
  ev_timer_stop(e->ev, &e->timer);
  loud(e);
  ev_ref(e->ev);
  ev_check_stop(e->ev, &e->check);
  if (e->wakefd.fd >= 0) {
    ev_ref(e->ev);
    ev_check_stop(e->ev, &e->first);
    ws_wakefd_close(&e->wakefd);
  }
  if (!e->is_default) ev_loop_destroy(e->ev);
  ws_reserve_shrink(need(e->covered, e->covered_fds));
  ws_mem_free(e);
}

struct ws_io *ws_ev_io(struct ws_ev *e) {
  return &e->io;
}

struct ws_driver *ws_ev_driver(struct ws_ev *e) {
  return &e->driver;
}

void ws_ev_attach(struct ws_ev *e, struct ws_loop *loop) {
  e->loop = loop;
}

static void on_timeout(struct ev_loop *ev, ev_timer *t, int events) {
  (void)t;
  (void)events;
  ev_break(ev, EVBREAK_ONE);
}

static bool run_once(struct ws_ev *e, double timeout) {
  if (timeout == 0) return ev_run(e->ev, EVRUN_NOWAIT);
  if (timeout < 0) return ev_run(e->ev, EVRUN_ONCE);
  ev_timer limit;
  ev_timer_init(&limit, on_timeout, timeout, 0.);
  ev_now_update(e->ev); /* the script may have run for long since */
  ev_timer_start(e->ev, &limit);
  ev_run(e->ev, EVRUN_ONCE);
  ev_timer_stop(e->ev, &limit);
  return true;
}

/* Whatever ran may have begun or ended to watch something, ours or others':
 * one more look without a turn tells the kernel. What that look finds is left
 * to the next step. */
static void refresh(struct ws_ev *e) {
  bool was_stale = e->is_stale;
  if (!e->has_run && !was_stale) return;
  e->has_run = false;
  e->is_muted = true;
  ev_run(e->ev, EVRUN_NOWAIT);
  e->is_muted = false;
  e->is_stale = e->has_run;
  if (was_stale || e->is_stale) set_wakefd(e);
}

/* lua-ev finds its lua_State in the loop's user data. A callback of its may
 * wait, and so step inside of a step. */
static bool step(struct ws_driver *d, double timeout, void *userdata) {
  struct ws_ev *e = WS_LIST_ENTRY(d, struct ws_ev, driver);
  void *before = ev_userdata(e->ev);
  bool was_muted = e->is_muted, was_stepping = e->is_stepping;
  ev_set_userdata(e->ev, userdata);
  e->is_muted = false;
  e->is_stepping = true;
  e->has_run = false;
  bool more = run_once(e, timeout);
  if (e->wakefd.fd >= 0) refresh(e);
  e->is_stepping = was_stepping;
  e->is_muted = was_muted;
  if (was_stepping) e->has_run = true;
  ev_set_userdata(e->ev, before);
  return more;
}

/* libev keeps its epoll descriptor to itself, but shows it to whoever embeds
 * the loop in another one. */
static int backend_of(struct ev_loop *ev) {
  ev_embed embed;
  if (!(ev_backend(ev) & ev_embeddable_backends() & EVBACKEND_EPOLL))
    return -ENOTSUP;
  struct ev_loop *outer = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV);
  if (!outer) return -ENOMEM;
  ev_embed_init(&embed, NULL, ev);
  ev_embed_start(outer, &embed);
  int fd = embed.io.fd;
  ev_embed_stop(outer, &embed);
  ev_loop_destroy(outer);
  return fd;
}

int ws_ev_fd(struct ws_ev *e) {
  if (e->wakefd.fd >= 0) return e->wakefd.fd;
  ws_standard_fill();
  int backend = backend_of(e->ev);
  if (backend < 0) return backend;
  int r = ws_wakefd_open(&e->wakefd, backend);
  if (r < 0) return r;
  ev_check_start(e->ev, &e->first);
  ev_unref(e->ev);
  e->is_stale = true;
  set_wakefd(e);
  return e->wakefd.fd;
}

double ws_ev_timeout(struct ws_ev *e) {
  double at = ws_loop_wake(e->loop);
  if (e->is_stale) return 0;
  return at < 0 ? -1 : fmax(at - e->io.ops->now(&e->io), 0);
}

static void on_caught(struct ev_loop *ev, ev_signal *s, int events) {
  struct ws_ev *e = s->data;
  (void)ev;
  (void)events;
  e->on_signal(e->arg, s->signum);
}

static void catch_one(struct ws_ev *e, struct caught *c, int signum) {
  sigaction(signum, NULL, &c->before);
  bool is_ours = c->before.sa_handler == SIG_DFL ||
                 (signum == SIGINT && c->before.sa_handler != SIG_IGN);
  if (!is_ours) return;
  ev_signal_init(&c->watcher, on_caught, signum);
  c->watcher.data = e;
  ev_signal_start(e->ev, &c->watcher);
  ev_unref(e->ev);
  c->is_on = true;
}

/* ev_signal_stop leaves SIG_DFL, unless somebody else watches the signal too:
 * no signal may come before that is mended. */
static void release_one(struct ws_ev *e, struct caught *c, int signum) {
  sigset_t one, before;
  struct sigaction now;
  if (!c->is_on) return;
  sigemptyset(&one);
  sigaddset(&one, signum);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  ev_ref(e->ev);
  ev_signal_stop(e->ev, &c->watcher);
  sigaction(signum, NULL, &now);
  if (now.sa_handler == SIG_DFL) sigaction(signum, &c->before, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  c->is_on = false;
}

static void catch_signals(struct ws_driver *d, bool with_term,
                          void (*fn)(void *, int)) {
  struct ws_ev *e = WS_LIST_ENTRY(d, struct ws_ev, driver);
  if (!e->is_default) return;
  if (e->catching++) return;
  ws_standard_fill(); /* libev opens an eventfd, the first time */
  e->on_signal = fn;
  catch_one(e, &e->sigint, SIGINT);
  if (with_term) catch_one(e, &e->sigterm, SIGTERM);
}

static bool release_signals(struct ws_driver *d) {
  struct ws_ev *e = WS_LIST_ENTRY(d, struct ws_ev, driver);
  if (!e->is_default) return true;
  if (--e->catching) return false;
  if (e->sigint.is_on || e->sigterm.is_on) {
    /* what was caught last may still be on its way through libev's pipe */
    e->is_muted = true;
    ev_run(e->ev, EVRUN_NOWAIT);
    e->is_muted = false;
  }
  release_one(e, &e->sigint, SIGINT);
  release_one(e, &e->sigterm, SIGTERM);
  return true;
}

struct ws_ev *ws_ev_new(bool is_default, void (*turn)(void *), void *arg) {
  struct ws_ev *e = ws_mem_zero(sizeof *e);
  if (!e) return NULL;
  ws_standard_fill();
  e->ev = make_loop(e, is_default);
  if (!e->ev) {
    if (e->covered) ws_reserve_shrink(need(e->covered, e->covered_fds));
    ws_mem_free(e);
    return NULL;
  }
  ws_io_kernel_fill(&e->ops);
  e->driver = (struct ws_driver){step, catch_signals, release_signals};
  e->ops.watch = watch;
  e->ops.wake_at = wake_at;
  e->io.ops = &e->ops;
  e->is_default = is_default;
  e->turn = turn;
  e->arg = arg;
  e->when = e->wakefd.fd = e->wakefd.timer = -1;
  ev_init(&e->timer, on_timer);
  ev_check_init(&e->check, on_check);
  ev_set_priority(&e->check, EV_MINPRI);
  ev_check_start(e->ev, &e->check);
  ev_unref(e->ev); /* it alone keeps nobody waiting */
  ev_check_init(&e->first, on_first);
  ev_set_priority(&e->first, EV_MAXPRI);
  e->timer.data = e->check.data = e->first.data = e;
  return e;
}
