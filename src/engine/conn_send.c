/* conn_send.c: what leaves a connection. A frame of up to 64 KiB is written
 * behind its head into the stream's buffer, one copy; a longer payload is
 * handed to the kernel where it lies. Clients mask (5.3), so they always
 * copy. A message behind one that is sent in fragments, or behind one that may
 * go, waits as a record. */
#include "engine/conn_send.h"

#include <string.h>

#include "engine/conn_flow.h"
#include "protocol/compression.h"
#include "transport/random.h"
#include "protocol/frame.h"

bool ws_conn_can_send(const struct ws_conn *c) {
  return c->state == WS_CONN_OPEN && !c->is_close_sent && !c->stream.error;
}

/* And a message may stand next on the wire. */
static bool can_send(const struct ws_conn *c) {
  return c->state == WS_CONN_OPEN && !c->is_close_sent &&
         !ws_conn_has_behind(c) && !c->stream.error;
}

/* Whoever waits for the queue to drain, and sends it again, must not find it as
 * full as before. */
static void refused(struct ws_conn *c, size_t len) {
  const struct ws_conn_options *o = &c->route->options;
  uint64_t most = o->max_queued, low = o->low_water;
  if (low < most && len <= most - low) return;
  c->needs_empty = true;
  c->was_high = true;
}

/* What the kernel has not been offered yet does not count before it was. */
bool ws_conn_is_full(struct ws_conn *c, size_t len) {
  uint64_t most = c->route->options.max_queued;
  struct ws_stream *s = &c->stream;
  if (s->queued == 0 || most == WS_NO_LIMIT) return false;
  if (s->queued <= most && len <= most - s->queued) return false;
  if (!s->is_blocked) ws_stream_flush(s);
  if (!s->queued || (s->queued <= most && len <= most - s->queued))
    return false;
  refused(c, len);
  return true;
}

static enum ws_err broken(struct ws_conn *c) {
  ws_conn_cut(c, 1006, "out of memory");
  return WS_ERR_MEMORY;
}

static enum ws_err write_masked_copy(struct ws_conn *c, uint8_t first,
                                     const void *data, size_t len) {
  uint8_t mask[4];
  /* 10.3: a fresh mask for each frame, from a source nobody can guess */
  if (!ws_random_take(c->stream.watch.loop, mask, sizeof mask)) {
    ws_conn_cut(c, 1006, "no random bytes");
    return WS_ERR_SYS;
  }
  uint8_t *out = ws_stream_reserve(&c->stream, len + WS_FRAME_HEAD_MAX);
  if (!out) return broken(c);
  size_t head = ws_frame_encode(out, first, len, mask);
  if (len) ws_frame_mask_copy(out + head, data, len, mask, 0);
  ws_stream_commit(&c->stream, head + len);
  return WS_OK;
}

/* One frame by way of the stream's buffer. */
static inline enum ws_err write_copy(struct ws_conn *c, uint8_t first,
                                     const void *data, size_t len) {
  if (ws_conn_is_client(c)) return write_masked_copy(c, first, data, len);
  uint8_t *out = ws_stream_reserve(&c->stream, len + WS_FRAME_HEAD_MAX);
  if (!out) return broken(c);
  size_t head = ws_frame_encode(out, first, len, NULL);
  if (len) memcpy(out + head, data, len);
  ws_stream_commit(&c->stream, head + len);
  return WS_OK;
}

/* A long masked message: in pieces of the buffer's size, one frame. */
static enum ws_err write_masked(struct ws_conn *c, uint8_t first,
                                const uint8_t *data, size_t len) {
  struct ws_loop *loop = c->stream.watch.loop;
  uint8_t head[WS_FRAME_HEAD_MAX], mask[4];
  if (!ws_random_take(loop, mask, sizeof mask)) {
    ws_conn_cut(c, 1006, "no random bytes");
    return WS_ERR_SYS;
  }
  size_t n = ws_frame_encode(head, first, len, mask), off = 0;
  uint8_t *out = ws_stream_reserve(&c->stream, n);
  if (!out) return broken(c);
  memcpy(out, head, n);
  ws_stream_commit(&c->stream, n);
  while (off < len && !c->stream.error) {
    size_t take = len - off < WS_CORK_PAYLOAD ? len - off : WS_CORK_PAYLOAD;
    out = ws_stream_reserve(&c->stream, take);
    if (!out) return broken(c);
    ws_frame_mask_copy(out, data + off, take, mask, off & 3);
    ws_stream_commit(&c->stream, take);
    off += take;
  }
  return WS_OK;
}

static enum ws_err write_plain(struct ws_conn *c, uint8_t first,
                               const uint8_t *data, size_t len) {
  uint8_t head[WS_FRAME_HEAD_MAX];
  size_t n = ws_frame_encode(head, first, len, NULL);
  return ws_stream_write(&c->stream, head, n, data, len) ? WS_OK : broken(c);
}

/* What was published for it comes before whatever is sent now. */
static bool caught_up(struct ws_conn *c) {
  c->ahead->calls->catch_up(c);
  return ws_conn_can_send(c);
}

static inline enum ws_err write_frame(struct ws_conn *c, uint8_t first,
                                      const void *data, size_t len) {
  enum ws_err err;
  if (len <= WS_CORK_PAYLOAD)
    err = write_copy(c, first, data, len);
  else if (ws_conn_is_client(c))
    err = write_masked(c, first, data, len);
  else
    err = write_plain(c, first, data, len);
  if (err != WS_OK) return err;
  c->route->traffic.messages_out += first >> 7; /* WS_FIN: the last frame */
  c->route->traffic.bytes_out += len;
  if (c->stream.queued > c->route->options.high_water) c->was_high = true;
  if (c->ahead && c->stream.is_blocked) c->ahead->calls->note(c);
  return WS_OK;
}

enum ws_err ws_conn_write_frame(struct ws_conn *c, uint8_t first,
                                const void *data, size_t len) {
  return write_frame(c, first, data, len);
}

/* ---- behind other messages ---- */

size_t ws_conn_behind(const struct ws_conn *c) {
  const struct ws_rare *r = c->rare;
  return r->writing.behind.len + (r->fleetings ? r->fleetings->bytes : 0);
}

static void count_missed(struct ws_conn *c, size_t n) {
  c->rare->missed += n;
  c->route->traffic.dropped += n;
}

/* Has so much no room beside what waits? What has grown old makes some. */
static bool has_no_room(struct ws_conn *c, size_t len) {
  uint64_t most = c->route->options.max_queued;
  size_t waiting = ws_conn_buffered(c);
  if (waiting == 0 || (waiting <= most && len <= most - waiting)) return false;
  struct ws_fleetings *f = c->rare->fleetings;
  if (f)
    count_missed(c, ws_fleetings_age(f, ws_loop_now(c->stream.watch.loop)));
  waiting = ws_conn_buffered(c);
  return waiting > most || len > most - waiting;
}

static void note_waiting(struct ws_conn *c) {
  if (ws_conn_buffered(c) <= c->route->options.high_water) return;
  c->was_high = true;
  c->is_backed_up = !c->route->options.read_ahead;
  ws_conn_resume(c);
}

static bool append(struct ws_conn *c, struct ws_behind head, const void *data) {
  struct ws_buf *behind = &c->rare->writing.behind;
  if (!ws_buf_reserve(behind, sizeof head + head.len)) return false;
  ws_buf_append(behind, &head, sizeof head);
  ws_buf_append(behind, data, head.len);
  return true;
}

static enum ws_err keep(struct ws_conn *c, struct ws_behind head,
                        const void *data) {
  /* one that is over may have outlived its options */
  if (!ws_conn_has_behind(c) || !ws_conn_can_send(c)) return WS_ERR_CLOSED;
  if (!c->stream.is_blocked) ws_stream_flush(&c->stream);
  if (c->stream.error) return WS_ERR_CLOSED;
  if (has_no_room(c, head.len)) {
    refused(c, head.len);
    return ws_conn_overflow(c);
  }
  if (!append(c, head, data)) return broken(c);
  note_waiting(c);
  return WS_OK;
}

enum ws_err ws_conn_send_behind(struct ws_conn *c, uint8_t first,
                                const void *data, size_t len) {
  return keep(c, (struct ws_behind){len, first, WS_BEHIND_FRAME}, data);
}

/* A message, compressed already where `first` says so; without FIN. */
static inline enum ws_err emit(struct ws_conn *c, uint8_t first,
                               const void *data, size_t len) {
  if (!can_send(c)) return ws_conn_send_behind(c, first, data, len);
  if (c->ahead && !caught_up(c)) return WS_ERR_CLOSED;
  if (ws_conn_is_full(c, len)) return ws_conn_overflow(c);
  if (c->stream.error) return WS_ERR_CLOSED;
  return write_frame(c, (uint8_t)(first | WS_FIN), data, len);
}

/* What does not get smaller goes as it is; the window then forgets it, and
 * does so where it is refused after all. */
static enum ws_err send_compressed(struct ws_conn *c, uint8_t opcode,
                                   const void *data, size_t len) {
  size_t n = 0;
  if (!ws_conn_can_send(c)) return WS_ERR_CLOSED;
  /* before it is deflated: that may make the window forget */
  if (c->ahead && !caught_up(c)) return WS_ERR_CLOSED;
  if (ws_conn_is_full(c, 1)) return ws_conn_overflow(c);
  const uint8_t *out = ws_compression_deflate(&c->protocol, data, len, &n);
  if (!out) return emit(c, opcode, data, len);
  enum ws_err err = emit(c, opcode | WS_RSV1, out, n); /* RFC 7692 6.1 */
  if (err) ws_compression_forget(&c->protocol);
  return err;
}

enum ws_err ws_conn_send_plain(struct ws_conn *c, uint8_t opcode,
                               const void *data, size_t len) {
  return emit(c, opcode, data, len);
}

enum ws_err ws_conn_send(struct ws_conn *c, uint8_t opcode, const void *data,
                         size_t len) {
  if (c->protocol.extension.is_on && ws_conn_can_send(c) &&
      ws_compression_is_due(&c->protocol, len)) {
    /* what is compressed now would be so before what leaves before it */
    if (c->is_held)
      return keep(c, (struct ws_behind){len, opcode, WS_BEHIND_MESSAGE}, data);
    return send_compressed(c, opcode, data, len);
  }
  return emit(c, opcode, data, len);
}

/* ---- messages that may go ---- */

static bool has_fleetings(struct ws_conn *c) {
  struct ws_rare *r = ws_conn_rare(c);
  struct ws_hash_key key;
  if (!r || r->fleetings) return r != NULL;
  if (!ws_random_take(c->stream.watch.loop, &key, sizeof key)) return false;
  return (r->fleetings = ws_fleetings_new(key)) != NULL;
}

/* In the place of the one with its key, or behind all. */
static enum ws_err hold(struct ws_conn *c, uint8_t opcode,
                        struct ws_slice message, const struct ws_fleet *how) {
  double now = ws_loop_now(c->stream.watch.loop);
  double until = how->ttl > 0 ? now + how->ttl : 0;
  if (!has_fleetings(c)) return broken(c);
  struct ws_fleetings *f = c->rare->fleetings;
  struct ws_fleeting *m = ws_fleetings_find(f, how);
  size_t more =
    m ? message.n > m->len ? message.n - m->len : 0 : message.n + sizeof *m;
  if (more && has_no_room(c, more)) {
    refused(c, more);
    return ws_conn_overflow(c);
  }
  if (m) {
    bool was_gone = m->is_gone;
    if (!ws_fleetings_replace(f, m, how, until, opcode, message))
      return broken(c);
    count_missed(c, !was_gone);
  } else {
    m = ws_fleetings_add(f, how, until, opcode, message);
    struct ws_behind head = {sizeof m, opcode, WS_BEHIND_FLEETING};
    if (!m || !append(c, head, &m)) return broken(c);
  }
  c->is_held = true;
  if (c->ahead) c->ahead->calls->note(c);
  note_waiting(c);
  return WS_OK;
}

enum ws_err ws_conn_send_fleeting(struct ws_conn *c, uint8_t opcode,
                                  struct ws_slice message,
                                  const struct ws_fleet *how) {
  struct ws_stream *s = &c->stream;
  if (!ws_conn_can_send(c) || (c->ahead && !caught_up(c))) return WS_ERR_CLOSED;
  if (!s->is_blocked && s->queued >= WS_CORK_PAYLOAD) ws_stream_flush(s);
  if (s->error) return WS_ERR_CLOSED;
  if (s->is_blocked || ws_conn_has_behind(c))
    return hold(c, opcode, message, how);
  return how->is_plain ? ws_conn_send_plain(c, opcode, message.p, message.n)
                       : ws_conn_send(c, opcode, message.p, message.n);
}

/* A message that has waited, now. */
static enum ws_err send_late(struct ws_conn *c, uint8_t opcode,
                             const void *data, size_t len) {
  size_t n = 0;
  const uint8_t *out = NULL;
  if (c->protocol.extension.is_on && ws_compression_is_due(&c->protocol, len))
    out = ws_compression_deflate(&c->protocol, data, len, &n);
  if (!out) return write_frame(c, opcode | WS_FIN, data, len);
  enum ws_err err = write_frame(c, opcode | WS_RSV1 | WS_FIN, out, n);
  if (err) ws_compression_forget(&c->protocol);
  return err;
}

static enum ws_err follow_fleeting(struct ws_conn *c, const uint8_t *at) {
  struct ws_fleeting *m;
  enum ws_err err = WS_OK;
  memcpy(&m, at, sizeof m);
  bool was_gone = m->is_gone;
  ws_fleetings_take(c->rare->fleetings, m);
  if (ws_fleeting_is_over(m, ws_loop_now(c->stream.watch.loop)))
    count_missed(c, !was_gone);
  else if (m->is_plain)
    err = write_frame(c, m->opcode | WS_FIN, m->data, m->len);
  else
    err = send_late(c, m->opcode, m->data, m->len);
  ws_fleeting_free(m);
  return err;
}

/* The first record leaves. False when it was the last one, or none can. */
static bool follow_one(struct ws_conn *c) {
  struct ws_buf *behind = &c->rare->writing.behind;
  struct ws_behind head;
  enum ws_err err;
  if (behind->len == 0 || !ws_conn_can_send(c)) return false;
  memcpy(&head, ws_buf_begin(behind), sizeof head);
  const uint8_t *at = ws_buf_begin(behind) + sizeof head;
  if (head.kind == WS_BEHIND_FLEETING)
    err = follow_fleeting(c, at);
  else if (head.kind == WS_BEHIND_MESSAGE)
    err = send_late(c, head.first, at, head.len);
  else
    err = write_frame(c, head.first | WS_FIN, at, head.len);
  if (err != WS_OK || !ws_conn_can_send(c)) return false;
  /* the peer's window has moved on without our compressor */
  if (c->is_held && head.first & WS_RSV1 && head.kind == WS_BEHIND_FRAME)
    ws_compression_forget(&c->protocol);
  ws_buf_consume(behind, sizeof head + head.len);
  return true;
}

/* May the next one leave? What the kernel would not take stays unframed. */
static bool may_follow(struct ws_stream *s) {
  if (!s->is_blocked && s->queued >= WS_CORK_PAYLOAD) ws_stream_flush(s);
  return !s->is_blocked && !s->error;
}

void ws_conn_follow(struct ws_conn *c, bool all) {
  struct ws_stream *s = &c->stream;
  if (!c->rare || c->has_writer) return;
  while ((all || may_follow(s)) && follow_one(c)) continue;
  if (c->state == WS_CONN_CLOSED) return; /* nothing waits any more */
  if (c->rare->writing.behind.len == 0) {
    ws_conn_drop_writer(c);
    if (c->ahead) c->ahead->calls->note(c);
  }
  if (c->is_backed_up && ws_conn_buffered(c) <= c->route->options.high_water)
    c->is_backed_up = false;
  ws_loop_late(s->watch.loop, &s->late); /* on_drain, a Close */
  ws_conn_resume(c);
}

enum ws_err ws_conn_send_control(struct ws_conn *c, uint8_t opcode,
                                 const void *data, size_t len) {
  if (!ws_conn_can_send(c) || (c->ahead && !caught_up(c))) return WS_ERR_CLOSED;
  return write_copy(c, (uint8_t)(opcode | WS_FIN), data, len);
}

enum ws_err ws_conn_ping(struct ws_conn *c, const void *data, size_t len) {
  double at = ws_loop_now(c->stream.watch.loop);
  struct ws_rare *r = data ? ws_conn_rare(c) : c->rare;
  enum ws_err err = data ? ws_conn_send_control(c, WS_OP_PING, data, len)
                         : ws_conn_send_control(c, WS_OP_PING, &at, sizeof at);
  if (err != WS_OK || (data && !r)) return err;
  c->ping_at = at;
  c->pings += c->pings < UINT16_MAX;
  if (r) r->has_ping = data != NULL;
  if (data) {
    memcpy(r->ping, data, len);
    r->ping_len = (uint8_t)len;
  }
  return WS_OK;
}

enum ws_err ws_conn_send_close(struct ws_conn *c, int code,
                               struct ws_slice reason) {
  uint8_t payload[WS_CONTROL_MAX];
  size_t n = ws_protocol_close_payload(payload, code, reason.p, reason.n);
  if (c->is_close_sent || c->stream.error) return WS_ERR_CLOSED;
  if (c->ahead && !caught_up(c)) return WS_ERR_CLOSED;
  if (c->ahead) c->ahead->calls->leave(c);
  if (c->is_held) ws_conn_follow(c, true);
  if (c->is_cut) return WS_ERR_MEMORY;
  ws_conn_drop_writer(c);
  enum ws_err err = write_copy(c, WS_OP_CLOSE | WS_FIN, payload, n);
  c->is_close_sent = true;
  ws_loop_late(c->stream.watch.loop, &c->stream.late);
  return err;
}

/* ---- an end with a word ---- */

/* The peer's author needs the reason; what happened in here (1011) is nobody
 * else's business. */
void ws_conn_fail(struct ws_conn *c, int code, const char *cause) {
  if (c->state != WS_CONN_OPEN && c->state != WS_CONN_CLOSING) return;
  struct ws_slice reason = {cause, code == 1011 ? 0 : strlen(cause)};
  if (!c->is_close_sent) ws_conn_send_close(c, code, reason);
  ws_conn_drop_unread(c);
  ws_conn_end(c, code, cause);
}

enum ws_err ws_conn_overflow(struct ws_conn *c) {
  if (c->route->options.close_when_full) ws_conn_fail(c, 1008, "slow consumer");
  return WS_ERR_FULL;
}
