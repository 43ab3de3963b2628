/* stream.c: reading, and writing: the cork, the queue, and the one send that
 * empties them. */
#include "transport/stream.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "transport/tls.h"

void ws_stream_init(struct ws_stream *s, struct ws_loop *loop, int fd,
                    void (*fn)(struct ws_watch *),
                    void (*late)(struct ws_late *)) {
  memset(s, 0, sizeof *s);
  s->watch.loop = loop;
  s->watch.fd = fd;
  s->watch.fn = fn;
  ws_list_init(&s->watch.ready);
  s->late.run = late;
  ws_list_init(&s->late.link);
}

static void forget(struct ws_stream *s) {
  ws_queue_clear(&s->queue);
  if (s->tls) ws_tls_drop_left(s->tls);
  s->queued = 0;
  if (s->watch.loop->corked == s) {
    s->watch.loop->corked = NULL;
    s->watch.loop->cork_len = 0;
  }
}

int ws_stream_detach(struct ws_stream *s) {
  int fd = s->watch.fd;
  forget(s);
  ws_list_remove(&s->late.link);
  ws_loop_unwatch(s->watch.loop, &s->watch);
  ws_tls_free(s->tls);
  s->tls = NULL;
  s->is_blocked = false;
  s->watch.fd = -1;
  return fd;
}

void ws_stream_close(struct ws_stream *s) {
  if (!s->watch.loop) return;
  int fd = ws_stream_detach(s);
  if (fd >= 0) ws_loop_close(s->watch.loop, fd);
}

/* No event will come for what TLS knows already. */
static void tell_end(struct ws_stream *s) {
  s->watch.got |= WS_READ;
  ws_loop_again(s->watch.loop, &s->watch);
}

void ws_stream_want_read(struct ws_stream *s, bool on) {
  uint8_t want = (uint8_t)(s->watch.want & ~WS_READ);
  if (s->watch.fd < 0) return;
  ws_loop_watch(s->watch.loop, &s->watch, on ? want | WS_READ : want);
  if (on && s->tls && ws_tls_is_over(s->tls)) tell_end(s);
}

/* What a call has changed of TLS's left over records. */
static void count_left(struct ws_stream *s, size_t before) {
  s->queued += ws_tls_left(s->tls) - before;
}

bool ws_stream_start_tls(struct ws_stream *s, struct ws_tls_context *context,
                         const char *name) {
  struct ws_tls *t = ws_tls_new(s->watch.loop, context, name, s->tls);
  if (!t) return false;
  size_t before = s->tls ? ws_tls_left(s->tls) : 0;
  s->tls = t;
  s->is_secure = true;
  count_left(s, before);
  if (s->queued) ws_loop_late(s->watch.loop, &s->late);
  return true;
}

bool ws_stream_is_ready(const struct ws_stream *s) {
  return !s->tls || ws_tls_is_ready(s->tls);
}

bool ws_stream_is_held(const struct ws_stream *s) {
  return s->tls && ws_tls_is_held(s->tls);
}

bool ws_stream_farewell(struct ws_stream *s) {
  if (!s->tls || s->error) return true;
  size_t before = ws_tls_left(s->tls);
  ws_tls_farewell(s->tls);
  count_left(s, before);
  if (!s->is_blocked) ws_stream_flush(s);
  return s->queued == 0;
}

bool ws_stream_was_ended_well(const struct ws_stream *s) {
  return !s->tls || ws_tls_was_notified(s->tls);
}

void ws_stream_why(const struct ws_stream *s, char out[WS_STREAM_REASON_MAX]) {
  if (s->tls)
    ws_tls_why(s->tls, out);
  else
    memcpy(out, "TLS", 4);
}

long ws_stream_subject(const struct ws_stream *s, char *out, size_t cap) {
  return s->tls ? ws_tls_subject(s->tls, out, cap) : -1;
}

/* What TLS cannot encrypt yet waits for the peer, not for the kernel. */
static void blocked(struct ws_stream *s, bool on) {
  if (s->is_blocked == on && !(on && s->tls)) return;
  uint8_t want = (uint8_t)(s->watch.want & ~WS_WRITE);
  if (on && (!s->tls || ws_tls_left(s->tls))) want |= WS_WRITE;
  ws_loop_watch(s->watch.loop, &s->watch, want);
  if (s->is_blocked == on) return;
  s->is_blocked = on;
  s->progress = ws_loop_tick_now(s->watch.loop);
  if (on) ws_loop_late(s->watch.loop, &s->late); /* its deadline changes */
}

static ssize_t read_tls(struct ws_stream *s, const struct iovec *iov, int n) {
  struct ws_tls *t = s->tls;
  size_t before = ws_tls_left(t);
  bool was_ready = ws_tls_is_ready(t);
  ssize_t r = ws_tls_read(t, s->watch.fd, iov, n);
  count_left(s, before);
  if (ws_tls_left(t) != before || ws_tls_is_ready(t) != was_ready)
    ws_loop_late(s->watch.loop, &s->late);
  if (r == -EPROTO) { /* the alert; what follows is the end */
    before = ws_tls_left(t);
    ws_tls_write(t, s->watch.fd, NULL, 0);
    count_left(s, before);
  }
  if (s->is_blocked && !ws_tls_left(t) && !ws_tls_is_held(t)) {
    blocked(s, false);
    ws_loop_late(s->watch.loop, &s->late);
  }
  if (r > 0 && ws_tls_is_over(t)) tell_end(s);
  return r == -EINTR ? -EAGAIN : r;
}

ssize_t ws_stream_read(struct ws_stream *s, const struct iovec *iov, int n) {
  if (s->tls) return read_tls(s, iov, n);
  const struct ws_io_ops *ops = s->watch.loop->io->ops;
  ssize_t r = n == 1 ? ops->recv(s->watch.loop->io, s->watch.fd, iov->iov_base,
                                 iov->iov_len)
                     : ops->readv(s->watch.loop->io, s->watch.fd, iov, n);
  return r == -EINTR ? -EAGAIN : r;
}

void ws_stream_fail(struct ws_stream *s, int error) {
  if (!s->error) s->error = (uint16_t)error;
  forget(s);
  ws_loop_late(s->watch.loop, &s->late);
}

static bool queue_copy(struct ws_stream *s, const uint8_t *bytes, size_t n) {
  if (!ws_queue_copy(&s->queue, bytes, n, s->queued)) return false;
  s->queued += n;
  return true;
}

static ssize_t offer_tls(struct ws_stream *s, const struct iovec *iov, int n) {
  size_t before = ws_tls_left(s->tls);
  ssize_t r = ws_tls_write(s->tls, s->watch.fd, iov, n);
  count_left(s, before);
  if (r < 0) {
    ws_stream_fail(s, (int)-r);
    return -1;
  }
  if (r > 0 || ws_tls_left(s->tls) != before)
    s->progress = ws_loop_tick_now(s->watch.loop);
  return r;
}

/* Sends iov[0, n). Returns the bytes taken, 0 when the kernel takes none now,
 * or -1 when the stream has ended. */
static ssize_t offer(struct ws_stream *s, const struct iovec *iov, int n) {
  struct ws_loop *loop = s->watch.loop;
  const struct ws_io_ops *ops = loop->io->ops;
  ssize_t r;
  if (ws_loop_is_forked(loop)) { /* a child came back out of a handler */
    ws_stream_fail(s, EPIPE);
    return -1;
  }
  if (s->tls) return offer_tls(s, iov, n);
  do {
    r = n == 1 ? ops->send(loop->io, s->watch.fd, iov->iov_base, iov->iov_len)
               : ops->writev(loop->io, s->watch.fd, iov, n);
  } while (r == -EINTR);
  if (r == -EAGAIN) return 0;
  if (r < 0) {
    ws_stream_fail(s, (int)-r);
    return -1;
  }
  return r;
}

/* After an offer: were bytes refused? TLS takes all it is offered, keeps what
 * the kernel refuses, and takes nothing before its handshake is done, nor
 * while it is held. */
static bool is_refused(const struct ws_stream *s, bool is_short) {
  if (!s->tls) return is_short;
  return ws_tls_left(s->tls) > 0 || (is_short && ws_tls_is_held(s->tls));
}

static void flush_queue(struct ws_stream *s) {
  struct iovec iov[WS_RANGES_MAX];
  if (s->tls && ws_tls_left(s->tls) && offer(s, NULL, 0) < 0) return;
  while (!ws_queue_is_empty(&s->queue)) {
    size_t total;
    int n = ws_queue_peek(&s->queue, iov, WS_RANGES_MAX, &total);
    if (n == 0) break;
    ssize_t r = offer(s, iov, n);
    if (r < 0) return;
    if (r > 0) {
      ws_queue_consume(&s->queue, (size_t)r);
      s->queued -= (size_t)r;
      s->progress = ws_loop_tick_now(s->watch.loop);
      ws_loop_spend(s->watch.loop, (size_t)r + WS_CALL_BYTES);
    }
    if (is_refused(s, (size_t)r < total) || (size_t)r < total) break;
  }
  blocked(s, is_refused(s, !ws_queue_is_empty(&s->queue)));
  if (s->is_blocked) ws_queue_fit(&s->queue, s->queued);
}

/* What is in the cork leaves; what the kernel refuses becomes the queue. */
static void flush_cork(struct ws_stream *s) {
  struct ws_loop *loop = s->watch.loop;
  size_t n = loop->cork_len;
  if (n == 0) return;
  loop->cork_len = 0;
  struct iovec iov = {loop->cork, n};
  ssize_t r = offer(s, &iov, 1);
  if (r < 0 || ((size_t)r == n && !s->tls)) return;
  if (!queue_copy(s, loop->cork + r, n - (size_t)r))
    ws_stream_fail(s, ENOMEM);
  else
    blocked(s, is_refused(s, true));
}

void ws_stream_cork(struct ws_stream *s) {
  struct ws_stream *other = s->watch.loop->corked;
  if (other == s) return;
  if (other) ws_stream_uncork(other);
  if (s->watch.loop->cork) s->watch.loop->corked = s;
}

void ws_stream_uncork(struct ws_stream *s) {
  if (s->watch.loop->corked != s) return;
  flush_cork(s);
  if (s->watch.loop->corked == s) s->watch.loop->corked = NULL;
}

uint8_t *ws_stream_reserve_slowly(struct ws_stream *s, size_t n) {
  if (ws_stream_is_corked(s)) {
    flush_cork(s); /* it is full */
    if (ws_stream_is_corked(s)) return s->watch.loop->cork;
  }
  return ws_queue_reserve(&s->queue, n, s->queued);
}

void ws_stream_commit_slowly(struct ws_stream *s, size_t n) {
  ws_queue_commit(&s->queue, n);
  s->queued += n;
  if (s->is_blocked) {
    ws_queue_fit(&s->queue, s->queued);
    return;
  }
  if (s->watch.loop->in_turn)
    ws_loop_late(s->watch.loop, &s->late);
  else
    ws_stream_flush(s);
}

static bool write_now(struct ws_stream *s, struct iovec iov[3], int n) {
  size_t total = 0;
  for (int i = 0; i < n; i++) total += iov[i].iov_len;
  ssize_t r = offer(s, iov, n);
  if (r < 0) return s->error != ENOMEM;
  ws_loop_spend(s->watch.loop, (size_t)r);
  if ((size_t)r == total && !s->tls) return true;
  size_t skip = (size_t)r;
  for (int i = 0; i < n; i++) {
    size_t len = iov[i].iov_len, off = skip < len ? skip : len;
    skip -= off;
    if (!queue_copy(s, (uint8_t *)iov[i].iov_base + off, len - off)) {
      ws_stream_fail(s, ENOMEM);
      return false;
    }
  }
  blocked(s, is_refused(s, true));
  return true;
}

bool ws_stream_write(struct ws_stream *s, const uint8_t *head, size_t head_len,
                     const uint8_t *payload, size_t len) {
  struct iovec iov[3];
  int n = 0;
  if (!ws_stream_is_corked(s) && !ws_queue_is_empty(&s->queue) &&
      !s->is_blocked)
    flush_queue(s);
  if (s->error) return s->error != ENOMEM;
  if (!ws_queue_is_empty(&s->queue)) {
    if (queue_copy(s, head, head_len) && queue_copy(s, payload, len))
      return true;
    ws_stream_fail(s, ENOMEM);
    return false;
  }
  if (s->watch.loop->corked == s && s->watch.loop->cork_len) {
    iov[n++] = (struct iovec){s->watch.loop->cork, s->watch.loop->cork_len};
    s->watch.loop->cork_len = 0;
  }
  iov[n++] = (struct iovec){(void *)head, head_len};
  iov[n++] = (struct iovec){(void *)payload, len};
  return write_now(s, iov, n);
}

void ws_stream_flush(struct ws_stream *s) {
  if (s->watch.fd < 0 || s->error) return;
  if (ws_stream_is_corked(s))
    flush_cork(s);
  else if (!ws_queue_is_empty(&s->queue) || (s->tls && s->queued))
    flush_queue(s);
}

size_t ws_stream_pending(const struct ws_stream *s) {
  return s->queued + (s->watch.loop->corked == s ? s->watch.loop->cork_len : 0);
}

/* What is left of the cork, then of the ranges, behind `skip` bytes. */
static bool queue_rest(struct ws_stream *s, struct iovec cork,
                       const struct ws_range *r, int n, size_t skip) {
  size_t off = skip < cork.iov_len ? skip : cork.iov_len;
  skip -= off;
  if (!queue_copy(s, (uint8_t *)cork.iov_base + off, cork.iov_len - off))
    return false;
  for (int i = 0; i < n; i++) {
    off = skip < r[i].len ? skip : r[i].len;
    skip -= off;
    struct ws_range left = {r[i].block, r[i].off + off, r[i].len - off};
    if (!ws_queue_share(&s->queue, &left, s->queued)) return false;
    s->queued += left.len;
  }
  return true;
}

/* What many get is much: beyond a turn's share it waits for its stream's own
 * turn, which costs no copy. */
static bool is_put_off(const struct ws_stream *s, size_t n, size_t most) {
  const struct ws_loop *loop = s->watch.loop;
  if (s->is_blocked || !loop->in_turn || !loop->is_spent) return false;
  return !s->queued || (s->queued <= most && n <= most - s->queued);
}

bool ws_stream_share(struct ws_stream *s, const struct ws_range *r, int n,
                     size_t most) {
  struct iovec iov[WS_RANGES_MAX + 1];
  iov[0] = (struct iovec){s->watch.loop->cork, 0};
  size_t total = 0;
  ssize_t taken = 0;
  for (int i = 0; i < n; i++) {
    iov[i + 1] = (struct iovec){r[i].block->data + r[i].off, r[i].len};
    total += r[i].len;
  }
  bool is_late = is_put_off(s, total, most);
  if (!is_late && !ws_stream_is_corked(s) && !ws_queue_is_empty(&s->queue) &&
      !s->is_blocked)
    flush_queue(s);
  if (s->error) return s->error != ENOMEM;
  bool may_offer = ws_queue_is_empty(&s->queue) && !s->is_blocked && !is_late;
  if (s->watch.loop->corked ==
      s) { /* it stands in front, whatever comes of it */
    iov[0].iov_len = s->watch.loop->cork_len;
    total += iov[0].iov_len;
    s->watch.loop->cork_len = 0;
  }
  if (may_offer) {
    int first = iov[0].iov_len == 0;
    taken = offer(s, iov + first, n + 1 - first);
    if (taken < 0) return s->error != ENOMEM;
    ws_loop_spend(s->watch.loop, (size_t)taken + WS_CALL_BYTES);
    if ((size_t)taken == total && !s->tls) return true;
  }
  if (!queue_rest(s, iov[0], r, n, (size_t)taken)) {
    ws_stream_fail(s, ENOMEM);
    return false;
  }
  if (may_offer) blocked(s, is_refused(s, true));
  if (is_late) ws_loop_late(s->watch.loop, &s->late);
  return true;
}
