/* forwarded.h: what proxies say about whom a request is from: X-Forwarded-For
 * and X-Forwarded-Proto, and Forwarded (RFC 7239).
 *
 * Each proxy adds an entry at the right, so only the entries behind the last
 * one that an outsider could have written count: from the right, over the
 * addresses that are trusted, to the first that is not. An entry that is no
 * address ends the walk; so does the beginning of the list. */
#ifndef EVWS_FORWARDED_H
#define EVWS_FORWARDED_H

#include "protocol/http.h"
#include "protocol/ip.h"

struct ws_trusted {
  struct ws_ip_range *list;
  size_t n;
};

enum ws_scheme { WS_SCHEME_UNKNOWN, WS_SCHEME_PLAIN, WS_SCHEME_SECURE };

struct ws_forwarded {
  struct ws_ip client; /* WS_IP_NONE: nothing is said about it */
  uint8_t scheme;      /* enum ws_scheme, as the client's side saw it */
};

bool ws_forwarded_is_trusted(const struct ws_trusted *trusted,
                             const struct ws_ip *ip);

/* What a request head says that has come from a trusted peer. Fields with
 * equal names are one list. Where there is an X-Forwarded-For or an
 * X-Forwarded-Proto, Forwarded is not looked at: proxies that know only the
 * former pass on what a client writes into the latter.
 *
 * The entry of X-Forwarded-Proto that counts is the one that stands as far
 * from the right as the client's address, the leftmost where there are
 * fewer; in Forwarded it is the client's own. */
struct ws_forwarded ws_forwarded_read(const struct ws_http *h,
                                      const char *bytes,
                                      const struct ws_trusted *trusted);

#endif
