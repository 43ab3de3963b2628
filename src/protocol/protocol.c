/* protocol.c: the receiving side of RFC 6455 5, as a state machine that takes
 * bytes and gives events. Rules that concern one frame alone are in frame.c. */
#include "protocol/protocol.h"

#include <assert.h>
#include <string.h>

#include "protocol/chunk.h"
#include "protocol/compression.h"
#include "protocol/utf8.h"
#include "protocol/whole.h"

/* Below this a read of its own for the payload saves nothing. (The fuzz
 * targets set it lower, to get there with short inputs.) */
#ifndef SPACE_MIN
#define SPACE_MIN 16384
#endif

/* The long way, which the short one does not make room for. */
#define NOINLINE __attribute__((noinline))

void ws_protocol_init(struct ws_protocol *p, enum ws_role role,
                      const struct ws_protocol_env *env) {
  memset(p, 0, sizeof *p);
  p->env = env;
  p->is_client = role == WS_CLIENT;
}

static void drop_message(struct ws_protocol *p) {
  if (!p->message) return;
  if (p->env->pool)
    ws_buf_pool_give(p->env->pool, &p->message->bytes);
  else
    ws_buf_free(&p->message->bytes);
  ws_mem_free(p->message);
  p->message = NULL;
}

static void drop_scrap(struct ws_protocol *p) {
  if (!p->scrap) return;
  ws_mem_free(p->scrap);
  p->scrap = NULL;
  p->scrap_len = 0;
}

static void drop_received(struct ws_protocol *p) {
  ws_compression_release(p);
  if (p->is_inflating) ws_compression_stop(p);
  drop_message(p);
  drop_scrap(p);
}

void ws_protocol_free(struct ws_protocol *p) {
  drop_received(p);
  ws_compression_free(p);
}

void ws_protocol_release(struct ws_protocol *p) {
  if (!p->is_delivered) return;
  p->is_delivered = false;
  drop_scrap(p);
  ws_compression_release(p);
  if (!p->kind) drop_message(p); /* else a control frame came inside of one */
}

static void fail(struct ws_protocol *p, struct ws_event *ev, enum ws_err err,
                 const char *why) {
  p->is_ended = true;
  drop_received(p);
  ev->type = WS_EVENT_ERROR;
  ev->code = err == WS_ERR_MEMORY ? 1011 : (uint16_t)-err;
  ev->why = why;
}

/* RFC 7692 6: RSV1 says that a message is compressed, on its first frame. */
static bool is_rsv_right(const struct ws_protocol *p,
                         const struct ws_frame *f) {
  return f->rsv == 0 ||
         (f->rsv == WS_RSV1 && p->extension.is_on &&
          (f->opcode == WS_OP_TEXT || f->opcode == WS_OP_BINARY));
}

/* It is over max_message; of a message in chunks a wider limit counts. */
static bool is_too_big(const struct ws_protocol *p, const struct ws_frame *f) {
  bool is_whole = f->opcode == WS_OP_CONTINUATION
                    ? !p->in_chunks || p->is_compressed
                    : !p->wants_chunks || f->rsv;
  uint64_t most = p->env->max_stream, have = ws_protocol_gathered(p);
  return is_whole || have > most || f->len > most - have;
}

/* 5.4, 5.5 and the limits, judged from the head alone. */
static const char *check_frame(const struct ws_protocol *p,
                               const struct ws_frame *f, enum ws_err *err) {
  *err = WS_ERR_PROTOCOL;
  if (!is_rsv_right(p, f)) return "reserved bits are set";
  if (f->is_masked == p->is_client)
    return p->is_client ? "a masked frame" : "an unmasked frame"; /* 5.1 */
  switch (f->opcode) {
  case WS_OP_CONTINUATION:
    if (!p->kind) return "a continuation of nothing";
    break;
  case WS_OP_TEXT:
  case WS_OP_BINARY:
    if (p->kind) return "a message inside a message";
    break;
  case WS_OP_CLOSE:
  case WS_OP_PING:
  case WS_OP_PONG: return NULL;
  default: return "a reserved opcode";
  }
  uint64_t have = ws_protocol_gathered(p);
  *err = WS_ERR_TOO_BIG;
  if ((have > p->env->max_message || f->len > p->env->max_message - have) &&
      is_too_big(p, f))
    return "the message is too big";
  *err = WS_ERR_POLICY;
  if (p->kind && p->fragments >= p->env->max_fragments)
    return "too many fragments";
  return NULL;
}

static bool start_frame(struct ws_protocol *p, const struct ws_frame *f,
                        struct ws_event *ev) {
  enum ws_err err;
  const char *why = check_frame(p, f, &err);
  if (why) {
    fail(p, ev, err, why);
    return false;
  }
  memcpy(p->mask, f->mask, sizeof p->mask);
  p->phase = 0;
  p->left = f->len;
  p->opcode = f->opcode;
  p->is_fin = f->fin;
  p->in_payload = true;
  if (f->opcode >= WS_OP_CLOSE) return true;
  if (f->opcode != WS_OP_CONTINUATION) {
    p->kind = f->opcode;
    p->is_compressed = f->rsv != 0;
    p->utf8 = WS_UTF8_START;
    p->fragments = 0;
    if (p->in_chunks || p->wants_chunks) p->in_chunks = p->wants_chunks;
  }
  p->fragments++;
  return true;
}

/* Keeps a piece of a head or of a control's payload behind what there is. */
static bool keep_scrap(struct ws_protocol *p, const uint8_t *bytes, size_t n,
                       struct ws_event *ev) {
  if (!p->scrap && !(p->scrap = ws_mem_alloc(WS_CONTROL_MAX))) {
    fail(p, ev, WS_ERR_MEMORY, "out of memory");
    return false;
  }
  memcpy(p->scrap + p->scrap_len, bytes, n);
  p->scrap_len = (uint8_t)(p->scrap_len + n);
  return true;
}

/* Reads a frame head, from the bytes or from what was kept of it. */
static size_t take_head(struct ws_protocol *p, const uint8_t *bytes, size_t n,
                        struct ws_event *ev) {
  struct ws_frame f;
  size_t taken = 0;
  int used;
  if (!p->scrap) {
    used = ws_frame_decode(&f, bytes, n);
    if (used == 0) { /* n < WS_FRAME_HEAD_MAX, or it would be complete */
      keep_scrap(p, bytes, n, ev);
      return n;
    }
    taken = used > 0 ? (size_t)used : n;
  } else {
    do {
      p->scrap[p->scrap_len++] = bytes[taken++];
      used = ws_frame_decode(&f, p->scrap, p->scrap_len);
    } while (used == 0 && taken < n);
    if (used == 0) return taken;
    drop_scrap(p);
  }
  if (used < 0)
    fail(p, ev, WS_ERR_PROTOCOL, "a malformed frame");
  else
    start_frame(p, &f, ev);
  return taken;
}

/* 5.5.1 and 7.4: what a close frame may hold. */
static void take_close(struct ws_protocol *p, const uint8_t *data, size_t len,
                       struct ws_event *ev) {
  int code = 1005;
  if (len == 1) {
    fail(p, ev, WS_ERR_PROTOCOL, "a close payload of one byte");
    return;
  }
  if (len >= 2) {
    code = data[0] << 8 | data[1];
    if (!ws_protocol_may_send_code(code)) {
      fail(p, ev, WS_ERR_PROTOCOL, "a bad close code");
      return;
    }
    data += 2;
    len -= 2;
    if (!ws_utf8_is_valid(data, len)) {
      fail(p, ev, WS_ERR_UTF8, "a close reason that is not UTF-8");
      return;
    }
  }
  p->is_ended = true;
  drop_message(p);
  ev->type = WS_EVENT_CLOSE;
  ev->code = (uint16_t)code;
  ev->data = data;
  ev->len = len;
}

static void finish_control(struct ws_protocol *p, const uint8_t *data,
                           size_t len, struct ws_event *ev) {
  p->in_payload = false;
  p->is_delivered = true;
  if (p->opcode == WS_OP_CLOSE) {
    take_close(p, data, len, ev);
    return;
  }
  ev->type = p->opcode == WS_OP_PING ? WS_EVENT_PING : WS_EVENT_PONG;
  ev->data = data;
  ev->len = len;
}

static size_t take_control(struct ws_protocol *p, uint8_t *bytes, size_t n,
                           struct ws_event *ev) {
  size_t take = p->left < n ? (size_t)p->left : n;
  if (!p->is_client) ws_frame_mask(bytes, take, p->mask, p->phase);
  p->phase = (uint8_t)((p->phase + take) & 3);
  p->left -= take;
  if (p->left == 0 && !p->scrap) {
    finish_control(p, bytes, take, ev);
    return take;
  }
  if (keep_scrap(p, bytes, take, ev) && p->left == 0)
    finish_control(p, p->scrap, p->scrap_len, ev);
  return take;
}

static bool has_message(struct ws_protocol *p) {
  if (!p->message) p->message = ws_mem_zero(sizeof *p->message);
  return p->message != NULL;
}

/* Room for n bytes, when `come` are there with those kept before. The buffer
 * grows with what has come, never with what was announced; once an eighth is
 * there, the announcement is believed, and a byte for a zero behind it. It at
 * least doubles in any case, or many fragments would be copied as often. */
static bool make_room(struct ws_protocol *p, size_t n, size_t come) {
  if (!has_message(p)) return false;
  struct ws_buf *b = &p->message->bytes;
  uint64_t whole = b->len + p->left;
  if (ws_buf_room(b) >= n) return true;
  bool is_believed = whole <= SIZE_MAX / 2 && come >= whole / 8;
  if (is_believed && p->env->pool &&
      ws_buf_pool_take(p->env->pool, b, (size_t)whole + 1))
    return true;
  if (is_believed && p->left >= b->len)
    return ws_buf_reserve_exact(b, (size_t)p->left + 1);
  return ws_buf_reserve(b, n);
}

/* 8.1: text is judged as it comes, not when it is complete. */
static bool check_text(struct ws_protocol *p, const uint8_t *data, size_t n,
                       bool is_last, struct ws_event *ev) {
  if (p->kind != WS_OP_TEXT || p->is_compressed) return true;
  if (ws_utf8_feed(&p->utf8, data, n) && (!is_last || p->utf8 == WS_UTF8_START))
    return true;
  fail(p, ev, WS_ERR_UTF8, WS_BAD_TEXT);
  return false;
}

static void deliver(struct ws_protocol *p, const uint8_t *data, size_t len,
                    struct ws_event *ev) {
  ev->type = WS_EVENT_MESSAGE;
  ev->opcode = p->kind;
  ev->was_compressed = p->is_compressed;
  ev->data = data;
  ev->len = len;
  p->kind = 0;
  p->is_delivered = true;
}

/* The same for one that is complete, but compressed. */
static void deliver_inflated(struct ws_protocol *p, const uint8_t *data,
                             size_t len, struct ws_event *ev) {
  struct ws_buf *out;
  const char *why;
  enum ws_err err = ws_compression_inflate(p, data, len, &out, &why);
  if (err) {
    fail(p, ev, err, why);
  } else if (out) {
    deliver(p, ws_buf_begin(out), out->len, ev);
  } else {
    p->in_payload = true; /* of which nothing is left to come */
    ev->type = WS_EVENT_LATER;
  }
  if (p->in_chunks && ev->type == WS_EVENT_MESSAGE) {
    ev->type = WS_EVENT_CHUNK;
    ev->is_final = true;
  }
}

/* A frame's payload has come to its end. */
static void finish_data(struct ws_protocol *p, struct ws_event *ev) {
  static const uint8_t nothing[1];
  const uint8_t *data = nothing;
  size_t len = 0;
  p->in_payload = false;
  if (!p->is_fin) return;
  if (p->message && p->message->bytes.len) {
    data = ws_buf_begin(&p->message->bytes);
    len = p->message->bytes.len;
  }
  if (p->is_compressed)
    deliver_inflated(p, data, len, ev);
  else
    deliver(p, data, len, ev);
}

static size_t take_data(struct ws_protocol *p, uint8_t *bytes, size_t n,
                        struct ws_event *ev) {
  size_t take = p->left < n ? (size_t)p->left : n;
  bool is_last = p->is_fin && take == p->left;
  if (is_last && p->opcode != WS_OP_CONTINUATION && !p->message) {
    if (!p->is_client) ws_frame_mask(bytes, take, p->mask, p->phase);
    p->left = 0;
    if (!check_text(p, bytes, take, true, ev)) return take;
    p->in_payload = false;
    if (p->is_compressed)
      deliver_inflated(p, bytes, take, ev);
    else
      deliver(p, bytes, take, ev);
    return take;
  }
  if (take) {
    if (!make_room(p, take, (size_t)ws_protocol_gathered(p) + take)) {
      fail(p, ev, WS_ERR_MEMORY, "out of memory");
      return take;
    }
    uint8_t *to = ws_buf_end(&p->message->bytes);
    if (p->is_client)
      memcpy(to, bytes, take);
    else
      ws_frame_mask_copy(to, bytes, take, p->mask, p->phase);
    p->phase = (uint8_t)((p->phase + take) & 3);
    p->left -= take;
    ws_buf_commit(&p->message->bytes, take);
    if (!check_text(p, to, take, is_last, ev)) return take;
  } else if (!check_text(p, bytes, 0, is_last, ev)) {
    return take;
  }
  if (p->left == 0) finish_data(p, ev);
  return take;
}

static size_t take_chunk(struct ws_protocol *p, uint8_t *bytes, size_t n,
                         struct ws_event *ev) {
  size_t used = p->left < n ? (size_t)p->left : n;
  bool is_all = p->is_fin && p->left == used;
  if (!is_all && !has_message(p))
    fail(p, ev, WS_ERR_MEMORY, "out of memory");
  else if (!ws_chunk_take(p, bytes, n, ev, &used))
    fail(p, ev, WS_ERR_UTF8, WS_BAD_TEXT);
  return used;
}

static size_t take_payload(struct ws_protocol *p, uint8_t *bytes, size_t n,
                           struct ws_event *ev) {
  if (p->opcode >= WS_OP_CLOSE) return take_control(p, bytes, n, ev);
  if (p->in_chunks && !p->is_compressed) return take_chunk(p, bytes, n, ev);
  return take_data(p, bytes, n, ev);
}

static NOINLINE size_t feed(struct ws_protocol *p, uint8_t *bytes, size_t n,
                            struct ws_event *ev) {
  size_t i = 0;
  ev->type = WS_EVENT_NONE;
  if (p->is_bad && !p->is_ended) fail(p, ev, WS_ERR_UTF8, WS_BAD_TEXT);
  while (!p->is_ended) {
    if (!p->in_payload) {
      if (i == n) return i;
      i += take_head(p, bytes + i, n - i, ev);
    } else {
      if (i == n && p->left) return i;
      i += take_payload(p, bytes + i, n - i, ev);
    }
    if (ev->type != WS_EVENT_NONE) return i;
  }
  return n; /* 5.5.1: whatever comes after the end is ignored */
}

size_t ws_protocol_feed(struct ws_protocol *p, uint8_t *bytes, size_t n,
                        struct ws_event *ev) {
  if (p->is_delivered) ws_protocol_release(p);
  size_t used = ws_whole_take(p, bytes, n, ev);
  if (!used) return feed(p, bytes, n, ev);
  if (ev->type == WS_EVENT_NONE) fail(p, ev, WS_ERR_UTF8, WS_BAD_TEXT);
  return used;
}

uint8_t *ws_protocol_space(struct ws_protocol *p, size_t *n) {
  if (p->is_ended || !p->in_payload || p->opcode >= WS_OP_CLOSE ||
      p->is_delivered || p->left < SPACE_MIN || !p->message)
    return NULL;
  struct ws_buf *b = &p->message->bytes;
  size_t want = p->left < b->len ? (size_t)p->left : b->len;
  if (b->len < SPACE_MIN || !make_room(p, want, b->len))
    return NULL; /* without memory feed will meet it again */
  size_t room = ws_buf_room(b);
  *n = p->left < room ? (size_t)p->left : room;
  return ws_buf_end(b);
}

void ws_protocol_filled(struct ws_protocol *p, size_t n) {
  struct ws_buf *b = &p->message->bytes;
  uint8_t *data = ws_buf_end(b);
  assert(n <= p->left && n <= ws_buf_room(b));
  if (!p->is_client) ws_frame_mask(data, n, p->mask, p->phase);
  p->phase = (uint8_t)((p->phase + n) & 3);
  p->left -= n;
  ws_buf_commit(b, n);
  if (p->kind == WS_OP_TEXT && !p->is_compressed &&
      !ws_utf8_feed(&p->utf8, data, n))
    p->is_bad = true;
}

bool ws_protocol_may_send_code(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

size_t ws_protocol_close_payload(uint8_t out[WS_CONTROL_MAX], int code,
                                 const char *reason, size_t len) {
  if (code == 1005) return 0;
  if (len > WS_REASON_MAX) {
    len = WS_REASON_MAX;
    while (len && ((uint8_t)reason[len] & 0xC0) == 0x80) len--;
  }
  out[0] = (uint8_t)(code >> 8);
  out[1] = (uint8_t)code;
  if (len) memcpy(out + 2, reason, len);
  return len + 2;
}
