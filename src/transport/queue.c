/* queue.c: blocks in a list, each with the part of it that waits. */
#include "transport/queue.h"

#include <string.h>

#include "base/buf.h"

#define BLOCK_MIN 1024
#define BLOCK_MAX (64 * 1024)

/* A place in the queue: block->data[off, end). */
struct ws_queued {
  struct ws_queued *next;
  struct ws_block *block;
  size_t off, end;
};

void ws_block_release(struct ws_block *c) {
  if (c && --c->refs == 0) ws_mem_free(c);
}

static void drop_first(struct ws_queue *q) {
  struct ws_queued *first = q->head;
  q->head = first->next;
  if (!q->head) q->tail = NULL;
  ws_block_release(first->block);
  ws_mem_free(first);
}

void ws_queue_clear(struct ws_queue *q) {
  while (q->head) drop_first(q);
}

static struct ws_block *new_block(size_t cap) {
  struct ws_block *c;
  if (cap > SIZE_MAX - sizeof *c) return NULL;
  if (!(c = ws_mem_alloc(sizeof *c + cap))) return NULL;
  *c = (struct ws_block){.refs = 1, .cap = cap};
  return c;
}

static struct ws_queued *add(struct ws_queue *q) {
  struct ws_queued *at = ws_mem_zero(sizeof *at);
  if (!at) return NULL;
  if (q->tail)
    q->tail->next = at;
  else
    q->head = at;
  q->tail = at;
  return at;
}

/* A block of its own at the end, with room for n bytes. */
static struct ws_queued *add_block(struct ws_queue *q, size_t n, size_t hint) {
  size_t cap = hint < BLOCK_MAX ? hint : BLOCK_MAX;
  if (cap < BLOCK_MIN) cap = BLOCK_MIN;
  if (cap < n) cap = n;
  struct ws_block *c = new_block(cap);
  struct ws_queued *at = c ? add(q) : NULL;
  if (!at) {
    ws_block_release(c);
    return NULL;
  }
  at->block = c;
  return at;
}

/* The last place, if nobody else holds its block and n bytes fit behind what
 * waits there. */
static struct ws_queued *open_place(struct ws_queue *q, size_t n) {
  struct ws_queued *at = q->tail;
  if (!at || at->block->refs > 1 || at->end != at->block->len) return NULL;
  return at->block->cap - at->end < n ? NULL : at;
}

uint8_t *ws_queue_reserve(struct ws_queue *q, size_t n, size_t hint) {
  struct ws_queued *at = open_place(q, n);
  if (!at) at = add_block(q, n, hint);
  return at ? at->block->data + at->end : NULL;
}

void ws_queue_commit(struct ws_queue *q, size_t n) {
  q->tail->end += n;
  q->tail->block->len += n;
}

bool ws_queue_copy(struct ws_queue *q, const uint8_t *bytes, size_t n,
                   size_t hint) {
  if (n == 0) return true;
  uint8_t *to = ws_queue_reserve(q, n, hint);
  if (!to) return false;
  memcpy(to, bytes, n);
  ws_queue_commit(q, n);
  return true;
}

/* Little of a block keeps all of it alive, or will when the others have let go
 * of it. */
static bool is_sparse(const struct ws_queued *at) {
  return at->block->cap > BLOCK_MIN && at->end - at->off < at->block->cap / 4;
}

static bool make_own(struct ws_queued *at) {
  size_t n = at->end - at->off;
  struct ws_block *c = new_block(n > BLOCK_MIN ? n : BLOCK_MIN);
  if (!c) return false;
  memcpy(c->data, at->block->data + at->off, n);
  c->len = n;
  ws_block_release(at->block);
  *at = (struct ws_queued){.block = c, .end = n};
  return true;
}

bool ws_queue_share(struct ws_queue *q, const struct ws_range *r) {
  struct ws_queued *at = q->tail;
  if (r->len == 0) return true;
  if (at && at->block == r->block && at->end == r->off) {
    at->end += r->len;
    return true;
  }
  if (at && is_sparse(at)) {
    if (!make_own(at)) return false;
    if (r->len < r->block->cap / 4)
      return ws_queue_copy(q, r->block->data + r->off, r->len, 0);
  }
  if (!(at = add(q))) return false;
  at->block = r->block;
  at->off = r->off;
  at->end = r->off + r->len;
  at->block->refs++;
  return true;
}

int ws_queue_peek(struct ws_queue *q, struct iovec *iov, int max,
                  size_t *total) {
  int n = 0;
  *total = 0;
  while (q->head && q->head->off == q->head->end) drop_first(q);
  for (struct ws_queued *at = q->head; at && n < max; at = at->next) {
    iov[n].iov_base = at->block->data + at->off;
    iov[n].iov_len = at->end - at->off;
    *total += iov[n++].iov_len;
  }
  return n;
}

void ws_queue_consume(struct ws_queue *q, size_t n) {
  while (n && q->head) {
    size_t left = q->head->end - q->head->off;
    if (n < left) {
      q->head->off += n;
      return;
    }
    n -= left;
    drop_first(q);
  }
}
