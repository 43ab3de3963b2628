/* check.c: mostly one comparison with the prepared answers; where a server
 * does it in another way (fragments, pings, compression), frame by frame. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "load.h"

enum { TEXT = 1, BINARY, CLOSE = 8, PING, PONG };

struct check_frames {
  uint8_t head[FRAME_HEAD_MAX];
  uint8_t head_len, head_need;
  uint8_t opcode;         /* of the frame */
  bool is_fin, is_inside; /* a frame, a message */
  bool is_packed;         /* the message */
  bool is_one;            /* it came in one frame */
  uint64_t left;          /* bytes of the frame */
  size_t at;              /* bytes of the message so far */
  uint8_t *packed;        /* these, while it is a compressed one */
  size_t packed_room;
  struct check_control control;
};

void check_start(struct check *c, const struct messages *m, unsigned which) {
  *c = (struct check){.which = which};
  if (m->answers.bytes) c->at = which > 0 ? m->answers.ends[which - 1] : 0;
}

void check_free(struct check *c) {
  if (c->frames) free(c->frames->packed);
  free(c->frames);
  c->frames = NULL;
}

/* ---- by comparison ---- */

static size_t begin_of(const struct round *r, unsigned which) {
  return which > 0 ? r->ends[which - 1] : 0;
}

static unsigned pass(struct check *c, const struct messages *m, size_t n) {
  const struct round *r = &m->answers;
  unsigned done = 0;
  c->at += n;
  while (c->at >= r->ends[c->which]) {
    done++;
    if (++c->which < m->n) continue;
    c->which = 0;
    c->at -= r->len;
  }
  return done;
}

/* ---- by frames ---- */

static void finish_message(struct check *c, struct messages *m) {
  struct check_frames *f = c->frames;
  if (f->is_packed) {
    if (!messages_inflates_to(m, c->which, f->packed, f->at))
      fail("a compressed answer is wrong");
    if (f->is_one) {
      uint8_t *whole = take_memory(FRAME_HEAD_MAX + f->at);
      size_t head = frame_head(whole, m->kind.is_text ? 0xC1 : 0xC2, f->at);
      memcpy(whole + head, f->packed, f->at);
      messages_learn(m, c->which, whole, head + f->at, BUFFER_SIZE);
      free(whole);
    }
  } else if (f->at != m->kind.answer_size) {
    fail("an answer has %zu bytes instead of %zu", f->at, m->kind.answer_size);
  }
  f->is_inside = false;
  c->which = (c->which + 1) % m->n;
}

static void begin_data(struct check_frames *f, const struct messages *m) {
  uint8_t wanted = m->kind.is_text ? TEXT : BINARY;
  bool is_packed = f->head[0] & 0x40;
  if (f->head[0] & 0x30) fail("a frame with a reserved bit");
  if (f->is_inside) {
    if (f->opcode != 0) fail("a message inside of another one");
    if (is_packed) fail("RSV1 in a continuation");
    f->is_one = false;
    return;
  }
  if (f->opcode != wanted) fail("opcode %d instead of %d", f->opcode, wanted);
  if (is_packed && !m->kind.is_deflated) fail("RSV1 without an extension");
  f->is_inside = f->is_one = true;
  f->is_packed = is_packed;
  f->at = 0;
}

static void begin_frame(struct check_frames *f, const struct messages *m) {
  f->left = f->head[1] & 0x7F;
  if (f->left >= 126) {
    f->left = 0;
    for (int i = 2; i < f->head_need; i++) f->left = f->left << 8 | f->head[i];
  }
  f->opcode = f->head[0] & 15;
  f->is_fin = f->head[0] >> 7;
  if (f->head[1] & 0x80) fail("a masked frame");
  if (f->opcode < CLOSE) {
    begin_data(f, m);
    return;
  }
  if (f->opcode > PONG || f->left > 125 || (f->head[0] & 0xF0) != 0x80)
    fail("a bad control frame");
  f->control.opcode = f->opcode;
  f->control.len = 0;
}

/* Bytes of the head; true when it is complete. */
static bool take_head(struct check_frames *f, const uint8_t **bytes,
                      const uint8_t *end) {
  while (*bytes < end && f->head_len < f->head_need) {
    f->head[f->head_len++] = *(*bytes)++;
    if (f->head_len != 2) continue;
    uint8_t len = f->head[1] & 0x7F;
    f->head_need = (uint8_t)(len == 126 ? 4 : len == 127 ? 10 : 2);
  }
  return f->head_len == f->head_need;
}

static void keep_packed(struct check_frames *f, const struct messages *m,
                        const uint8_t *bytes, size_t n) {
  if (!f->packed) {
    f->packed_room = m->kind.size * 2 + 1024;
    f->packed = take_memory(f->packed_room);
  }
  if (n > f->packed_room - f->at) fail("a compressed answer is too long");
  memcpy(f->packed + f->at, bytes, n);
}

static void take_payload(struct check *c, const struct messages *m,
                         const uint8_t *bytes, size_t n) {
  struct check_frames *f = c->frames;
  f->left -= n;
  if (f->opcode >= CLOSE) {
    memcpy(f->control.payload + f->control.len, bytes, n);
    f->control.len += (uint8_t)n;
    return;
  }
  if (f->is_packed)
    keep_packed(f, m, bytes, n);
  else if (n > m->kind.answer_size - f->at ||
           memcmp(bytes, m->expected[c->which] + f->at, n) != 0)
    fail("an answer differs from what was sent");
  f->at += n;
}

/* Until the bytes' end, or a control frame's. */
static unsigned read_frames(struct check *c, struct messages *m,
                            const uint8_t **from, const uint8_t *end) {
  struct check_frames *f = c->frames;
  const uint8_t *bytes = *from;
  unsigned done = 0;
  while (bytes < end) {
    if (f->head_len < f->head_need) {
      if (!take_head(f, &bytes, end)) break;
      begin_frame(f, m);
    }
    size_t n = (size_t)(end - bytes);
    if (n > f->left) n = f->left;
    take_payload(c, m, bytes, n);
    bytes += n;
    if (f->left > 0) break;
    f->head_len = 0;
    f->head_need = 2;
    if (f->opcode >= CLOSE) break;
    if (!f->is_fin) continue;
    finish_message(c, m);
    done++;
  }
  *from = bytes;
  return done;
}

/* Between two frames and two messages? */
static bool is_between(const struct check_frames *f) {
  return f->head_len == 0 && !f->is_inside;
}

static void stop_frames(struct check *c, const struct messages *m) {
  if (!m->answers.bytes || !is_between(c->frames)) return;
  check_free(c);
  c->at = begin_of(&m->answers, c->which);
}

/* What has been compared already of an answer is read as a frame. */
static void start_frames(struct check *c, struct messages *m) {
  c->frames = take_memory(sizeof *c->frames);
  memset(c->frames, 0, sizeof *c->frames);
  c->frames->head_need = 2;
  if (!m->answers.bytes) return;
  size_t begin = begin_of(&m->answers, c->which);
  const uint8_t *from = m->answers.bytes + begin;
  read_frames(c, m, &from, m->answers.bytes + c->at);
}

unsigned check_bytes(struct check *c, struct messages *m, const uint8_t *bytes,
                     size_t n, size_t *used, struct check_control *control) {
  const struct round *r = &m->answers;
  control->opcode = 0;
  *used = n;
  if (!c->frames && r->bytes && n <= r->room - c->at &&
      memcmp(bytes, r->bytes + c->at, n) == 0)
    return pass(c, m, n);
  if (!c->frames) start_frames(c, m);
  const uint8_t *from = bytes;
  unsigned done = read_frames(c, m, &from, bytes + n);
  struct check_frames *f = c->frames;
  *used = (size_t)(from - bytes);
  if (f->head_len == 0 && f->opcode >= CLOSE) {
    *control = f->control;
    f->opcode = 0;
  }
  stop_frames(c, m);
  return done;
}
