/* retry_after.h: how long a server asks to be left alone, RFC 9110 10.2.3. */
#ifndef EVWS_RETRY_AFTER_H
#define EVWS_RETRY_AFTER_H

#include <stdint.h>

#include "protocol/http.h"

/* Seconds from `now` (since the epoch) that the Retry-After of a response
 * names, as a number or as a date (IMF-fixdate, 5.6.7); 0 for one that is
 * over, -1 without one, or for what is neither. */
int64_t ws_retry_after(const struct ws_http *h, const char *bytes, int64_t now);

#endif
