/* redis_error.c: what an error of Redis is about. */
#include "protocol/redis_error.h"

#include <stddef.h>
#include <string.h>

bool ws_redis_error_is(struct ws_slice error, const char *word) {
  size_t n = strlen(word);
  return error.n >= n && memcmp(error.p, word, n) == 0;
}

static bool has(struct ws_slice error, const char *words) {
  size_t n = strlen(words);
  for (size_t i = 0; i + n <= error.n; i++)
    if (memcmp(error.p + i, words, n) == 0) return true;
  return false;
}

bool ws_redis_error_is_of_command(struct ws_slice error) {
  return ws_redis_error_is(error, "NOPERM") && has(error, " to run ");
}

bool ws_redis_error_is_of_channel(struct ws_slice error) {
  return ws_redis_error_is(error, "NOPERM") &&
         !ws_redis_error_is_of_command(error);
}

bool ws_redis_error_is_of_ping(struct ws_slice error) {
  return ws_redis_error_is(error, "MISCONF") ||
         (ws_redis_error_is(error, "NOPERM") && has(error, "'ping'"));
}

bool ws_redis_error_is_over(struct ws_slice error) {
  static const char *const words[] = {"CLUSTERDOWN", "LOADING",  "MASTERDOWN",
                                      "NOAUTH",      "READONLY", "WRONGPASS"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (ws_redis_error_is(error, words[i])) return true;
  return false;
}
