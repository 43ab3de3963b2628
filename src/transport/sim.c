/* sim.c: the clock of the simulated network, and what may be done to it. */
#include "transport/sim.h"

#include <errno.h>
#include <math.h>

#include "base/slice.h"
#include "transport/sim_base.h"
#include "transport/sim_io.h"
#include "transport/sim_pipe.h"

/* ---- the clock ---- */

static void run_due(struct ws_sim *s) {
  struct ws_timer *t;
  while ((t = ws_heap_first(&s->heap)) && t->at <= s->now) {
    ws_heap_clear(&s->heap, t);
    t->fn(t);
  }
}

/* What is ready goes to the loop, and stays among those to be looked at. */
static bool collect(struct ws_sim *s) {
  struct ws_list *e = s->hot.next;
  bool any = false;
  while (e != &s->hot) {
    struct ws_sim_socket *socket = WS_LIST_ENTRY(e, struct ws_sim_socket, hot);
    struct ws_watch *w = socket->watch;
    uint8_t got = w->want & ws_sim_ready(socket);
    e = e->next;
    if (!got) {
      ws_list_remove(&socket->hot);
      continue;
    }
    any = true;
    w->got |= got;
    if (!ws_list_is_linked(&w->ready))
      ws_list_append(&s->loop->ready, &w->ready);
  }
  return any;
}

static double next_of(const struct ws_sim *s) {
  const struct ws_timer *t = ws_heap_first(&s->heap);
  double next = t ? t->at : INFINITY;
  return s->wake >= 0 && s->wake < next ? s->wake : next;
}

/* Is anybody waiting for something? */
static bool is_kept(const struct ws_sim *s) {
  return s->n_loud || (s->wake >= 0 && !ws_loop_is_quiet(s->loop));
}

static bool turn(struct ws_sim *s) {
  if (s->wake >= 0 && s->wake <= s->now) s->loop->rang = true;
  s->turn(s->arg);
  return true;
}

static bool step(struct ws_driver *d, double timeout, void *userdata) {
  struct ws_sim *s = WS_LIST_ENTRY(d, struct ws_sim, driver);
  double last = timeout < 0 ? INFINITY : s->now + timeout;
  (void)userdata;
  for (;;) {
    run_due(s);
    if (collect(s) || (s->wake >= 0 && s->wake <= s->now)) return turn(s);
    double next = next_of(s);
    if (next > last) next = last;
    if (!is_kept(s) || next > s->options.limit) return false;
    s->now = next;
    if (next == last) return turn(s);
  }
}

/* Signals are the program's own. */
static void catch_none(struct ws_driver *d, bool with_term,
                       void (*fn)(void *, int)) {
  (void)d, (void)with_term, (void)fn;
}

static bool release_none(struct ws_driver *d) {
  (void)d;
  return true;
}

struct ws_sim *ws_sim_new(const struct ws_sim_options *o, void (*turn)(void *),
                          void *arg) {
  struct ws_sim *s = ws_mem_zero(sizeof *s);
  if (!s) return NULL;
  s->driver = (struct ws_driver){step, catch_none, release_none};
  ws_sim_io_fill(&s->ops);
  s->io.ops = &s->ops;
  s->options = *o;
  s->link = o->link;
  s->chance = o->seed;
  s->turn = turn;
  s->arg = arg;
  s->wake = -1;
  ws_list_init(&s->hot);
  return s;
}

void ws_sim_free(struct ws_sim *s) {
  if (!s) return;
  for (size_t i = 0; i < s->n_sockets; i++)
    if (s->sockets[i]) s->ops.close(&s->io, s->sockets[i]->fd);
  ws_heap_free(&s->heap);
  ws_buf_free(&s->trace);
  ws_mem_free(s->sockets);
  ws_mem_free(s);
}

struct ws_driver *ws_sim_driver(struct ws_sim *s) {
  return &s->driver;
}

struct ws_io *ws_sim_io(struct ws_sim *s) {
  return &s->io;
}

void ws_sim_attach(struct ws_sim *s, struct ws_loop *loop) {
  s->loop = loop;
}

/* ---- what may be done to it ---- */

static struct ws_sim_socket *connected(struct ws_sim *s, int fd) {
  struct ws_sim_socket *socket = ws_sim_find(s, fd);
  return socket && socket->kind == WS_SIM_CONNECTED ? socket : NULL;
}

/* The socket and its peer, or every one there is. */
static bool for_each(struct ws_sim *s, int fd,
                     void (*fn)(struct ws_sim_socket *, const void *),
                     const void *arg) {
  struct ws_sim_socket *one = connected(s, fd);
  if (fd >= 0 && !one) return false;
  size_t from = one ? (size_t)(fd - WS_SIM_FDS) : 0;
  size_t to = one ? from + 1 : s->n_sockets;
  for (size_t i = from; i < to; i++) {
    struct ws_sim_socket *socket = s->sockets[i];
    if (!socket || socket->kind == WS_SIM_LISTENS) continue;
    fn(socket, arg);
    if (socket->peer) fn(socket->peer, arg);
  }
  return true;
}

static void set_link(struct ws_sim_socket *socket, const void *link) {
  socket->link = *(const struct ws_sim_link *)link;
  ws_sim_stir(socket);
}

bool ws_sim_set_link(struct ws_sim *s, int fd, const struct ws_sim_link *link) {
  if (fd < 0) s->link = *link;
  return for_each(s, fd, set_link, link);
}

const struct ws_sim_link *ws_sim_link(struct ws_sim *s, int fd) {
  const struct ws_sim_socket *socket = connected(s, fd);
  return socket ? &socket->link : &s->link;
}

static void hold(struct ws_sim_socket *socket, const void *on) {
  ws_sim_hold_end(socket, *(const bool *)on);
}

bool ws_sim_hold(struct ws_sim *s, int fd, bool on) {
  if (fd < 0) s->is_down = on;
  return for_each(s, fd, hold, &on);
}

static void reset(struct ws_sim_socket *socket, const void *after) {
  size_t n = *(const size_t *)after;
  if (socket->error) return;
  socket->reset_after = n ? n : SIZE_MAX;
  if (!n) ws_sim_tear(socket, ECONNRESET);
}

bool ws_sim_reset(struct ws_sim *s, int fd, size_t after) {
  struct ws_sim_socket *one = connected(s, fd);
  if (fd < 0) return for_each(s, fd, reset, &after);
  if (one) reset(one, &after);
  return one;
}

void ws_sim_no_limit(struct ws_sim *s) {
  s->options.limit = INFINITY;
}

struct ws_slice ws_sim_trace(struct ws_sim *s) {
  return (struct ws_slice){(const char *)ws_buf_begin(&s->trace), s->trace.len};
}
