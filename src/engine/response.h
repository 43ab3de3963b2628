/* response.h: answers to HTTP requests, and the 101 that opens, as bytes. */
#ifndef EVWS_RESPONSE_H
#define EVWS_RESPONSE_H

#include "engine/pending.h"

/* RFC 9110 15.5.22, RFC 6455 4.4: what a 426 has to say. */
#define WS_RESPONSE_UPGRADE "Upgrade: websocket\r\n"
#define WS_RESPONSE_VERSION \
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

/* RFC 9110 15.5.6: what a 405 has to say; upgrades are by GET. */
#define WS_RESPONSE_ALLOW "Allow: GET\r\n"
#define WS_RESPONSE_ALLOW_ALL "Allow: GET, HEAD, OPTIONS\r\n"

struct ws_answer {
  int status;
  struct ws_slice fields; /* header lines, each with CR LF, checked */
  struct ws_slice body;   /* p NULL with a length: only that is told */
  bool has_type;          /* fields has a Content-Type */
  bool is_last;           /* the connection ends with it */
  bool is_head;           /* to a request by HEAD: no body */
  bool is_stream;         /* the body follows in pieces, */
  bool has_length;        /* of so many bytes in all, which are told */
  uint64_t length;
};

/* Writes it; Content-Length, Date and Connection are added. False without
 * memory. */
bool ws_response_write(struct ws_conn *c, const struct ws_answer *a);

/* Has the answer a body on the wire? */
bool ws_response_has_body(const struct ws_answer *a);

/* A piece of the body of an answer that is_stream, n above 0, and its end; as
 * a chunk, where its length was not told. False without memory. */
bool ws_response_piece(struct ws_conn *c, const void *data, size_t n);
bool ws_response_last_piece(struct ws_conn *c);

/* The 101 for the request that is pending; *agreed: what extension it says.
 * False without memory. */
bool ws_response_write_101(struct ws_conn *c, struct ws_slice subprotocol,
                           struct ws_slice fields, struct ws_extension *agreed);

/* 100 Continue, for a request whose body is awaited. */
void ws_response_continue(struct ws_conn *c);

#endif
