/* message.c: payloads, frames and expected answers. */
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "load.h"

#define ROUND_BYTES (64 * 1024) /* about as much as one round is made of */

static uint32_t random32(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (uint32_t)(*state >> 16);
}

/* ---- payloads ---- */

static void fill_binary(uint8_t *to, size_t n, uint64_t *seed) {
  for (size_t i = 0; i < n; i++) to[i] = (uint8_t)random32(seed);
}

/* Records as servers exchange them, so that compression finds what it finds
 * there. */
static void fill_records(uint8_t *to, size_t n, uint64_t *seed) {
  static const char *const names[] = {"Ada",   "Boole",  "Curie", "Dirac",
                                      "Euler", "Fermat", "Gauss", "Hopper"};
  static const char *const acts[] = {"view", "order", "cancel", "return"};
  size_t at = 0;
  while (at < n) {
    char record[160];
    uint32_t r = random32(seed);
    int len =
      snprintf(record, sizeof record,
               "{\"id\":%u,\"name\":\"%s\",\"act\":\"%s\","
               "\"price\":%u.%02u,\"paid\":%s}\n",
               r % 1000000, names[r & 7], acts[r >> 3 & 3],
               random32(seed) % 1000, r % 100, r & 64 ? "true" : "false");
    size_t piece = (size_t)len < n - at ? (size_t)len : n - at;
    memcpy(to + at, record, piece);
    at += piece;
  }
}

/* Characters of one to four bytes, none of them cut. */
static void fill_utf8(uint8_t *to, size_t n, uint64_t *seed) {
  static const char *const words[] = {
    "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E",
    "\xC3\xA9t\xC3\xA9",
    "\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82",
    "plain",
    "\xF0\x9F\x98\x80",
    "\xE2\x82\xAC",
    "na\xC3\xAFve",
    "\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4",
  };
  size_t at = 0;
  while (at < n) {
    const char *word = words[random32(seed) & 7];
    size_t len = strlen(word);
    if (len < n - at) {
      memcpy(to + at, word, len);
      at += len;
    }
    to[at++] = ' ';
  }
}

/* As the client of JavaScript writes it, and the answer; all are equally
 * long. */
#define CALL \
  "{\"arguments\":[%u,%u],\"invocationId\":\"%u\",\"target\":\"Add\"," \
  "\"type\":1}\x1E"
#define ANSWER "{\"type\":3,\"invocationId\":\"%u\",\"result\":%u}\x1E"

/* The same as MessagePack, with their lengths: numbers of 16 bits. */
#define PACKED_CALL \
  "\x12\x95\x01\x80\xA3%u\xA3" \
  "Add\x92\xCD%c%c\xCD%c%c"
#define PACKED_ANSWER "\x0B\x95\x03\x80\xA3%u\x03\xCD%c%c"

static uint8_t *copy_of(const char *bytes, size_t n) {
  return memcpy(take_memory(n), bytes, n);
}

static void make_call(struct messages *m, unsigned i) {
  unsigned id = 100 + i, a = m->kind.is_messagepack ? id + 200 : id,
           b = 300 + 7 * i % 300, sum = a + b;
  char call[128], answer[128];
  int n, answered;
  if (m->kind.is_messagepack) {
    n = snprintf(call, sizeof call, PACKED_CALL, id, a >> 8, a & 255, b >> 8,
                 b & 255);
    answered =
      snprintf(answer, sizeof answer, PACKED_ANSWER, id, sum >> 8, sum & 255);
  } else {
    n = snprintf(call, sizeof call, CALL, a, b, id);
    answered = snprintf(answer, sizeof answer, ANSWER, id, sum);
  }
  m->kind.size = m->kind.answer_size = (size_t)n;
  m->payloads[i] = m->expected[i] = copy_of(call, m->kind.size);
  if (!m->kind.is_hub) return;
  m->kind.answer_size = (size_t)answered;
  m->expected[i] = copy_of(answer, m->kind.answer_size);
}

/* A record that comes back as it is: it says the rest of its bytes. */
#define NOTICE "{\"type\":1,\"target\":\"Said\",\"arguments\":[\""
#define NOTICE_END "\"]}\x1E"

static void fill_notice(uint8_t *to, size_t n, uint64_t *seed) {
  size_t head = sizeof NOTICE - 1, tail = sizeof NOTICE_END - 1;
  if (n < head + tail) fail("a notice has %zu bytes and more", head + tail);
  memcpy(to, NOTICE, head);
  memcpy(to + n - tail, NOTICE_END, tail);
  for (size_t i = head; i < n - tail; i++)
    to[i] = (uint8_t)('a' + random32(seed) % 26);
}

static void make_payload(struct messages *m, unsigned i) {
  uint64_t seed = 0x9E3779B97F4A7C15u * (i + 1);
  if (m->kind.is_call) {
    make_call(m, i);
    return;
  }
  uint8_t *to = take_memory(m->kind.size);
  if (m->kind.is_notice)
    fill_notice(to, m->kind.size, &seed);
  else if (m->kind.is_utf8)
    fill_utf8(to, m->kind.size, &seed);
  else if (m->kind.is_text || m->kind.is_deflated)
    fill_records(to, m->kind.size, &seed);
  else
    fill_binary(to, m->kind.size, &seed);
  m->payloads[i] = m->expected[i] = to;
}

/* ---- frames ---- */

size_t frame_head(uint8_t *to, uint8_t first, uint64_t len) {
  to[0] = first;
  if (len < 126) {
    to[1] = (uint8_t)len;
    return 2;
  }
  int n = len < 65536 ? 2 : 8;
  to[1] = n == 2 ? 126 : 127;
  for (int i = 0; i < n; i++) to[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
  return 2 + (size_t)n;
}

static size_t put_masked(uint8_t *to, uint8_t first, const uint8_t *bytes,
                         size_t n, uint32_t mask) {
  uint8_t key[4];
  size_t head = frame_head(to, first, n);
  memcpy(key, &mask, sizeof key);
  to[1] |= 0x80;
  memcpy(to + head, key, sizeof key);
  for (size_t i = 0; i < n; i++) to[head + 4 + i] = bytes[i] ^ key[i & 3];
  return head + 4 + n;
}

size_t frame_of_text(uint8_t *to, const char *text) {
  return put_masked(to, 0x81, (const uint8_t *)text, strlen(text), 0x5AA53CC3);
}

/* RFC 7692 7.2.1; without the four bytes at the end. */
static uint8_t *deflated(const uint8_t *bytes, size_t *n) {
  z_stream z = {0};
  if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    fail("zlib has no memory");
  size_t room = deflateBound(&z, *n) + 64;
  uint8_t *out = take_memory(room);
  z.next_in = (uint8_t *)bytes;
  z.avail_in = (uInt)*n;
  z.next_out = out;
  z.avail_out = (uInt)room;
  if (deflate(&z, Z_SYNC_FLUSH) != Z_OK) fail("zlib cannot deflate");
  *n = room - z.avail_out - 4;
  deflateEnd(&z);
  return out;
}

/* One message as frames at `to`; returns their length. */
static size_t put_message(const struct messages *m, unsigned which,
                          uint8_t *to) {
  const struct message_kind *k = &m->kind;
  uint8_t *packed = NULL, first = k->is_text ? 1 : 2;
  const uint8_t *bytes = m->payloads[which];
  uint64_t seed = 0xD1B54A32D192ED03u * (which + 1);
  size_t n = k->size, at = 0, len = 0;
  if (k->is_deflated) {
    bytes = packed = deflated(bytes, &n);
    first |= 0x40;
  }
  for (unsigned i = 1; i <= k->fragments; i++) {
    size_t end = n * i / k->fragments;
    uint8_t fin = i == k->fragments ? 0x80 : 0;
    len += put_masked(to + len, fin | first, bytes + at, end - at,
                      random32(&seed) | 1);
    at = end;
    first = 0;
  }
  free(packed);
  return len;
}

/* ---- rounds ---- */

/* Repeats what is there until `room` is full. */
static void repeat(struct round *r, size_t room) {
  uint8_t *all = take_memory(room);
  memcpy(all, r->bytes, r->len);
  for (size_t have = r->len; have < room;) {
    size_t n = have < room - have ? have : room - have;
    memcpy(all + have, all, n);
    have += n;
  }
  free(r->bytes);
  r->bytes = all;
  r->room = room;
}

static void make_frames(struct messages *m, size_t most) {
  size_t frame = FRAME_HEAD_MAX + 4, longest = 0;
  size_t one =
    m->kind.size + m->kind.size / 8 + 128 + frame * m->kind.fragments;
  m->frames.bytes = take_memory(one * m->n);
  for (unsigned i = 0; i < m->n; i++) {
    size_t len = put_message(m, i, m->frames.bytes + m->frames.len);
    m->frames.len += len;
    m->frames.ends[i] = m->frames.len;
    if (len > longest) longest = len;
  }
  repeat(&m->frames, m->frames.len + most * longest);
}

static void make_answers(struct messages *m, size_t longest) {
  uint8_t first = m->kind.is_text ? 0x81 : 0x82;
  size_t size = m->kind.answer_size;
  m->answers.bytes = take_memory((size + FRAME_HEAD_MAX) * m->n);
  for (unsigned i = 0; i < m->n; i++) {
    uint8_t *to = m->answers.bytes + m->answers.len;
    size_t head = frame_head(to, first, size);
    memcpy(to + head, m->expected[i], size);
    m->answers.len += head + size;
    m->answers.ends[i] = m->answers.len;
  }
  repeat(&m->answers, m->answers.len + longest);
}

void messages_make(struct messages *m, const struct message_kind *kind,
                   size_t longest, size_t most) {
  size_t n = ROUND_BYTES / (kind->size + 1);
  *m = (struct messages){.kind = *kind};
  m->n = (unsigned)(n < 2 ? 2 : n > KINDS_MAX ? KINDS_MAX : n);
  m->kind.answer_size = kind->size;
  for (unsigned i = 0; i < m->n; i++) make_payload(m, i);
  make_frames(m, most);
  if (!kind->is_deflated) make_answers(m, longest);
}

void messages_free(struct messages *m) {
  for (unsigned i = 0; i < m->n; i++) {
    if (m->expected[i] != m->payloads[i]) free(m->expected[i]);
    free(m->payloads[i]);
    free(m->learnt[i]);
  }
  free(m->frames.bytes);
  free(m->answers.bytes);
}

/* ---- compressed answers ---- */

void messages_learn(struct messages *m, unsigned which, const uint8_t *bytes,
                    size_t len, size_t longest) {
  struct round *r = &m->answers;
  if (r->bytes || m->learnt[which]) return;
  m->learnt[which] = take_memory(len);
  memcpy(m->learnt[which], bytes, len);
  m->learnt_len[which] = len;
  r->len += len;
  if (++m->n_learnt < m->n) return;
  r->bytes = take_memory(r->len);
  size_t at = 0;
  for (unsigned i = 0; i < m->n; i++) {
    memcpy(r->bytes + at, m->learnt[i], m->learnt_len[i]);
    at += m->learnt_len[i];
    r->ends[i] = at;
  }
  repeat(r, r->len + longest);
}

bool messages_inflates_to(const struct messages *m, unsigned which,
                          const uint8_t *bytes, size_t len) {
  static uint8_t tail[] = {0, 0, 0xFF, 0xFF};
  size_t room = m->kind.size + 64;
  uint8_t *out = take_memory(room);
  z_stream z = {0};
  if (inflateInit2(&z, -15) != Z_OK) fail("zlib has no memory");
  z.next_in = (uint8_t *)bytes;
  z.avail_in = (uInt)len;
  z.next_out = out;
  z.avail_out = (uInt)room;
  int r = inflate(&z, Z_SYNC_FLUSH);
  bool is_right = r == Z_OK && z.avail_in == 0;
  if (is_right) {
    z.next_in = tail; /* 7.2.2 */
    z.avail_in = sizeof tail;
    r = inflate(&z, Z_SYNC_FLUSH);
    is_right = r == Z_OK && z.avail_in == 0;
  }
  is_right = is_right && z.total_out == m->kind.size &&
             memcmp(out, m->payloads[which], m->kind.size) == 0;
  inflateEnd(&z);
  free(out);
  return is_right;
}
