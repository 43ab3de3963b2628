/* extension.h: the negotiation of permessage-deflate, RFC 7692 5 and 7.1: the
 * field Sec-WebSocket-Extensions of a request and of an answer. Other
 * extensions are not known and never chosen. */
#ifndef EVWS_EXTENSION_H
#define EVWS_EXTENSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "protocol/http.h"

#define WS_EXTENSION_MAX 160 /* bytes of an offer or an answer, at most */

/* The parameters, as wished for or as agreed on. Windows are 2^bits bytes. */
struct ws_extension {
  bool is_on;
  bool server_takeover; /* the server may keep its context between messages */
  bool client_takeover;
  uint8_t server_bits; /* 9 to 15: of the window the server compresses with */
  uint8_t client_bits; /* the client's; agreed on, it may be 8 */
  bool bears_takeover; /* a client's wish: if the server keeps its context
                          after all, that will do */
};

/* The server's side. Goes through the offers of all fields in order and takes
 * the first that is acceptable to one who wishes for `wish`; false when there
 * is none, or where the fields are no list of extensions at all. *out is what
 * is agreed on; its answer is written to text, its length to *n. Takes time
 * linear in the length of the fields. */
bool ws_extension_choose(const struct ws_http *h, const char *bytes,
                         const struct ws_extension *wish,
                         struct ws_extension *out, char text[WS_EXTENSION_MAX],
                         size_t *n);

/* The client's side: writes the offer. Returns its length, 0 for none. */
size_t ws_extension_offer(const struct ws_extension *wish,
                          char text[WS_EXTENSION_MAX]);

/* And checks the answer to it (RFC 6455 4.1, RFC 7692 7.1). NULL, and what is
 * agreed on in *out (not is_on: declined), or why the connection fails. */
const char *ws_extension_check(const struct ws_http *h, const char *bytes,
                               const struct ws_extension *wish,
                               struct ws_extension *out);

#endif
