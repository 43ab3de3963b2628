/* frame.h: the base framing protocol, RFC 6455 5.2 and 5.3. Frame heads are
 * decoded and encoded, payloads masked. What a sequence of frames means is
 * the business of protocol.h. */
#ifndef EVWS_FRAME_H
#define EVWS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_FRAME_HEAD_MAX 14
#define WS_CONTROL_MAX 125 /* 5.5: payload of a control frame, at most */

enum ws_opcode {
  WS_OP_CONTINUATION = 0x0,
  WS_OP_TEXT = 0x1,
  WS_OP_BINARY = 0x2,
  WS_OP_CLOSE = 0x8,
  WS_OP_PING = 0x9,
  WS_OP_PONG = 0xA
};

#define WS_FIN 0x80
#define WS_RSV1 0x40
#define WS_RSV2 0x20
#define WS_RSV3 0x10

struct ws_frame {
  uint64_t len;    /* of the payload */
  uint8_t mask[4]; /* meaningful where is_masked */
  uint8_t opcode;  /* 0 to 15, unknown ones too */
  uint8_t rsv;     /* WS_RSV1 | WS_RSV2 | WS_RSV3 as they stand */
  bool fin, is_masked;
};

/* Decodes the frame head at the start of bytes[0, n).
 * Returns its length (2 to 14), 0 when more bytes are needed, or
 * WS_ERR_PROTOCOL where no continuation can make it valid: a 64-bit length
 * with its top bit set, a length not in its shortest form, a control frame
 * that is fragmented or longer than 125. Such an error is reported as soon as
 * the bytes that show it are there. Reserved bits, unknown opcodes and
 * masking are only reported in *f. */
int ws_frame_decode(struct ws_frame *f, const uint8_t *bytes, size_t n);

/* The whole length of a frame head, told by its first two bytes: 2 to 14. */
size_t ws_frame_head_size(const uint8_t bytes[2]);

/* Writes a frame head. first: opcode | WS_FIN | WS_RSV1...; mask: 4 bytes, or
 * NULL for an unmasked frame. Returns the length of the head. */
size_t ws_frame_encode(uint8_t out[WS_FRAME_HEAD_MAX], uint8_t first,
                       uint64_t len, const uint8_t *mask);

/* Masks or unmasks n bytes in place (5.3). phase: how many bytes of the
 * payload came before these, modulo 4. Reads and writes nothing outside
 * bytes[0, n). */
void ws_frame_mask(uint8_t *bytes, size_t n, const uint8_t mask[4],
                   unsigned phase);

/* The same from src to dst, which do not overlap. */
void ws_frame_mask_copy(uint8_t *dst, const uint8_t *src, size_t n,
                        const uint8_t mask[4], unsigned phase);

#endif
