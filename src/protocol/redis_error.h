/* redis_error.h: what an error of Redis is about. */
#ifndef EVWS_REDIS_ERROR_H
#define EVWS_REDIS_ERROR_H

#include <stdbool.h>

#include "base/slice.h"

/* Does it begin with this word? */
bool ws_redis_error_is(struct ws_slice error, const char *word);

/* Has one no right to a command, or, though one has that, to what it names? */
bool ws_redis_error_is_of_command(struct ws_slice error);
bool ws_redis_error_is_of_channel(struct ws_slice error);

/* Is it an answer to a ping of somebody who lives: it cannot save what it has,
 * or pinging is not allowed? */
bool ws_redis_error_is_of_ping(struct ws_slice error);

/* Would everything else be refused as well? */
bool ws_redis_error_is_over(struct ws_slice error);

#endif
