/* redis_error.c: what an error of Redis is about. */
#include "protocol/redis_error.h"

#include <stddef.h>
#include <string.h>

bool ws_redis_error_is(struct ws_slice error, const char *word) {
  size_t n = strlen(word);
  return error.n >= n && memcmp(error.p, word, n) == 0;
}

/* No right to a key, or to a channel, is something else. */
static bool may_not_run(struct ws_slice error) {
  static const char words[] = " to run ";
  const size_t n = sizeof words - 1;
  if (!ws_redis_error_is(error, "NOPERM")) return false;
  for (size_t i = 0; i + n <= error.n; i++)
    if (memcmp(error.p + i, words, n) == 0) return true;
  return false;
}

bool ws_redis_error_is_over(struct ws_slice error) {
  static const char *const words[] = {"CLUSTERDOWN", "LOADING",  "MASTERDOWN",
                                      "NOAUTH",      "READONLY", "WRONGPASS"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (ws_redis_error_is(error, words[i])) return true;
  return may_not_run(error);
}
