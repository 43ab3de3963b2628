/* stream.h: one byte stream over a descriptor, plain or TLS, with the queue of
 * what the kernel has not taken yet.
 *
 * Bytes go one of three ways. While a stream is being read it owns the loop's
 * cork: small writes gather there and leave in one send. Writes to any other
 * stream gather in its own queue and leave at the end of the turn. A payload
 * too large to be worth a copy leaves at once, in one writev behind what was
 * gathered; only what the kernel refuses is copied.
 *
 * Cork and queue hold plain bytes. Those of a TLS stream are encrypted when
 * they are offered to the kernel, one batch ahead of it at most, and wait
 * until the handshake is done. */
#ifndef EVWS_STREAM_H
#define EVWS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "transport/loop.h"
#include "transport/queue.h"

#define WS_CORK_PAYLOAD (64 * 1024) /* larger payloads are not copied */

struct ws_stream {
  struct ws_watch watch; /* first: the watch's fn finds the stream from it */
  struct ws_late late;
  struct ws_queue queue;
  size_t queued;      /* bytes in them, and in what TLS has left over */
  struct ws_tls *tls; /* NULL: plain */
  uint32_t progress;  /* tick of the last byte the kernel took while blocked */
  uint16_t error;     /* errno that ended it, 0 while it lives */
  bool is_blocked;    /* the kernel refused bytes: WS_WRITE is watched */
  bool is_secure;     /* it is, or was, TLS */
};

/* fd: connected or connecting. late: called at the end of a turn in which
 * something was written or ws_loop_late was asked for; it has to call
 * ws_stream_flush. */
void ws_stream_init(struct ws_stream *s, struct ws_loop *loop, int fd,
                    void (*fn)(struct ws_watch *),
                    void (*late)(struct ws_late *));

/* From now on it is TLS; the handshake goes on in ws_stream_read. name: whom a
 * client expects, else NULL. What is TLS already carries it (through a proxy)
 * once its handshake is done and nothing waits to be sent. False without
 * memory. */
bool ws_stream_start_tls(struct ws_stream *s, struct ws_tls_context *context,
                         const char *name);

/* Are bytes sent yet, or does TLS's handshake come first? */
bool ws_stream_is_ready(const struct ws_stream *s);

/* Does what is queued wait for bytes of the peer's, which has begun something
 * that changes TLS's keys? */
bool ws_stream_is_held(const struct ws_stream *s);

/* Announces the end of what we send, where TLS has a word for it. True when
 * nothing waits to be sent any more. */
bool ws_stream_farewell(struct ws_stream *s);

/* Has the peer announced its end? A plain stream cannot, so: true. */
bool ws_stream_was_ended_well(const struct ws_stream *s);

/* The subject of the peer's certificate, as of ws_tls_subject. */
long ws_stream_subject(const struct ws_stream *s, char *out, size_t cap);

/* Why reading or writing has failed with EPROTO. */
#define WS_STREAM_REASON_MAX 120
void ws_stream_why(const struct ws_stream *s, char out[WS_STREAM_REASON_MAX]);

/* It is broken, for this errno, as when the kernel says so. */
void ws_stream_fail(struct ws_stream *s, int error);

/* Forgets what is queued, stops watching, closes the descriptor if there is
 * one. Harmless when repeated. */
void ws_stream_close(struct ws_stream *s);

/* As ws_stream_close, but the descriptor is handed out instead. */
int ws_stream_detach(struct ws_stream *s);

/* Whether reads are wanted; writes are watched while they are needed. */
void ws_stream_want_read(struct ws_stream *s, bool on);
static inline bool ws_stream_is_reading(const struct ws_stream *s) {
  return s->watch.want & WS_READ;
}

/* Gives the cork to this stream until ws_stream_uncork, which sends what has
 * gathered. Another stream's cork is sent first. */
void ws_stream_cork(struct ws_stream *s);
void ws_stream_uncork(struct ws_stream *s);

/* A place for n bytes (at most WS_CORK_PAYLOAD + 16) that will be sent behind
 * everything before them; ws_stream_commit says that they are there. NULL
 * without memory. Nothing may come between the two. */
uint8_t *ws_stream_reserve_slowly(struct ws_stream *s, size_t n);
void ws_stream_commit_slowly(struct ws_stream *s, size_t n);

static inline bool ws_stream_is_corked(const struct ws_stream *s) {
  return s->watch.loop->corked == s && ws_queue_is_empty(&s->queue);
}

static inline uint8_t *ws_stream_reserve(struct ws_stream *s, size_t n) {
  struct ws_loop *loop = s->watch.loop;
  if (ws_stream_is_corked(s) && n <= WS_CORK_BUFFER - loop->cork_len)
    return loop->cork + loop->cork_len;
  return ws_stream_reserve_slowly(s, n);
}

static inline void ws_stream_commit(struct ws_stream *s, size_t n) {
  if (ws_stream_is_corked(s))
    s->watch.loop->cork_len += n;
  else
    ws_stream_commit_slowly(s, n);
}

/* Reads what has come into iov[0, n), at most 2, in their order; the last one
 * is WS_READ_BUFFER long. Bytes, 0 at the end, or a negated errno: -EAGAIN
 * when nothing is there now, -EPROTO when ws_stream_why knows more. */
ssize_t ws_stream_read(struct ws_stream *s, const struct iovec *iov, int n);

/* Sends head and payload, in one call of writev with what is gathered. False
 * without memory for what the kernel refused: the stream is then broken
 * (error is ENOMEM), for a part may be on its way. */
bool ws_stream_write(struct ws_stream *s, const uint8_t *head, size_t head_len,
                     const uint8_t *payload, size_t len);

#define WS_RANGES_MAX 64

/* Sends n runs (WS_RANGES_MAX at most) behind everything before them. Where the
 * turn's share is spent they wait for its end or the next one, but no more than
 * `most` bytes beside the first that do: who sends more and more has to learn
 * that the kernel takes no more. What is refused, or waits, is not copied: the
 * queue holds a count of the block. False without memory: the stream is
 * broken. */
bool ws_stream_share(struct ws_stream *s, const struct ws_range *r, int n,
                     size_t most);

/* Offers everything that waits to the kernel. What it refuses stays; a stream
 * that ended is noted in s->error. */
void ws_stream_flush(struct ws_stream *s);

/* Bytes gathered or queued, refused by the kernel or not yet offered. */
size_t ws_stream_pending(const struct ws_stream *s);

#endif
