/* secret.c: see secret.h. */
#include "protocol/secret.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

bool ws_secret_equals(struct ws_slice a, struct ws_slice b) {
  return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

bool ws_secret_mac(struct ws_slice key, struct ws_slice text,
                   uint8_t mac[WS_SECRET_MAC_LEN]) {
  unsigned n = WS_SECRET_MAC_LEN;
  const unsigned char *bytes = (const unsigned char *)text.p;
  if (key.n > INT_MAX) return false;
  return HMAC(EVP_sha256(), key.p, (int)key.n, bytes, text.n, mac, &n) &&
         n == WS_SECRET_MAC_LEN;
}
