/* packed_call.c: see packed_call.h. */
#include "protocol/packed_call.h"

#include "protocol/messagepack.h"

#define NO_STREAMS '\x90'

static bool take_byte(struct ws_slice *left, char byte) {
  if (left->n == 0 || *left->p != byte) return false;
  left->p++;
  left->n--;
  return true;
}

/* The length: seven bits a byte, the low ones first; of two bytes at most. */
static bool take_length(struct ws_slice *left) {
  size_t n = 0;
  for (unsigned shift = 0; shift < 14; shift += 7) {
    if (left->n == 0) return false;
    uint8_t byte = (uint8_t)*left->p;
    left->p++;
    left->n--;
    n |= (size_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return n == left->n;
  }
  return false;
}

static bool take_text(struct ws_slice *left, struct ws_slice *text) {
  struct ws_messagepack value;
  if (!ws_messagepack_take(left, &value) || value.type != WS_MESSAGEPACK_TEXT)
    return false;
  *text = value.bytes;
  return text->n > 0;
}

/* An id, or nil. */
static bool take_id(struct ws_slice *left, struct ws_slice *id) {
  *id = (struct ws_slice){NULL, 0};
  return take_byte(left, '\xC0') || take_text(left, id);
}

bool ws_packed_call_read(struct ws_slice bytes, struct ws_packed_call *call) {
  struct ws_messagepack list;
  if (!take_length(&bytes) || bytes.n == 0) return false;
  call->has_streams = *bytes.p == '\x96';
  if (!take_byte(&bytes, call->has_streams ? '\x96' : '\x95') ||
      !take_byte(&bytes, 1) || !take_byte(&bytes, '\x80') ||
      !take_id(&bytes, &call->id) || !take_text(&bytes, &call->target) ||
      !ws_messagepack_take(&bytes, &list) || list.type != WS_MESSAGEPACK_LIST)
    return false;
  call->args = bytes;
  call->n_args = list.count;
  return true;
}

bool ws_packed_call_ends(const struct ws_packed_call *call,
                         struct ws_slice left) {
  if (!call->has_streams) return left.n == 0;
  return left.n == 1 && *left.p == NO_STREAMS;
}
