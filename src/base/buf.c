/* buf.c: growable bytes, and the engine's only door to the allocator. */
#include "base/buf.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __APPLE__
#include <malloc/malloc.h>
#define size_of malloc_size
#else
#include <malloc.h>
#define size_of malloc_usable_size
#endif

/* A buffer's first allocation is not smaller: most are heads and tails that
 * grow a few times in a row. */
#define CAP_MIN 64
#define FIT_MIN 512             /* a smaller one is not worth it */
#define TAUGHT_MIN (128 * 1024) /* below, the allocator maps nothing */

#ifdef WS_FAULT
/* How many allocations until one fails; 0 is never. Test builds only, and
 * atomic because look-ups allocate on threads of their own. */
static atomic_long fail_left;
static atomic_bool fail_every;

static bool is_failing(void) {
  long n = atomic_load(&fail_left);
  while (n > 0) {
    long next = n == 1 && atomic_load(&fail_every) ? 1 : n - 1;
    if (atomic_compare_exchange_weak(&fail_left, &n, next)) return n == 1;
  }
  return false;
}

bool ws_mem_fail_at(long n, bool every) {
  atomic_store(&fail_left, 0); /* so that no thread sees half of the change */
  atomic_store(&fail_every, every);
  atomic_store(&fail_left, n);
  return true;
}
#else
static inline bool is_failing(void) {
  return false;
}

bool ws_mem_fail_at(long n, bool every) {
  (void)n;
  (void)every;
  return false;
}
#endif

/* Of all threads: a state's engine may be closed in another one than it was
 * made in, and look-ups allocate on theirs. */
static atomic_size_t used;

static void *count(void *p) {
  if (p) atomic_fetch_add_explicit(&used, size_of(p), memory_order_relaxed);
  return p;
}

static void uncount(void *p) {
  if (p) atomic_fetch_sub_explicit(&used, size_of(p), memory_order_relaxed);
}

size_t ws_mem_used(void) {
  return atomic_load_explicit(&used, memory_order_relaxed);
}

void ws_mem_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void *ws_mem_alloc(size_t size) {
  assert(size > 0);
  return is_failing() ? NULL : count(malloc(size));
}

void *ws_mem_zero(size_t size) {
  assert(size > 0);
  return is_failing() ? NULL : count(calloc(1, size));
}

void *ws_mem_resize(void *p, size_t size) {
  assert(size > 0);
  if (is_failing()) return NULL;
  size_t before = p ? size_of(p) : 0;
  void *moved = count(realloc(p, size));
  if (moved) atomic_fetch_sub_explicit(&used, before, memory_order_relaxed);
  return moved;
}

void ws_mem_free(void *p) {
  uncount(p);
  free(p);
}

#ifdef WS_FAULT
/* The sanitizers know what malloc gives, and nothing of pages. */
void *ws_mem_pages(size_t size) {
  return ws_mem_zero(size);
}

void ws_mem_pages_free(void *p, size_t size) {
  (void)size;
  ws_mem_free(p);
}
#else
void *ws_mem_pages(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  atomic_fetch_add_explicit(&used, size, memory_order_relaxed);
  return p;
}

void ws_mem_pages_free(void *p, size_t size) {
  if (!p) return;
  munmap(p, size);
  atomic_fetch_sub_explicit(&used, size, memory_order_relaxed);
}
#endif

void *ws_mem_lend(void *p, size_t size, bool is_last) {
  if (size == 0) {
    free(p);
    return NULL;
  }
  return is_failing() && !is_last ? NULL : realloc(p, size);
}

/* Gives the buffer `cap` bytes (>= len), those in use at the front. With
 * consumed bytes in front a resize would copy them too and then move the
 * rest, so a new block is cheaper; it also leaves *b alone on failure. */
static bool set_cap(struct ws_buf *b, size_t cap) {
  uint8_t *data;
  if (b->off == 0) {
    data = ws_mem_resize(b->data, cap);
    if (data == NULL) return false;
  } else {
    data = ws_mem_alloc(cap);
    if (data == NULL) return false;
    memcpy(data, ws_buf_begin(b), b->len);
    ws_mem_free(b->data);
  }
  b->data = data;
  b->off = 0;
  b->cap = cap;
  return true;
}

static void move_to_front(struct ws_buf *b) {
  memmove(b->data, ws_buf_begin(b), b->len);
  b->off = 0;
}

/* Moving is worth it only after enough was consumed to pay for it. Otherwise
 * a nearly full buffer that is consumed and filled a few bytes at a time
 * would move all of itself each time: quadratic in what passes through. */
static bool is_move_paid(const struct ws_buf *b) {
  return b->off >= b->len / 4;
}

bool ws_buf_reserve(struct ws_buf *b, size_t n) {
  if (n <= ws_buf_room(b)) return true;
  if (n > SIZE_MAX - b->len) return false;
  size_t need = b->len + n;
  if (need <= b->cap && is_move_paid(b)) {
    move_to_front(b);
    return true;
  }
  size_t cap = b->cap > SIZE_MAX / 2 ? need : b->cap * 2;
  if (cap < need) cap = need;
  if (cap < CAP_MIN) cap = CAP_MIN;
  return set_cap(b, cap);
}

bool ws_buf_reserve_exact(struct ws_buf *b, size_t n) {
  if (n <= ws_buf_room(b)) return true;
  if (n > SIZE_MAX - b->len) return false;
  if (b->len + n > b->cap) return set_cap(b, b->len + n);
  move_to_front(b);
  return true;
}

bool ws_buf_append(struct ws_buf *b, const void *bytes, size_t n) {
  if (n == 0) return true; /* both pointers may be NULL then */
  if (!ws_buf_reserve(b, n)) return false;
  memcpy(ws_buf_end(b), bytes, n);
  b->len += n;
  return true;
}

void ws_buf_consume(struct ws_buf *b, size_t n) {
  assert(n <= b->len);
  b->len -= n;
  b->off = b->len == 0 ? 0 : b->off + n;
}

void ws_buf_fit(struct ws_buf *b) {
  if (b->len && b->cap / 2 > b->len + FIT_MIN) set_cap(b, b->len);
}

void ws_buf_free(struct ws_buf *b) {
  ws_mem_free(b->data);
  *b = (struct ws_buf){0};
}

bool ws_buf_pool_take(struct ws_buf_pool *pool, struct ws_buf *b, size_t cap) {
  if (cap < WS_POOL_LEAST || cap < b->len) return false;
  for (unsigned i = 0; i < pool->n; i++) {
    struct ws_buf held = pool->held[i];
    if (held.cap < cap) continue;
    pool->held[i] = pool->held[--pool->n];
    pool->bytes -= held.cap;
    if (b->len) memcpy(held.data, ws_buf_begin(b), b->len);
    held.len = b->len;
    ws_mem_free(b->data);
    *b = held;
    return true;
  }
  return false;
}

static void teach(struct ws_buf_pool *pool, size_t cap) {
  if (cap > WS_POOL_TAUGHT) cap = WS_POOL_TAUGHT;
  if (cap < TAUGHT_MIN || cap <= pool->taught) return;
  pool->taught = cap;
  ws_mem_free(ws_mem_alloc(4 * cap));
}

void ws_buf_pool_give(struct ws_buf_pool *pool, struct ws_buf *b) {
  teach(pool, b->cap);
  if (b->cap < WS_POOL_LEAST || pool->n == WS_POOL_BUFFERS ||
      b->cap > WS_POOL_BYTES - pool->bytes) {
    ws_buf_free(b);
    return;
  }
  b->off = b->len = 0;
  pool->bytes += b->cap;
  pool->held[pool->n++] = *b;
  *b = (struct ws_buf){0};
}

static void let_go(struct ws_buf_return *r) {
  if (--r->refs == 0) ws_mem_free(r);
}

void ws_buf_pool_free(struct ws_buf_pool *pool) {
  while (pool->n) ws_buf_free(&pool->held[--pool->n]);
  pool->bytes = 0;
  if (!pool->back) return;
  pool->back->pool = NULL;
  let_go(pool->back);
  pool->back = NULL;
}

struct ws_buf_return *ws_buf_lend(struct ws_buf_pool *pool) {
  struct ws_buf_return *r = pool->back;
  if (!r) {
    if (!(r = ws_mem_alloc(sizeof *r))) return NULL;
    *r = (struct ws_buf_return){.refs = 1, .pool = pool};
    pool->back = r;
  }
  r->refs++;
  return r;
}

void ws_buf_come_back(struct ws_buf_return *to, void *block, size_t cap) {
  struct ws_buf b = {.data = block, .cap = cap};
  if (to->pool)
    ws_buf_pool_give(to->pool, &b);
  else
    ws_buf_free(&b);
  let_go(to);
}
