/* queue.c: chunks in a list, each with the part of it that waits. */
#include "transport/queue.h"

#include <string.h>

#include "base/buf.h"

#define CHUNK_MIN 1024
#define CHUNK_MAX (64 * 1024)

/* A place in the queue: chunk->data[off, end). */
struct ws_queued {
  struct ws_queued *next;
  struct ws_chunk *chunk;
  size_t off, end;
};

void ws_chunk_release(struct ws_chunk *c) {
  if (c && --c->refs == 0) ws_mem_free(c);
}

static void drop_first(struct ws_queue *q) {
  struct ws_queued *first = q->head;
  q->head = first->next;
  if (!q->head) q->tail = NULL;
  ws_chunk_release(first->chunk);
  ws_mem_free(first);
}

void ws_queue_clear(struct ws_queue *q) {
  while (q->head) drop_first(q);
}

static struct ws_chunk *new_chunk(size_t cap) {
  struct ws_chunk *c;
  if (cap > SIZE_MAX - sizeof *c) return NULL;
  if (!(c = ws_mem_alloc(sizeof *c + cap))) return NULL;
  *c = (struct ws_chunk){.refs = 1, .cap = cap};
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

/* A chunk of its own at the end, with room for n bytes. */
static struct ws_queued *add_chunk(struct ws_queue *q, size_t n, size_t hint) {
  size_t cap = hint < CHUNK_MAX ? hint : CHUNK_MAX;
  if (cap < CHUNK_MIN) cap = CHUNK_MIN;
  if (cap < n) cap = n;
  struct ws_chunk *c = new_chunk(cap);
  struct ws_queued *at = c ? add(q) : NULL;
  if (!at) {
    ws_chunk_release(c);
    return NULL;
  }
  at->chunk = c;
  return at;
}

/* The last place, if nobody else holds its chunk and n bytes fit behind what
 * waits there. */
static struct ws_queued *open_place(struct ws_queue *q, size_t n) {
  struct ws_queued *at = q->tail;
  if (!at || at->chunk->refs > 1 || at->end != at->chunk->len) return NULL;
  return at->chunk->cap - at->end < n ? NULL : at;
}

uint8_t *ws_queue_reserve(struct ws_queue *q, size_t n, size_t hint) {
  struct ws_queued *at = open_place(q, n);
  if (!at) at = add_chunk(q, n, hint);
  return at ? at->chunk->data + at->end : NULL;
}

void ws_queue_commit(struct ws_queue *q, size_t n) {
  q->tail->end += n;
  q->tail->chunk->len += n;
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

/* Little of a chunk keeps all of it alive, or will when the others have let go
 * of it. */
static bool is_sparse(const struct ws_queued *at) {
  return at->chunk->cap > CHUNK_MIN && at->end - at->off < at->chunk->cap / 4;
}

static bool make_own(struct ws_queued *at) {
  size_t n = at->end - at->off;
  struct ws_chunk *c = new_chunk(n > CHUNK_MIN ? n : CHUNK_MIN);
  if (!c) return false;
  memcpy(c->data, at->chunk->data + at->off, n);
  c->len = n;
  ws_chunk_release(at->chunk);
  *at = (struct ws_queued){.chunk = c, .end = n};
  return true;
}

bool ws_queue_share(struct ws_queue *q, const struct ws_range *r) {
  struct ws_queued *at = q->tail;
  if (r->len == 0) return true;
  if (at && at->chunk == r->chunk && at->end == r->off) {
    at->end += r->len;
    return true;
  }
  if (at && is_sparse(at)) {
    if (!make_own(at)) return false;
    if (r->len < r->chunk->cap / 4)
      return ws_queue_copy(q, r->chunk->data + r->off, r->len, 0);
  }
  if (!(at = add(q))) return false;
  at->chunk = r->chunk;
  at->off = r->off;
  at->end = r->off + r->len;
  at->chunk->refs++;
  return true;
}

int ws_queue_peek(struct ws_queue *q, struct iovec *iov, int max,
                  size_t *total) {
  int n = 0;
  *total = 0;
  while (q->head && q->head->off == q->head->end) drop_first(q);
  for (struct ws_queued *at = q->head; at && n < max; at = at->next) {
    iov[n].iov_base = at->chunk->data + at->off;
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
