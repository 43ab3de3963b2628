/* envelope.h: a message as it travels between processes: what publishers say
 * beside it, and then its bytes as they are.
 *
 *   "\0evw", flags (1), node (8)
 *   count (2), as many of node (8) and connection (8)    WS_CARRIED_EXCEPT
 *   offset (8), length (1) and epoch                     WS_CARRIED_POSITION
 *   length (2) and meta                                  WS_CARRIED_META
 *   the message
 *
 * Numbers are big-endian. Bytes without that beginning are a message too, of
 * somebody who is no evws: text where they are UTF-8. */
#ifndef EVWS_ENVELOPE_H
#define EVWS_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum ws_carried_flag {
  WS_CARRIED_BINARY = 1,
  WS_CARRIED_EXCEPT = 2,
  WS_CARRIED_POSITION = 4,
  WS_CARRIED_META = 8
};

#define WS_CARRIED_EXCEPT_MAX 65535
#define WS_CARRIED_EPOCH_MAX 255
#define WS_CARRIED_META_MAX 65535

/* Slices belong to the bytes that were read. */
struct ws_carried {
  uint8_t flags;
  bool is_foreign; /* there is no envelope: node is 0 */
  uint64_t node;   /* of the process that has published it */
  uint64_t offset;
  struct ws_slice except; /* pairs of 16 bytes: ws_carried_except */
  struct ws_slice epoch, meta, message;
};

/* False where an envelope is broken, of a later version, or its text is no
 * text. */
bool ws_carried_read(struct ws_slice bytes, struct ws_carried *c);

/* Bytes in front of the message. */
size_t ws_carried_head(const struct ws_carried *c);

/* Writes them; returns where they end. Flags follow from what is there, but
 * for WS_CARRIED_BINARY and WS_CARRIED_POSITION. */
char *ws_carried_write(char *to, const struct ws_carried *c);

/* Those of a node among the connections that are left out: the next one's id
 * from *at on, 0 behind the last. */
uint64_t ws_carried_except(const struct ws_carried *c, uint64_t node,
                           size_t *at);

/* Writes one of those pairs. */
char *ws_carried_write_except(char *to, uint64_t node, uint64_t id);

#endif
