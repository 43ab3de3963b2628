/* secret.h: comparing what must not be guessed byte by byte, and signing. */
#ifndef EVWS_SECRET_H
#define EVWS_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define WS_SECRET_MAC_LEN 32

/* Are they the same? The time tells their lengths, and nothing of what is in
 * them. */
bool ws_secret_equals(struct ws_slice a, struct ws_slice b);

/* HMAC of the text with SHA-256 (RFC 2104). False: no memory. */
bool ws_secret_mac(struct ws_slice key, struct ws_slice text,
                   uint8_t mac[WS_SECRET_MAC_LEN]);

#endif
