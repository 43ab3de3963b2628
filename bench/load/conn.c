/* conn.c: connects, upgrades, sends, receives. Sockets are watched once, for
 * edges in both directions. */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define ANSWER_MAX 4096
#define HANDSHAKE_TEXT "{\"protocol\":\"json\",\"version\":1}\x1E"
#define HANDSHAKE_MESSAGEPACK "{\"protocol\":\"messagepack\",\"version\":1}\x1E"
/* To the key that main.c sends. */
#define ACCEPT "HSmrc0sMlYUkAGmm5OPpG2HaGWk="

static _Noreturn void lost(const struct load *l, const struct conn *c,
                           const char *when) {
  fail("connection %ld was lost %s: %s (%llu answers so far)",
       (long)(c - l->conns), when, errno ? strerror(errno) : "closed",
       (unsigned long long)l->answered);
}

void conn_start(struct load *l, struct conn *c) {
  int one = 1;
  int fd =
    socket(l->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket: %s", strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct batch *batches = c->batches;
  *c = (struct conn){.batches = batches, .state = CONNECTING};
  c->begun = clock_now();
  l->begun++;
  link_open(&c->link, fd, l->plan.is_tls);
  if (connect(fd, (struct sockaddr *)&l->to, l->to_len) < 0 &&
      errno != EINPROGRESS)
    lost(l, c, "connecting");
  struct epoll_event watch = {.events =
                                EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              .data.u32 = (uint32_t)(c - l->conns)};
  if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &watch) < 0)
    fail("epoll: %s", strerror(errno));
}

static void end(struct load *l, struct conn *c, bool is_reset) {
  check_free(&c->check);
  free(c->answer);
  c->answer = NULL;
  link_close(&c->link, is_reset);
  c->state = CLOSED;
  l->ended++;
}

void conn_leave(struct load *l, struct conn *c) {
  if (c->state == CLOSED) return;
  if (l->plan.steps == 0) {
    end(l, c, true);
    return;
  }
  /* In lockstep the server is waited for, until it has closed too. */
  c->state = LEAVING;
  shutdown(c->link.fd, SHUT_WR);
}

/* ---- sending ---- */

/* Between two frames, so it waits for the one that is leaving. */
static void flush_pong(struct load *l, struct conn *c) {
  if (c->pong_len == 0 || c->owed > 0) return;
  ssize_t n = link_send(&c->link, c->pong, c->pong_len);
  if (n < 0) lost(l, c, "sending");
  if (n > 0 && n < (ssize_t)c->pong_len) fail("the kernel took half a pong");
  if (n > 0) c->pong_len = 0;
}

static void flush(struct load *l, struct conn *c) {
  const struct round *r = &l->messages.frames;
  if (!link_flush(&c->link)) lost(l, c, "sending");
  while (c->owed > 0) {
    size_t n = c->owed < r->room - c->at ? c->owed : r->room - c->at;
    ssize_t sent = link_send(&c->link, r->bytes + c->at, n);
    if (sent < 0) lost(l, c, "sending");
    if (sent == 0) return;
    c->owed -= (size_t)sent;
    c->at = (c->at + (size_t)sent) % r->len;
  }
  flush_pong(l, c);
}

static size_t frame_len(const struct round *r, unsigned which) {
  return r->ends[which] - (which > 0 ? r->ends[which - 1] : 0);
}

void conn_ask(struct load *l, struct conn *c, unsigned n, uint64_t at) {
  const struct messages *m = &l->messages;
  for (unsigned i = 0; i < n; i++) {
    c->owed += frame_len(&m->frames, c->which);
    if (++c->which == m->n) c->which = 0;
  }
  c->batches[(c->first + c->n++) % l->plan.in_flight] = (struct batch){at, n};
  c->in_flight += n;
  l->asked += n;
  flush(l, c);
}

/* ---- receiving ---- */

static void count_latencies(struct load *l, struct conn *c, uint64_t n) {
  while (n > 0) {
    struct batch *b = &c->batches[c->first];
    uint64_t now = n < b->n ? n : b->n;
    if (l->is_measuring) histogram_add(&l->latency, l->now - b->at, now);
    n -= now;
    b->n -= now;
    if (b->n > 0) break;
    c->first = (c->first + 1) % l->plan.in_flight;
    c->n--;
  }
}

static void take_answers(struct load *l, struct conn *c, unsigned n) {
  l->answered += n;
  /* Of a broadcast the first connection is the one that sends. */
  if (l->plan.mode == BROADCAST && c != l->conns) return;
  if (n > c->in_flight) fail("more answers than messages");
  count_latencies(l, c, n);
  c->in_flight -= n;
  if (l->is_refilling) conn_ask(l, c, n, l->now);
}

static void take_control(struct load *l, struct conn *c,
                         const struct check_control *control) {
  static const uint8_t mask[4] = {0x5A, 0xA5, 0x3C, 0xC3};
  if (control->opcode == 8) {
    fail("a close frame %d",
         control->len < 2 ? 1005
                          : control->payload[0] << 8 | control->payload[1]);
  }
  if (control->opcode != 9 || c->pong_len > 0) return; /* 5.5.3: the last */
  c->pong[0] = 0x8A;
  c->pong[1] = 0x80 | control->len;
  memcpy(c->pong + 2, mask, sizeof mask);
  for (int i = 0; i < control->len; i++)
    c->pong[6 + i] = control->payload[i] ^ mask[i & 3];
  c->pong_len = 6 + (size_t)control->len;
  flush(l, c);
}

static void take_bytes(struct load *l, struct conn *c, const uint8_t *bytes,
                       size_t n) {
  while (n > 0) {
    struct check_control control;
    size_t used;
    unsigned done =
      check_bytes(&c->check, &l->messages, bytes, n, &used, &control);
    if (control.opcode) take_control(l, c, &control);
    if (done > 0) take_answers(l, c, done);
    bytes += used;
    n -= used;
  }
}

/* ---- opening ---- */

static void be_open(struct load *l, struct conn *c) {
  const struct messages *m = &l->messages;
  c->state = OPEN;
  l->opened++;
  free(c->answer);
  c->answer = NULL;
  if (l->plan.mode == HANDSHAKE) {
    if (l->is_measuring) histogram_add(&l->latency, l->now - c->begun, 1);
    conn_leave(l, c);
    return;
  }
  unsigned first = (unsigned)(c - l->conns) % m->n;
  c->which = l->plan.mode == BROADCAST ? 0 : first;
  c->at = c->which > 0 ? m->frames.ends[c->which - 1] : 0;
  check_start(&c->check, m, c->which);
}

static void greet(struct load *l, struct conn *c) {
  uint8_t frame[128];
  bool is_messagepack = l->plan.kind.is_messagepack;
  size_t n = frame_of_text(frame, is_messagepack ? HANDSHAKE_MESSAGEPACK
                                                 : HANDSHAKE_TEXT);
  if (link_send(&c->link, frame, n) != (ssize_t)n) lost(l, c, "greeting");
  c->state = GREETING;
  c->answer_len = 0;
}

/* One frame that says yes. */
static void take_greeting(struct load *l, struct conn *c, const uint8_t *bytes,
                          size_t n) {
  static const char yes[] = "\x81\x03{}\x1E";
  while (n > 0 && c->answer_len < sizeof yes - 1) {
    if (*bytes != (uint8_t)yes[c->answer_len]) fail("the hub does not answer");
    c->answer_len++;
    bytes++;
    n--;
  }
  if (c->answer_len < sizeof yes - 1) return;
  be_open(l, c);
  if (c->state == OPEN) take_bytes(l, c, bytes, n);
}

static void take_head(struct load *l, struct conn *c, const uint8_t *bytes,
                      size_t n) {
  if (!c->answer) c->answer = take_memory(ANSWER_MAX + 1);
  size_t piece =
    n < ANSWER_MAX - c->answer_len ? n : ANSWER_MAX - c->answer_len;
  memcpy(c->answer + c->answer_len, bytes, piece);
  size_t before = c->answer_len;
  c->answer_len += piece;
  c->answer[c->answer_len] = 0;
  char *end = strstr(c->answer, "\r\n\r\n");
  if (!end && c->answer_len == ANSWER_MAX)
    fail("the answer to the upgrade does not end");
  if (!end) return;
  size_t used = (size_t)(end + 4 - c->answer) - before;
  *end = 0;
  if (strncmp(c->answer, "HTTP/1.1 101 ", 13) != 0)
    fail("the upgrade was answered by %.*s", (int)strcspn(c->answer, "\r\n"),
         c->answer);
  if (!strstr(c->answer, ACCEPT)) fail("the wrong Sec-WebSocket-Accept");
  bool is_deflated = strstr(c->answer, "permessage-deflate");
  if (is_deflated != l->plan.kind.is_deflated)
    fail("permessage-deflate is %s", is_deflated ? "accepted, but was not "
                                                   "offered"
                                                 : "refused");
  if (l->plan.kind.is_hub ||
      (l->plan.kind.is_call && l->plan.mode == BROADCAST)) {
    greet(l, c);
    return;
  }
  be_open(l, c);
  if (c->state == OPEN) take_bytes(l, c, bytes + used, n - used);
}

static void connected(struct load *l, struct conn *c) {
  int error = 0;
  socklen_t len = sizeof error;
  getsockopt(c->link.fd, SOL_SOCKET, SO_ERROR, &error, &len);
  errno = error;
  if (error) lost(l, c, "connecting");
  c->state = c->link.ssl ? SHAKING : UPGRADING;
}

static void send_request(struct load *l, struct conn *c) {
  ssize_t n = link_send(&c->link, l->request, l->request_len);
  if (n != (ssize_t)l->request_len) lost(l, c, "sending the upgrade");
  c->state = UPGRADING;
}

/* ---- events ---- */

static void take_end(struct load *l, struct conn *c) {
  if (c->state != LEAVING) lost(l, c, "receiving");
  end(l, c, false);
}

/* Until there is no more: what comes later is told of again. */
static void receive(struct load *l, struct conn *c, bool is_ending) {
  for (;;) {
    ssize_t n = link_receive(&c->link, l->buffer, BUFFER_SIZE);
    if (n == 0) return;
    if (n < 0) {
      take_end(l, c);
      return;
    }
    l->now = clock_now();
    if (c->state == OPEN)
      take_bytes(l, c, l->buffer, (size_t)n);
    else if (c->state == UPGRADING)
      take_head(l, c, l->buffer, (size_t)n);
    else if (c->state == GREETING)
      take_greeting(l, c, l->buffer, (size_t)n);
    if (c->state == CLOSED) return;
    if (n < BUFFER_SIZE && !c->link.ssl && !is_ending) return;
  }
}

void conn_event(struct load *l, struct conn *c, uint32_t events) {
  if (c->state == CLOSED) return;
  if (c->state == CONNECTING) {
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return;
    connected(l, c);
    if (c->state == UPGRADING) send_request(l, c);
  }
  if (c->state == SHAKING) {
    if (link_shake_hands(&c->link) != LINK_DONE) return;
    send_request(l, c);
  }
  bool is_ending = events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP);
  if (is_ending || events & EPOLLIN) receive(l, c, is_ending);
  if (c->state == OPEN &&
      (c->owed > 0 || c->pong_len > 0 || link_owes(&c->link)))
    flush(l, c);
}
