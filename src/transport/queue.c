/* queue.c: blocks in a list, each with the part of it that waits. */
#include "transport/queue.h"

#include <string.h>

#include "base/buf.h"

#define BLOCK_MIN 1024
#define BLOCK_MAX (64 * 1024)
#define SHARE_MIN 512 /* a shorter run is as dear as a place of its own */

/* A place in the queue: block->data[off, end). */
struct ws_queued {
  struct ws_queued *next; /* of the last one: the first */
  struct ws_block *block;
  size_t off, end;
};

void ws_block_release(struct ws_block *c) {
  if (c && --c->refs == 0) ws_mem_free(c);
}

static void drop_first(struct ws_queue *q) {
  struct ws_queued *first = q->last->next;
  q->last->next = first->next;
  if (first == q->last) q->last = NULL;
  ws_block_release(first->block);
  ws_mem_free(first);
}

void ws_queue_clear(struct ws_queue *q) {
  while (q->last) drop_first(q);
}

static struct ws_block *new_block(size_t cap) {
  struct ws_block *c;
  if (cap > SIZE_MAX - sizeof *c) return NULL;
  if (!(c = ws_mem_alloc(sizeof *c + cap))) return NULL;
  *c = (struct ws_block){.refs = 1, .cap = cap};
  return c;
}

/* Bytes beyond those that wait, in a block that nobody else holds. */
static size_t waste(const struct ws_queued *at) {
  const struct ws_block *b = at->block;
  return b->refs > 1 ? 0 : b->cap - (at->end - at->off);
}

/* Without memory for a smaller block the old one does. */
static void trim(struct ws_queued *at) {
  struct ws_block *b = at->block;
  size_t n = at->end - at->off;
  if (n == 0) return;
  if (at->off) memmove(b->data, b->data + at->off, n);
  at->off = 0;
  at->end = b->len = n;
  if (!(b = ws_mem_resize(b, sizeof *b + n))) return;
  b->cap = n;
  at->block = b;
}

/* What was left in the block of the last place will not be used. */
static struct ws_queued *add(struct ws_queue *q) {
  struct ws_queued *at = ws_mem_zero(sizeof *at);
  if (!at) return NULL;
  struct ws_queued *last = q->last;
  if (last && waste(last) > BLOCK_MIN / 2) trim(last);
  at->next = last ? last->next : at;
  if (last) last->next = at;
  q->last = at;
  return at;
}

static size_t cap_for(size_t n, size_t hint) {
  size_t cap = hint / 2 < BLOCK_MAX ? hint / 2 : BLOCK_MAX;
  if (cap < BLOCK_MIN) cap = BLOCK_MIN;
  return cap < n ? n : cap;
}

/* A block of its own at the end, with room for n bytes. */
static struct ws_queued *add_block(struct ws_queue *q, size_t n, size_t hint) {
  struct ws_block *c = new_block(cap_for(n, hint));
  struct ws_queued *at = c ? add(q) : NULL;
  if (!at) {
    ws_block_release(c);
    return NULL;
  }
  at->block = c;
  return at;
}

/* Room behind what waits in the last place, if nobody else holds its block. */
static size_t open_room(const struct ws_queue *q) {
  const struct ws_queued *at = q->last;
  if (!at || at->block->refs > 1 || at->end != at->block->len) return 0;
  return at->block->cap - at->end;
}

uint8_t *ws_queue_reserve(struct ws_queue *q, size_t n, size_t hint) {
  if (open_room(q) < n && !add_block(q, n, hint)) return NULL;
  return q->last->block->data + q->last->end;
}

void ws_queue_commit(struct ws_queue *q, size_t n) {
  q->last->end += n;
  q->last->block->len += n;
}

bool ws_queue_copy(struct ws_queue *q, const uint8_t *bytes, size_t n,
                   size_t hint) {
  while (n) {
    size_t room = open_room(q), take = n < BLOCK_MAX ? n : BLOCK_MAX;
    if (room)
      take = n < room ? n : room;
    else if (!add_block(q, take, hint))
      return false;
    memcpy(q->last->block->data + q->last->end, bytes, take);
    ws_queue_commit(q, take);
    bytes += take;
    n -= take;
  }
  return true;
}

/* Little of a block keeps all of it alive, or will when the others have let go
 * of it. */
static bool is_sparse(const struct ws_queued *at) {
  return at->block->refs > 1 && at->end - at->off < at->block->cap / 2;
}

static bool make_own(struct ws_queued *at, size_t hint) {
  size_t n = at->end - at->off;
  struct ws_block *c = new_block(cap_for(n, hint));
  if (!c) return false;
  memcpy(c->data, at->block->data + at->off, n);
  c->len = n;
  ws_block_release(at->block);
  at->block = c;
  at->off = 0;
  at->end = n;
  return true;
}

/* Whoever takes less than half of what the block holds by now will hardly take
 * all that follows. */
static bool is_worth_sharing(const struct ws_queue *q,
                             const struct ws_range *r) {
  if (r->len < SHARE_MIN && open_room(q) >= r->len) return false;
  return r->len >= r->block->len / 2;
}

bool ws_queue_share(struct ws_queue *q, const struct ws_range *r, size_t hint) {
  struct ws_queued *at = q->last;
  if (r->len == 0) return true;
  if (at && at->block == r->block && at->end == r->off) {
    at->end += r->len;
    return true;
  }
  if (at && is_sparse(at) && !make_own(at, hint)) return false;
  if (!is_worth_sharing(q, r))
    return ws_queue_copy(q, r->block->data + r->off, r->len, hint);
  if (!(at = add(q))) return false;
  at->block = r->block;
  at->off = r->off;
  at->end = r->off + r->len;
  at->block->refs++;
  return true;
}

void ws_queue_fit(struct ws_queue *q, size_t waiting) {
  struct ws_queued *last = q->last;
  if (!last) return;
  struct ws_queued *first = last->next;
  if (waste(first) > (first->end - first->off) / 2 + BLOCK_MIN) trim(first);
  if (waste(last) > waiting / 2 + BLOCK_MIN) trim(last);
  if (is_sparse(last) && last->block->cap > waiting / 2 + BLOCK_MIN)
    make_own(last, 0);
}

int ws_queue_peek(struct ws_queue *q, struct iovec *iov, int max,
                  size_t *total) {
  int n = 0;
  *total = 0;
  while (q->last && q->last->next->off == q->last->next->end) drop_first(q);
  if (!q->last) return 0;
  struct ws_queued *at = q->last;
  do {
    at = at->next;
    iov[n].iov_base = at->block->data + at->off;
    iov[n].iov_len = at->end - at->off;
    *total += iov[n++].iov_len;
  } while (at != q->last && n < max);
  return n;
}

void ws_queue_consume(struct ws_queue *q, size_t n) {
  while (n && q->last) {
    struct ws_queued *first = q->last->next;
    size_t left = first->end - first->off;
    if (n < left) {
      first->off += n;
      return;
    }
    n -= left;
    drop_first(q);
  }
}
