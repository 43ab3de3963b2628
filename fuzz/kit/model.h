/* model.h: what an endpoint has to say about a stream, by a reader of RFC
 * 6455 that has all bytes before it and no state to keep: for comparison. */
#ifndef EVWS_FUZZ_MODEL_H
#define EVWS_FUZZ_MODEL_H

#include "protocol/protocol.h"

#define MODEL_EVENTS 4096

struct model_event {
  uint8_t type, opcode;
  bool may_be_big; /* then 1009 is as right as the code, and any as 1009 */
  uint16_t code;
  size_t len;
  uint64_t hash;
};

struct model_events {
  size_t n;
  struct model_event list[MODEL_EVENTS];
};

void model_add(struct model_events *events, const struct ws_event *ev);

/* Ends the process when the lists differ. */
void model_compare(const struct model_events *a, const struct model_events *b);

/* extension: as agreed on; NULL for none. */
void model_read(struct model_events *events, enum ws_role role,
                const struct ws_protocol_env *env,
                const struct ws_extension *extension, const uint8_t *bytes,
                size_t n);

#endif
