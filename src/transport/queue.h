/* queue.h: bytes that wait to be sent, the oldest first. They stand in blocks;
 * a block may be in several queues at once. */
#ifndef EVWS_QUEUE_H
#define EVWS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ws_block {
  uint32_t refs; /* holders; freed by the last one */
  size_t len, cap;
  uint8_t data[];
};

void ws_block_release(struct ws_block *c); /* c may be NULL */

/* A run of a block's bytes. */
struct ws_range {
  struct ws_block *block;
  size_t off, len;
};

/* A zeroed one is empty. */
struct ws_queue {
  struct ws_queued *last; /* which knows the first; NULL: nothing waits */
};

static inline bool ws_queue_is_empty(const struct ws_queue *q) {
  return !q->last;
}

/* A place for n bytes at the end; ws_queue_commit says that they are there.
 * NULL without memory. hint: bytes that are waiting, which tells how large a
 * new block should be. */
uint8_t *ws_queue_reserve(struct ws_queue *q, size_t n, size_t hint);
void ws_queue_commit(struct ws_queue *q, size_t n);

/* Appends a copy, in pieces that go one by one as they are sent; false without
 * memory for all of it. */
bool ws_queue_copy(struct ws_queue *q, const uint8_t *bytes, size_t n,
                   size_t hint);

/* Appends a run without a copy, if it is much of its block or may become so;
 * the queue holds a count of the block. Of a block of which little is used
 * only the last in the queue is held, which the next run may prolong; when
 * that comes from elsewhere it is copied. False without memory. */
bool ws_queue_share(struct ws_queue *q, const struct ws_range *r, size_t hint);

/* Gives back what is held beyond about twice the bytes that wait. For a queue
 * that stays for a while: at most two bytes move for each that was sent. */
void ws_queue_fit(struct ws_queue *q, size_t waiting);

/* The first bytes as up to `max` pieces; returns their number, and in *total
 * the bytes. */
int ws_queue_peek(struct ws_queue *q, struct iovec *iov, int max,
                  size_t *total);

/* Drops the first n bytes. */
void ws_queue_consume(struct ws_queue *q, size_t n);

void ws_queue_clear(struct ws_queue *q);

#endif
