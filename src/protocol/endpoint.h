/* endpoint.h: what one endpoint of an open connection knows, and the events it
 * gives; for the files that work on it: protocol, chunk, compression. */
#ifndef EVWS_ENDPOINT_H
#define EVWS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "protocol/deflate.h"
#include "protocol/extension.h"
#include "protocol/frame.h"

#define WS_NO_LIMIT UINT64_MAX
#define WS_BAD_TEXT "text that is not UTF-8"
#define WS_REASON_MAX 123 /* 5.5.1: bytes of a close reason, at most */

enum ws_role { WS_SERVER, WS_CLIENT };

/* What the connections of a route share; it outlives them. */
struct ws_protocol_env {
  uint64_t max_message;     /* bytes; WS_NO_LIMIT for none */
  uint64_t max_fragments;   /* frames of one message, empty ones too */
  uint64_t max_stream;      /* bytes of one in chunks, max_message at least */
  struct ws_buf_pool *pool; /* for large messages; may be NULL */
  struct ws_deflate_pool *deflate; /* has to be there for permessage-deflate */
  struct ws_extension wish;        /* what to negotiate */
  struct ws_deflate_level deflate_level;
  uint64_t deflate_threshold; /* bytes; shorter messages are sent as they are */
  uint64_t max_ratio; /* inflated to compressed bytes; WS_NO_LIMIT for none */
};

enum ws_event_type {
  WS_EVENT_NONE,    /* more bytes are needed */
  WS_EVENT_LATER,   /* or more time: feed again in another turn, even nothing */
  WS_EVENT_MESSAGE, /* opcode, data, len */
  WS_EVENT_CHUNK,   /* the same, a piece of one; is_final */
  WS_EVENT_PING,    /* data, len: answer with a pong of the same payload */
  WS_EVENT_PONG,    /* data, len */
  WS_EVENT_CLOSE,   /* code (1005 without one), data, len: the reason */
  WS_EVENT_ERROR    /* code to close with, why */
};

struct ws_event {
  enum ws_event_type type;
  uint8_t opcode; /* WS_OP_TEXT or WS_OP_BINARY */
  bool was_compressed;
  bool is_final; /* of a chunk */
  uint16_t code;
  const uint8_t *data; /* until the next call with this protocol */
  size_t len;
  const char *why;
};

/* A message that spans pieces: gathered, or given in chunks as it comes. */
struct ws_gathered {
  struct ws_buf bytes;
  uint64_t have;   /* of one in chunks, those that have come */
  uint8_t held[4]; /* a character that a chunk of text broke off in */
  uint8_t held_len;
};

/* There are as many as there are connections, and most of them wait: what is
 * known in the middle of a message or frame alone is allocated then. */
struct ws_protocol {
  const struct ws_protocol_env *env;
  struct ws_gathered *message; /* NULL: none spans pieces */
  uint8_t *scrap; /* of a frame that does: its head, or a control's payload */
  struct ws_context *context; /* compression.h; NULL without takeover */
  uint64_t left;              /* payload bytes of this frame still to come */
  uint32_t fragments;
  uint32_t utf8;
  uint8_t mask[4];
  uint8_t phase;
  uint8_t opcode; /* of this frame */
  uint8_t kind;   /* of the message being received, 0 between two */
  uint8_t scrap_len;
  struct ws_extension extension; /* as agreed on */
  bool is_client : 1, in_payload : 1, is_fin : 1, is_delivered : 1;
  bool is_ended : 1;      /* after a Close or an error: deaf */
  bool is_bad : 1;        /* what was read straight in is not UTF-8 */
  bool is_compressed : 1; /* the message being received */
  bool has_loan : 1;      /* of the deflate pool's room, for one delivered */
  bool wants_chunks : 1;  /* set by whoever feeds: from the next message on */
  bool in_chunks : 1;     /* the message being received comes in chunks */
  bool is_inflating : 1;  /* one that is complete, in several turns */
};

/* Bytes that have come of the message that is being received. */
static inline uint64_t ws_protocol_gathered(const struct ws_protocol *p) {
  return p->message ? p->message->bytes.len + p->message->have : 0;
}

#endif
