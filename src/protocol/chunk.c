/* chunk.c: a message that is given as it comes. What is rightly framed and, of
 * text, valid (RFC 6455 8.1) leaves at once; only a character that a piece
 * breaks off in is held back, at most 3 bytes. */
#include "protocol/chunk.h"

#include <string.h>

#include "protocol/utf8.h"

static void deliver_chunk(struct ws_protocol *p, const uint8_t *data,
                          size_t len, bool is_last, struct ws_event *ev) {
  ev->type = WS_EVENT_CHUNK;
  ev->opcode = p->kind;
  ev->was_compressed = false; /* one that was comes whole */
  ev->is_final = is_last;
  ev->data = data;
  ev->len = len;
  p->is_delivered = true;
  if (!is_last) return;
  p->kind = 0;
  if (p->message) p->message->have = 0;
}

/* Keeps the character that valid text breaks off in; its bytes, 1 to 3. */
static size_t hold(struct ws_gathered *g, const uint8_t *data, size_t n) {
  size_t k = 1;
  while (k < n && (data[n - k] & 0xC0) == 0x80) k++;
  memcpy(g->held, data + n - k, k);
  g->held_len = (uint8_t)k;
  return k;
}

/* How many bytes the held character still wants. */
static size_t lacks(const struct ws_gathered *g) {
  uint8_t lead = g->held[0];
  return (lead >= 0xF0 ? 4u : lead >= 0xE0 ? 3u : 2u) - g->held_len;
}

/* 8.1: as it comes, not when it is complete. */
static bool is_text(struct ws_protocol *p, const uint8_t *data, size_t n,
                    bool is_last) {
  if (p->kind != WS_OP_TEXT) return true;
  return ws_utf8_feed(&p->utf8, data, n) &&
         (!is_last || p->utf8 == WS_UTF8_START);
}

bool ws_chunk_take(struct ws_protocol *p, uint8_t *bytes, size_t n,
                   struct ws_event *ev, size_t *used) {
  struct ws_gathered *g = p->message;
  bool is_held = g && g->held_len;
  size_t take = p->left < n ? (size_t)p->left : n;
  if (is_held && take > lacks(g)) take = lacks(g);
  *used = take;
  if (!p->is_client) ws_frame_mask(bytes, take, p->mask, p->phase);
  p->phase = (uint8_t)((p->phase + take) & 3);
  p->left -= take;
  if (g) g->have += take;
  bool is_last = p->is_fin && p->left == 0;
  if (!is_text(p, bytes, take, is_last)) return false;
  if (p->left == 0) {
    p->in_payload = false;
    if (take) p->fragments--;
  }
  const uint8_t *data = bytes;
  size_t len = take;
  bool is_inside = p->kind == WS_OP_TEXT && p->utf8 != WS_UTF8_START;
  if (is_held) {
    memcpy(g->held + g->held_len, bytes, take);
    g->held_len = (uint8_t)(g->held_len + take);
    if (is_inside) return true;
    data = g->held;
    len = g->held_len;
    g->held_len = 0;
  } else if (g && is_inside) {
    len -= hold(g, bytes, take);
  }
  if (len || is_last) deliver_chunk(p, data, len, is_last, ev);
  return true;
}
