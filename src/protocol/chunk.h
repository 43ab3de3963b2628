/* chunk.h: messages in chunks, and what protocol.c and chunk.c share. */
#ifndef EVWS_CHUNK_H
#define EVWS_CHUNK_H

#include "protocol/protocol.h"

/* Takes bytes of the payload of a frame of such a message, as
 * ws_protocol_feed does; returns how many. */
size_t ws_chunk_take(struct ws_protocol *p, uint8_t *bytes, size_t n,
                     struct ws_event *ev);

/* 8.1: text is judged as it comes, not when it is complete. False, and it has
 * failed. */
bool ws_protocol_check_text(struct ws_protocol *p, const uint8_t *data,
                            size_t n, bool is_last, struct ws_event *ev);

#endif
