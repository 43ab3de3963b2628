/* secret.c: see secret.h. */
#include "protocol/secret.h"

#include <openssl/crypto.h>

bool ws_secret_equals(struct ws_slice a, struct ws_slice b) {
  return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
