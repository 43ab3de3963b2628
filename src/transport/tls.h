/* tls.h: TLS on one descriptor. OpenSSL works in memory: what was received is
 * handed to it, what it produces is sent, or kept here when the kernel refuses
 * it. So OpenSSL never meets a refusal, no write of it is ever repeated, and
 * the records of one call leave in one send.
 *
 * What is kept is bounded: nothing is encrypted while something is. Only
 * stream.c uses this.
 *
 * TLS can carry TLS: to a proxy, and in it to the server behind that. Both are
 * one object then, that of the inner one. */
#ifndef EVWS_TLS_H
#define EVWS_TLS_H

#include "transport/loop.h"
#include "transport/tls_context.h"

struct ws_tls;

/* What one call of ws_tls_read has room for, at the least. */
#define WS_TLS_READ_MIN WS_READ_BUFFER

/* The handshake begins (a client's first message is among what is left). name:
 * whom a client expects, a host name or an address; NULL on a server, and
 * where the context verifies nothing it may be. under: what carries it, whose
 * handshake is done, its own from now on; NULL: the descriptor does. NULL
 * without memory; `under` is the caller's then. */
struct ws_tls *ws_tls_new(struct ws_loop *loop, struct ws_tls_context *context,
                          const char *name, struct ws_tls *under);
void ws_tls_free(struct ws_tls *t);

/* Reads with one recv; the plain bytes go into iov[0, n), which has room for
 * WS_TLS_READ_MIN. Returns as recv does, negated errno; -EPROTO: ws_tls_why
 * tells. -EAGAIN also when only the handshake has gone on. */
ssize_t ws_tls_read(struct ws_tls *t, int fd, const struct iovec *iov, int n);

/* Sends what is left, then encrypts and sends iov[0, n). Returns how many of
 * its bytes are taken care of: all of them, unless something is left now or
 * the handshake is not done. Or a negated errno. */
ssize_t ws_tls_write(struct ws_tls *t, int fd, const struct iovec *iov, int n);

/* Records that are to be sent, in bytes. */
size_t ws_tls_left(const struct ws_tls *t);
void ws_tls_drop_left(struct ws_tls *t);

/* The handshake is done. */
bool ws_tls_is_ready(const struct ws_tls *t);

/* Nothing can be encrypted before the peer has ended a message that it is in
 * the middle of: new keys (RFC 8446 4.6.3), a ticket. */
bool ws_tls_is_held(const struct ws_tls *t);

/* Its end, or a failure, was seen: reading tells, without the kernel. */
bool ws_tls_is_over(const struct ws_tls *t);

/* The end was announced (RFC 8446 6.1). Without, bytes may be missing. */
bool ws_tls_was_notified(const struct ws_tls *t);

/* Announces ours. The record is among what is left then. */
void ws_tls_farewell(struct ws_tls *t);

/* What went wrong, for a person. */
#define WS_TLS_REASON_MAX 120
void ws_tls_why(const struct ws_tls *t, char out[WS_TLS_REASON_MAX]);

/* The subject of the peer's certificate (RFC 2253: plain ASCII), put into out
 * where cap bytes are enough. Its length, which may be 0; negative: none was
 * shown, or it was not verified, or there is no memory. */
long ws_tls_subject(const struct ws_tls *t, char *out, size_t cap);

#endif
