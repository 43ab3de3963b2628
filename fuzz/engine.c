/* engine: a server from accept to its end, on a simulated network: one client
 * sends the input, cut, delayed and ended as it says, to a kernel that may be
 * in a mood and an application that may do anything at any time. A healthy
 * client beside it loses nothing. Every connection that was opened is closed
 * exactly once, all are forgotten, every descriptor and byte is given back,
 * nothing is done for ever, no log line has a raw control byte. With flag 128
 * an allocation fails; then the healthy client may be lost, nothing else. */
#include "kit/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/conn.h"
#include "engine/conn_event.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"
#include "engine/conn_send.h"
#include "engine/farewell.h"
#include "engine/server.h"
#include "engine/answer.h"
#include "engine/upgrade.h"
#include "kit/friend.h"
#include "kit/limits.h"
#include "kit/sim.h"
#include "transport/linger.h"

#define CONNS 8
#define STEPS_MAX 20000
#define BIG (100 * 1024) /* more than is corked */

enum {
  UPGRADED = 1, /* the input begins behind a handshake, that offers deflate */
  ASKS_UPGRADE = 2,
  ASKS_REQUEST = 4,
  PULLS = 8,
  CONTROL = 16,
  READS_AHEAD = 32,
  CLOSES_FULL = 64,
  FAILS = 128
};

struct user {
  struct ws_conn c; /* first */
  struct app *app;
  bool is_asked, is_upgrade, is_opening, is_busy, was_opened, was_closed;
  bool has_control;                 /* pings and pongs wait */
  bool is_streaming, was_told_gone; /* a body is written; of its client */
};

struct app {
  struct ws_host host; /* first */
  struct sim sim;
  struct ws_loop loop;
  struct ws_server server;
  struct user *users[CONNS];
  uint32_t whims; /* 0: it echoes, and nothing else */
  uint8_t flags;
  bool is_gone, has_to_go; /* it was asked first whether to say farewell */
  unsigned opened, closed;
  int peer; /* the descriptor of the client that is the input */
  struct friend friend;
  uint64_t friend_id;
};

static const char upgrade[] =
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
  "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

static unsigned whim(struct app *a, unsigned n) {
  if (a->whims == 0) return 0;
  a->whims ^= a->whims << 13;
  a->whims ^= a->whims >> 17;
  a->whims ^= a->whims << 5;
  return (a->whims >> 4) % n;
}

static bool is_friend(const struct user *u) {
  return u->c.id == u->app->friend_id;
}

/* ---- the application ---- */

static struct ws_conn *new_conn(struct ws_host *host, struct ws_server *s) {
  struct app *a = (struct app *)host;
  (void)s;
  for (int i = 0; i < CONNS; i++) {
    if (a->users[i]) continue;
    struct user *u = calloc(1, sizeof *u);
    if (!u) abort();
    u->app = a;
    a->users[i] = u;
    return &u->c;
  }
  return NULL;
}

static void free_conn(struct ws_conn *c) {
  struct user *u = (struct user *)c;
  struct app *a = u->app;
  FUZZ_CHECK(u->was_opened == u->was_closed);
  if (is_friend(u)) a->friend.is_lost = true;
  for (int i = 0; i < CONNS; i++)
    if (a->users[i] == u) a->users[i] = NULL;
  ws_conn_dispose(c);
  free(u);
}

/* A piece of a body, its end, or an error in the middle of it. */
static void stream(struct user *u, bool is_last) {
  static const char big[BIG];
  struct ws_conn *c = &u->c;
  unsigned what = is_last ? 1 : whim(u->app, 6);
  u->is_streaming = what != 1 && what != 2 && c->state == WS_CONN_PENDING;
  switch (what) {
  case 1: ws_answer_end(c); break;
  case 2: ws_answer_break(c); break;
  case 3: ws_answer_write(c, big, sizeof big); break;
  case 4: c->is_drain_awaited = true; break;
  default: ws_answer_write(c, "piece", 5); break;
  }
}

static void answer(struct user *u) {
  const struct ws_slice none = {"", 0};
  u->is_asked = false;
  if (!u->is_upgrade && whim(u->app, 3) == 1) {
    static const uint64_t lengths[] = {0, 5, 12, BIG};
    const uint64_t *length = &lengths[whim(u->app, 4)];
    if (whim(u->app, 2) == 1) length = NULL;
    u->is_streaming = ws_answer_begin(&u->c, 200, none, false, length);
    return;
  }
  if (u->is_upgrade && (is_friend(u) || whim(u->app, 4) != 1))
    ws_conn_accept(&u->c, ws_upgrade_choose(&u->c), none);
  else
    ws_conn_respond(&u->c, 200, none, false, WS_SLICE("hello"));
}

static void on_request(struct ws_conn *c, bool is_upgrade) {
  struct user *u = (struct user *)c;
  FUZZ_CHECK(!u->is_asked);
  u->is_asked = true;
  u->was_told_gone = false;
  u->is_upgrade = is_upgrade;
  if (whim(u->app, 2) == 0) answer(u);
}

static void on_client_gone(struct ws_conn *c) {
  struct user *u = (struct user *)c;
  FUZZ_CHECK(!u->was_told_gone && !u->was_opened);
  u->was_told_gone = true;
}

static void set_mode(struct user *u) {
  u->is_opening = false;
  u->c.mode = u->app->flags & PULLS ? WS_PULL : WS_CALLBACK;
  u->c.is_receiving = u->c.mode == WS_PULL;
  ws_conn_resume(&u->c);
}

static void on_opened(struct ws_conn *c) {
  struct user *u = (struct user *)c;
  FUZZ_CHECK(!u->was_opened && !u->was_closed);
  u->was_opened = true;
  u->app->opened++;
  c->wants_control = u->app->flags & CONTROL;
  u->is_opening = true;
  if (whim(u->app, 3) == 0) set_mode(u);
}

static void be_whimsical(struct user *u) {
  static const char big[BIG];
  struct ws_conn *c = &u->c;
  switch (whim(u->app, 24)) {
  case 1: ws_conn_close(c, 1000, WS_SLICE("bye"), NULL); break;
  case 2: ws_conn_terminate(c, 1006, "terminated"); break;
  case 3: ws_conn_shutdown(c, 3000, WS_SLICE("")); break;
  case 4: ws_conn_pause(c, true); break;
  case 5: ws_conn_send(c, WS_OP_BINARY, big, sizeof big); break;
  case 6: ws_conn_ping(c, "?", 1); break;
  case 7: ws_conn_fail(c, 1011, "handler error"); break;
  case 8:
    c->is_drain_awaited = true;
    ws_conn_resume(c);
    break;
  default: break;
  }
}

static void handle(struct user *u, const struct ws_event *ev) {
  struct ws_conn *c = &u->c;
  size_t n = ev->len;
  uint8_t opcode = ev->opcode, *copy = malloc(n + 1);
  if (!copy) abort();
  if (n > 0) memcpy(copy, ev->data, n);
  FUZZ_CHECK(!u->was_closed);
  ws_conn_release(c);
  if (ev->type == WS_EVENT_MESSAGE) ws_conn_send(c, opcode, copy, n);
  free(copy);
  if (is_friend(u)) return;
  be_whimsical(u);
  if (c->mode == WS_CALLBACK && whim(u->app, 6) == 1) {
    u->is_busy = true; /* the handler waits for something */
    c->busy++;
  }
}

static void on_readable(struct ws_conn *c) {
  struct user *u = (struct user *)c;
  struct ws_event ev;
  while (c->busy < c->route->options.concurrency && ws_conn_next(c, &ev))
    handle(u, &ev);
  ws_conn_resume(c);
}

static bool is_at_work(struct ws_conn *c) {
  return ((struct user *)c)->is_busy;
}

static void on_control(struct ws_conn *c) {
  ((struct user *)c)->has_control = true;
}

static void take_control(struct user *u) {
  struct ws_event ev;
  u->has_control = false;
  while (ws_conn_next_control(&u->c, &ev)) {
    FUZZ_CHECK(ev.type == WS_EVENT_PING || ev.type == WS_EVENT_PONG);
    FUZZ_CHECK(ev.len <= WS_CONTROL_MAX && u->app->flags & CONTROL);
    if (!is_friend(u)) be_whimsical(u);
  }
}

static void on_drained(struct ws_conn *c, bool was_high) {
  (void)was_high;
  if (!is_friend((struct user *)c)) be_whimsical((struct user *)c);
}

static void on_ended(struct ws_conn *c) {
  FUZZ_CHECK(!((struct user *)c)->was_closed);
}

static bool on_closed(struct ws_conn *c) {
  struct user *u = (struct user *)c;
  FUZZ_CHECK(u->was_opened && !u->was_closed);
  FUZZ_CHECK(ws_conn_code(c) >= 1000 && ws_conn_reason(c).p);
  if (u->app->flags & FAILS && whim(u->app, 3) == 1) return false;
  u->was_closed = true;
  u->app->closed++;
  if (is_friend(u)) u->app->friend.is_lost = true;
  be_whimsical(u);
  return true;
}

static void on_gone(struct ws_server *s) {
  struct app *a = (struct app *)s->host;
  FUZZ_CHECK(!a->is_gone);
  a->is_gone = true;
}

static bool on_closing(struct ws_server *s, double seconds) {
  struct app *a = (struct app *)s->host;
  FUZZ_CHECK(seconds > 0 && !s->is_leaving);
  a->has_to_go = whim(a, 2) == 1;
  return a->has_to_go || whim(a, 2) == 1; /* or a timer does it */
}

static void on_log(struct ws_host *host, enum ws_log_level level,
                   const char *text) {
  (void)host;
  (void)level;
  for (; *text; text++) FUZZ_CHECK(*text >= ' ' && *text < 0x7F);
}

/* What it has put off. */
static void go_on(struct app *a, bool all) {
  if (a->has_to_go) ws_farewell_go(&a->server);
  a->has_to_go = false;
  for (int i = 0; i < CONNS; i++) {
    struct user *u = a->users[i];
    if (!u || (!all && whim(a, 2) == 1)) continue;
    if (u->is_asked) answer(u);
    if (a->users[i] == u && u->is_streaming) stream(u, all);
    if (a->users[i] == u && u->is_opening) set_mode(u);
    if (a->users[i] == u && u->is_busy) {
      u->is_busy = false;
      u->c.busy--;
      ws_conn_resume(&u->c);
    }
    if (a->users[i] == u && u->has_control) take_control(u);
    if (a->users[i] == u && u->c.is_paused) ws_conn_pause(&u->c, false);
  }
}

static void step(struct app *a, bool may_wait, bool all) {
  go_on(a, all);
  if (whim(a, 4) == 0) friend_say(&a->friend);
  sim_turn(&a->sim, &a->loop, may_wait);
  friend_hear(&a->friend);
}

/* ---- a run ---- */

static void start(struct app *a, uint8_t limits) {
  struct ws_net_listen what = {.host = "localhost", .port = 80, .backlog = 8};
  const char *why;
  a->host = (struct ws_host){.new_conn = new_conn,
                             .free_conn = free_conn,
                             .request = on_request,
                             .gone = on_client_gone,
                             .opened = on_opened,
                             .readable = on_readable,
                             .is_at_work = is_at_work,
                             .control = on_control,
                             .drained = on_drained,
                             .ended = on_ended,
                             .closed = on_closed,
                             .closing = on_closing,
                             .server_gone = on_gone,
                             .log = on_log};
  memset(&a->server, 0, sizeof a->server);
  memset(a->users, 0, sizeof a->users);
  a->server.host = a->server.route.host = &a->host;
  a->server.route.server = &a->server;
  a->server.serves_any = true;
  a->server.route.asks_request = a->flags & ASKS_REQUEST;
  a->server.route.asks_upgrade = a->flags & ASKS_UPGRADE;
  fuzz_limits(&a->server.route.options, &a->server.http, limits);
  a->server.route.options.read_ahead = a->flags & READS_AHEAD;
  a->server.route.options.close_when_full = a->flags & CLOSES_FULL;
  FUZZ_CHECK(ws_server_start(&a->server, &a->loop, &what, &why) == 0);
}

/* Both clients connect; the friend before the kernel is in its mood. */
static void connect_both(struct app *a, uint32_t mood) {
  for (int i = 0; i < 100 && a->sim.fds[a->friend.fd].is_waiting; i++)
    step(a, true, true);
  a->sim.mood = mood;
  a->peer = sim_connect(&a->sim);
  if (a->flags & UPGRADED)
    sim_push(&a->sim, a->peer, upgrade, sizeof upgrade - 1);
}

static bool is_there(struct app *a, int fd) {
  return a->sim.fds[fd].is_open || a->sim.fds[fd].is_waiting;
}

/* The input goes out, then its client ends in one of four ways: half-closed,
 * gone, silent, or deaf as well. */
static void play(struct app *a, struct ws_slice bytes, struct fuzz_cuts cuts,
                 uint8_t ending) {
  struct sim_fd *f = &a->sim.fds[a->peer];
  int steps = 0;
  f->is_deaf = (ending & 12) == 12;
  while (bytes.n > 0 && is_there(a, a->peer)) {
    size_t n = fuzz_piece(&cuts, bytes.n);
    n = sim_push(&a->sim, a->peer, bytes.p, n);
    bytes = (struct ws_slice){bytes.p + n, bytes.n - n};
    step(a, f->in_n == SIM_IN, whim(a, 2) == 0);
    if (ending & 16) a->sim.now += 0.05;
    FUZZ_CHECK(++steps < STEPS_MAX);
  }
  if (!is_there(a, a->peer)) return;
  f->is_ended = (ending & 3) == 0;
  f->is_reset = (ending & 3) == 1;
  f->is_deaf = f->is_deaf || (ending & 3) == 3;
}

static bool is_over(struct app *a) {
  return a->is_gone && ws_list_is_empty(&a->loop.lingers);
}

static bool is_friend_waiting(const struct friend *f) {
  return !f->is_lost && (f->heard == 0 || f->echoed < f->said);
}

static void end(struct app *a) {
  int steps = 0;
  while (is_there(a, a->peer)) {
    step(a, true, true);
    FUZZ_CHECK(++steps < STEPS_MAX);
  }
  ws_mem_fail_at(0, false);
  a->friend.is_silent = true;
  for (steps = 0; is_friend_waiting(&a->friend); steps++) {
    FUZZ_CHECK(steps < STEPS_MAX);
    step(a, true, true);
  }
  FUZZ_CHECK(!a->friend.is_lost || a->friend.may_be_lost);
  ws_farewell_begin(&a->server, 1001, WS_SLICE("going"), 5);
  for (steps = 0; !is_over(a); FUZZ_CHECK(++steps < STEPS_MAX))
    step(a, true, true);
  FUZZ_CHECK(a->opened == a->closed);
  for (int i = 0; i < CONNS; i++) FUZZ_CHECK(!a->users[i]);
  FUZZ_CHECK(a->server.n_conns == 0 && a->server.n_open == 0);
  FUZZ_CHECK(a->server.n_pending == 0);
}

/* The loop's two large buffers are kept from one input to the next: to make
 * them takes longer than all the rest. */
static void with_loop(struct app *a, bool is_start) {
  static uint8_t *read_buffer, *cork;
  if (is_start) {
    ws_loop_init(&a->loop, &a->sim.io);
    a->loop.read_buffer = read_buffer;
    a->loop.cork = cork;
    if (!ws_loop_prepare(&a->loop)) abort();
    return;
  }
  read_buffer = a->loop.read_buffer;
  cork = a->loop.cork;
  a->loop.read_buffer = a->loop.cork = NULL;
  ws_loop_free(&a->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct app a;
  struct fuzz_input in = {bytes, n};
  a.flags = fuzz_byte(&in);
  uint8_t limits = fuzz_byte(&in);
  struct fuzz_cuts cuts = {fuzz_u16(&in)};
  uint8_t mood = fuzz_byte(&in), whims = fuzz_byte(&in);
  uint8_t ending = fuzz_byte(&in), fault = fuzz_byte(&in);
  if (in.n > 8192) return 0;
  sim_init(&a.sim);
  a.whims = whims * 0x01010101U;
  a.is_gone = a.has_to_go = false;
  a.opened = a.closed = 0;
  with_loop(&a, true);
  a.friend_id = a.loop.last_id + 1;
  start(&a, limits);
  friend_init(&a.friend, &a.sim);
  a.friend.may_be_lost = a.flags & FAILS || limits & 8;
  connect_both(&a, mood * 0x01010101U);
  if (a.flags & FAILS) ws_mem_fail_at(fault % 64 + 1, fault & 64);
  play(&a, fuzz_take(&in, in.n), cuts, ending);
  end(&a);
  ws_server_free(&a.server);
  with_loop(&a, false);
  sim_end(&a.sim);
  return 0;
}
