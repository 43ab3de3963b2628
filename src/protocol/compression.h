/* compression.h: the messages of one endpoint under permessage-deflate. What
 * protocol.c has received of a compressed message is inflated here, and what
 * is to be sent deflated. */
#ifndef EVWS_COMPRESSION_H
#define EVWS_COMPRESSION_H

#include "protocol/endpoint.h"

/* What an endpoint keeps between messages, where it keeps anything. */
struct ws_context {
  struct ws_inflater *inflater;
  struct ws_deflater *deflater; /* may go at any time between messages */
  struct ws_half *half;         /* of a message that takes several turns */
};

/* Inflates the whole message in[0, n), and judges whether it is text where it
 * has to be. WS_OK: *out holds it, until ws_compression_release. `in` may be
 * in p->message, which is gone then. Otherwise an error as of ws_inflater_get.
 *
 * WS_OK and *out NULL: the turn's work is done, and p->is_inflating. What is
 * needed of `in` stands in p->message; to be called again for that. */
enum ws_err ws_compression_inflate(struct ws_protocol *p, const uint8_t *in,
                                   size_t n, struct ws_buf **out,
                                   const char **why);
void ws_compression_give_back(struct ws_protocol *p);
static inline void ws_compression_release(struct ws_protocol *p) {
  if (p->has_loan) ws_compression_give_back(p);
}

/* The message that was half inflated is not wanted any more. */
void ws_compression_stop(struct ws_protocol *p);

/* Is a message of this length one to be compressed? */
static inline bool ws_compression_is_due(const struct ws_protocol *p,
                                         size_t len) {
  return p->extension.is_on && len >= p->env->deflate_threshold;
}

/* Deflates a whole message. Returns its bytes, which are the pool's and good
 * until the next call; or NULL where it has to be sent as it is: it does not
 * get smaller, or there is no memory for it. */
const uint8_t *ws_compression_deflate(struct ws_protocol *p, const void *bytes,
                                      size_t n, size_t *len);

/* What was deflated last is not sent after all: the peer will not know it. */
void ws_compression_forget(struct ws_protocol *p);

/* Nothing is left. */
void ws_compression_free(struct ws_protocol *p);

#endif
