/* whole.c: RFC 6455 5.2 for a frame that is a message, with nothing before it
 * and a length of 7 or 16 bits. What protocol.c would do of it, in one go: that
 * is a third of its instructions. */
#include "protocol/whole.h"

#include "protocol/utf8.h"

#define MASKED 0x80
#define LEN_IS16 126
#define HEAD_MAX 8

/* Between two messages of a server's, none of which comes in chunks. */
static bool is_between(const struct ws_protocol *p) {
  return !p->is_client && !p->in_payload && !p->is_ended && !p->wants_chunks &&
         !p->in_chunks && !p->scrap && !p->kind;
}

size_t ws_whole_take(const struct ws_protocol *p, uint8_t *bytes, size_t n,
                     struct ws_event *ev) {
  if (n < HEAD_MAX || !is_between(p)) return 0;
  bool is_text = bytes[0] == (WS_FIN | WS_OP_TEXT);
  size_t head = 6, len = (size_t)bytes[1] - MASKED; /* unmasked: too long */
  if (!is_text && bytes[0] != (WS_FIN | WS_OP_BINARY)) return 0;
  if (len == LEN_IS16) {
    head = HEAD_MAX;
    len = (size_t)bytes[2] << 8 | bytes[3];
    if (len < LEN_IS16) return 0; /* not in its shortest form */
  } else if (len > LEN_IS16) {
    return 0;
  }
  if (len > n - head || len > p->env->max_message) return 0;
  uint8_t *data = bytes + head;
  ws_frame_mask(data, len, data - 4, 0);
  ev->type = WS_EVENT_NONE;
  if (is_text && !ws_utf8_is_valid(data, len)) return head + len;
  ev->type = WS_EVENT_MESSAGE;
  ev->opcode = is_text ? WS_OP_TEXT : WS_OP_BINARY;
  ev->was_compressed = false;
  ev->data = data;
  ev->len = len;
  return head + len;
}
