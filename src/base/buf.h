/* buf.h: growable bytes, and the engine's only door to the allocator.
 *
 * A buffer owns `cap` bytes at `data`; those in use are data[off, off+len).
 * A zeroed struct is an empty buffer. Nothing here aborts: a failed
 * allocation is reported and leaves the buffer as it was. */
#ifndef EVWS_BUF_H
#define EVWS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Allocate, resize and free. ws_mem_resize(NULL, n) allocates; a size of 0 is
 * not allowed. NULL when there is no memory. */
void *ws_mem_alloc(size_t size);
void *ws_mem_zero(size_t size);
void *ws_mem_resize(void *p, size_t size);
void ws_mem_free(void *p);

/* Pages for what is large and goes as a whole: they are the system's again at
 * once, where the allocator would keep them between smaller things that stay.
 * Zeroed. */
void *ws_mem_pages(size_t size);
void ws_mem_pages_free(void *p, size_t size);

/* For others (reserve.c): not counted, and a size of 0 frees. is_last: this
 * one is not made to fail. */
void *ws_mem_lend(void *p, size_t size, bool is_last);

/* Bytes that are allocated in this process, as the allocator rounds them. */
size_t ws_mem_used(void);

/* Gives the system what the allocator keeps between things that stay, as far
 * as it can: some 10 to 40 ms for each 100 MB. */
void ws_mem_trim(void);

/* Sanitizer builds only: the n-th allocation from now fails (1 is the next),
 * and with `every` all later ones too; 0 turns it off. Elsewhere it does
 * nothing and returns false. */
bool ws_mem_fail_at(long n, bool every);

struct ws_buf {
  uint8_t *data;
  size_t off, len, cap;
};

static inline uint8_t *ws_buf_begin(const struct ws_buf *b) {
  return b->data + b->off;
}

static inline uint8_t *ws_buf_end(const struct ws_buf *b) {
  return b->data + b->off + b->len;
}

/* Bytes that can be written at ws_buf_end without growing. */
static inline size_t ws_buf_room(const struct ws_buf *b) {
  return b->cap - b->off - b->len;
}

/* Makes room for n more bytes: moves the bytes in use to the front, or grows,
 * at least doubling. False when there is no memory (or the size overflows). */
bool ws_buf_reserve(struct ws_buf *b, size_t n);

/* As ws_buf_reserve, but the new capacity is exactly what is needed. */
bool ws_buf_reserve_exact(struct ws_buf *b, size_t n);

/* n bytes that were written at ws_buf_end are now in use. */
static inline void ws_buf_commit(struct ws_buf *b, size_t n) {
  b->len += n;
}

bool ws_buf_append(struct ws_buf *b, const void *bytes, size_t n);

/* Drops the first n bytes (n <= len). The memory stays. */
void ws_buf_consume(struct ws_buf *b, size_t n);

/* Gives back what is more than about twice the bytes in use, if that can be
 * had. For a buffer that stays for a while. */
void ws_buf_fit(struct ws_buf *b);

/* Gives the memory back; the buffer is empty and usable again. */
void ws_buf_free(struct ws_buf *b);

/* Large buffers at rest. Fresh memory costs a page fault for each 4 KiB,
 * which for messages of a megabyte is more than everything else. */
#define WS_POOL_BUFFERS 8
#define WS_POOL_BYTES (4 * 1024 * 1024) /* held at the most */
#ifndef WS_POOL_LEAST                   /* fuzz targets set it lower */
#define WS_POOL_LEAST (64 * 1024)       /* smaller ones are not worth it */
#endif

/* The host copies each long message, by malloc, whose top is the system's
 * again whenever much of it is free: the next copy meets fresh pages. glibc
 * keeps twice the size of the largest block that was mapped for itself and
 * freed; so one of four buffers' size is, when there is a first of up to so
 * many bytes. */
#define WS_POOL_TAUGHT (1024 * 1024)

struct ws_buf_return;

struct ws_buf_pool {
  struct ws_buf held[WS_POOL_BUFFERS];
  unsigned n;
  size_t bytes;
  size_t taught; /* of which size the allocator has seen one come and go */
  struct ws_buf_return *back; /* a count of it; NULL: nothing was lent */
};

/* Exchanges b's memory for a held one of `cap` bytes at least; the bytes in
 * use come along. False when none is held. */
bool ws_buf_pool_take(struct ws_buf_pool *pool, struct ws_buf *b, size_t cap);

/* As ws_buf_free, but the memory may be held. */
void ws_buf_pool_give(struct ws_buf_pool *pool, struct ws_buf *b);

void ws_buf_pool_free(struct ws_buf_pool *pool);

/* Where buffers come back to that were lent to somebody who may outlive the
 * pool; each holds a count of it. */
struct ws_buf_return {
  uint32_t refs;
  struct ws_buf_pool *pool; /* NULL: it has been given back */
};

/* The pool's, with a count more; NULL without memory. */
struct ws_buf_return *ws_buf_lend(struct ws_buf_pool *pool);

/* A block of `cap` bytes at least that was lent so is not used any more. */
void ws_buf_come_back(struct ws_buf_return *to, void *block, size_t cap);

#endif
