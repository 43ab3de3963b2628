/* backoff.c: waits that double, shortened by chance. */
#include "engine/backoff.h"

#include "transport/random.h"

double ws_backoff_next(struct ws_loop *loop, const struct ws_reconnect *how,
                       double *delay) {
  uint32_t chance = 0;
  *delay = *delay > 0 ? *delay * 2 : how->initial;
  if (*delay > how->maximum) *delay = how->maximum;
  ws_random_take(loop, &chance, sizeof chance);
  return *delay * how->jitter * (double)chance / 4294967296.0;
}
