/* chunk.h: messages in chunks, for protocol.c. */
#ifndef EVWS_CHUNK_H
#define EVWS_CHUNK_H

#include "protocol/endpoint.h"

/* Takes bytes of the payload of a frame of such a message, as
 * ws_protocol_feed does; *used: how many. False when they are no text, where
 * they should be. */
bool ws_chunk_take(struct ws_protocol *p, uint8_t *bytes, size_t n,
                   struct ws_event *ev, size_t *used);

#endif
