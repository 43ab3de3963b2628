/* redis_url.h: where a Redis is: redis://[user[:password]@]host[:port][/db],
 * rediss:// (TLS) alike, and redis+unix:[//user:password@]/path[?db=number].
 * User, password and path may be %-escaped. */
#ifndef EVWS_REDIS_URL_H
#define EVWS_REDIS_URL_H

#include <stdbool.h>

#include "base/slice.h"

struct ws_redis_url {
  struct ws_slice host; /* a name or an address, without brackets */
  struct ws_slice path; /* of a Unix socket instead; p NULL: none */
  struct ws_slice username, password; /* p NULL: none */
  int port, db;
  bool is_secure;
};

/* Slices of the text. On false *why says what is wrong; it repeats nothing of
 * the text, which may hold a password. */
bool ws_redis_url_parse(struct ws_slice text, struct ws_redis_url *url,
                        const char **why);

/* One of them without its escapes, into memory of as many bytes; its length. */
size_t ws_redis_url_decode(struct ws_slice text, char *to);

#endif
