/* hash.h: SipHash-2-4 (Aumasson, Bernstein 2012), for tables whose keys a
 * stranger may choose. */
#ifndef EVWS_HASH_H
#define EVWS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct ws_hash_key {
  uint64_t k[2]; /* from a CSPRNG */
};

uint64_t ws_hash(const struct ws_hash_key *key, const void *bytes, size_t n);

#endif
