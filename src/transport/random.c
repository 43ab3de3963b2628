/* random.c: each byte of a block is used once. */
#include "transport/random.h"

#include <assert.h>
#include <string.h>

#include "transport/loop.h"

bool ws_random_take(struct ws_loop *loop, void *to, size_t n) {
  struct ws_random *r = &loop->random;
  struct ws_io *io = loop->io;
  assert(n <= 64);
  if (ws_loop_is_forked(loop)) /* the parent goes on with the same block */
    return io->ops->random(io, to, n) >= 0;
  if (r->left < n) {
    r->left = 0;
    if (io->ops->random(io, r->block, sizeof r->block) < 0) return false;
    r->left = sizeof r->block;
  }
  r->left -= n;
  memcpy(to, r->block + r->left, n);
  memset(r->block + r->left, 0, n);
  return true;
}

bool ws_random_letters(struct ws_loop *loop, char *to, size_t n) {
  static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
  if (!ws_random_take(loop, to, n)) return false;
  for (size_t i = 0; i < n; i++)
    to[i] = letters[(unsigned char)to[i] % (sizeof letters - 1)];
  return true;
}
