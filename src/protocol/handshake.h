/* handshake.h: the opening handshake, RFC 6455 4. What a request asks for is
 * looked at here, and the answer is written; which URL and which origin are
 * served is decided above. */
#ifndef EVWS_HANDSHAKE_H
#define EVWS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "protocol/extension.h"
#include "protocol/http.h"

#define WS_ACCEPT_LEN 28
#define WS_KEY_LEN 24

enum ws_handshake_method {
  WS_GET,
  WS_HEAD,
  WS_OPTIONS,
  WS_CONNECT,
  WS_METHOD_OTHER
};

/* What a request asks for; slices of the caller's bytes. */
struct ws_handshake {
  struct ws_slice path;   /* of the target, "*" of OPTIONS for the server as a
                             whole; that of http://host is a constant */
  struct ws_slice query;  /* without "?"; p is NULL without one */
  struct ws_slice host;   /* the authority of an absolute target, or Host */
  struct ws_slice origin; /* p is NULL without one */
  struct ws_slice key;    /* Sec-WebSocket-Key, 24 bytes */
  uint64_t content_length;
  bool has_length, is_chunked; /* how a body is framed; neither: no body */
  bool keep_alive;             /* the connection may serve another request */
  bool expects_continue;
  bool is_upgrade; /* a complete and valid WebSocket upgrade */
  enum ws_handshake_method method;
};

/* Looks at a request head that ws_http_request has accepted.
 *
 * Returns WS_OK, or the refusal:
 *  BAD_REQUEST   no Host, two, or a malformed one (an HTTP/1.0 request that
 *                asks for no upgrade may do without); two Origin fields;
 *                Content-Length that is not digits, twice, or beside
 *                Transfer-Encoding; Transfer-Encoding in HTTP/1.0, in two
 *                fields, or whose last coding is not exactly "chunked"
 *                (RFC 9112 6.3); a target that is neither an
 *                absolute path nor an absolute http(s) or ws(s) URI nor, of
 *                OPTIONS, "*" nor, of CONNECT, host and port, or has a
 *                fragment or a control byte; an absolute target that names
 *                another host than Host; and of what asks for an upgrade
 *                ("Upgrade" holds the token websocket): a key that is not 16
 *                bytes in base64, two keys, a Connection without the token
 *                upgrade, a body, a version that is given twice
 *  METHOD        asks for an upgrade by another method than GET; CONNECT
 *  UPGRADE       asks for one with a Sec-WebSocket-Version that is missing or
 *                not 13 (4.4); in HTTP/1.0
 *  EXPECTATION   Expect with anything but 100-continue
 *  NOT_IMPLEMENTED  a transfer coding in front of chunked
 * On a refusal *why is a short phrase for the log, with nothing of the
 * request in it, and of *out only the method means something. An Upgrade to
 * anything else is no upgrade request (RFC 9110 7.8: a server may ignore
 * it). */
int ws_handshake_check(const struct ws_http *h, const char *bytes,
                       struct ws_handshake *out, const char **why);

/* 4.2.2: the value of Sec-WebSocket-Accept for a key, not terminated. */
void ws_handshake_accept(const char key[WS_KEY_LEN], char out[WS_ACCEPT_LEN]);

/* Goes through the sub-protocols that all Sec-WebSocket-Protocol fields offer,
 * in order: call with *iter = 0 first. 1 with the next one in *name, 0 at the
 * end, BAD_REQUEST for what is not a list of tokens. */
int ws_handshake_next_subprotocol(const struct ws_http *h, const char *bytes,
                                  size_t *iter, struct ws_slice *name);

/* Appends the 101 answer up to and including its empty line. subprotocol: p
 * is NULL for none; extensions: empty for none; fields: more header lines,
 * each with CR LF, already checked by ws_http_is_token and
 * ws_http_is_value. */
bool ws_handshake_write_101(struct ws_buf *out, const char key[WS_KEY_LEN],
                            struct ws_slice subprotocol,
                            struct ws_slice extensions, struct ws_slice fields);

/* The phrase of a status ("Forbidden"); "Status" for one not known. */
const char *ws_handshake_reason(int status);

#endif
