/* redis_error.h: what an error of Redis is about. */
#ifndef EVWS_REDIS_ERROR_H
#define EVWS_REDIS_ERROR_H

#include <stdbool.h>

#include "base/slice.h"

/* Does it begin with this word? */
bool ws_redis_error_is(struct ws_slice error, const char *word);

/* Would everything else be refused as well? */
bool ws_redis_error_is_over(struct ws_slice error);

#endif
