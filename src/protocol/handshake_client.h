/* handshake_client.h: the client's side of the opening handshake, RFC 6455
 * 4.1. */
#ifndef EVWS_HANDSHAKE_CLIENT_H
#define EVWS_HANDSHAKE_CLIENT_H

#include "protocol/handshake.h"

/* A key from 16 random bytes, not terminated. */
void ws_handshake_make_key(const uint8_t nonce[16], char key[WS_KEY_LEN]);

/* The request. key: from ws_handshake_make_key.
 * target starts with "/"; origin, subprotocols ("a, b") and extensions may be
 * empty. */
bool ws_handshake_write_request(struct ws_buf *out, struct ws_slice host,
                                struct ws_slice target,
                                const char key[WS_KEY_LEN],
                                struct ws_slice origin,
                                struct ws_slice subprotocols,
                                struct ws_slice extensions,
                                struct ws_slice fields);

/* And the check of the answer (4.1, second list): WS_OK with the chosen
 * sub-protocol (p NULL without one) and what was agreed on of wish, or
 * WS_ERR_PROTOCOL and *why. A status other than 101 is the caller's business.
 * offered: as it was sent; wish: what ws_extension_offer has written. */
int ws_handshake_check_answer(const struct ws_http *h, const char *bytes,
                              const char key[WS_KEY_LEN],
                              struct ws_slice offered,
                              const struct ws_extension *wish,
                              struct ws_slice *subprotocol,
                              struct ws_extension *agreed, const char **why);

#endif
