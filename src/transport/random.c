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
