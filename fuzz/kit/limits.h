/* limits.h: the options of a server that is fuzzed. */
#ifndef EVWS_FUZZ_LIMITS_H
#define EVWS_FUZZ_LIMITS_H

#include "engine/options.h"

void fuzz_limits(struct ws_conn_options *o, struct ws_http_options *h,
                 uint8_t limits);

#endif
