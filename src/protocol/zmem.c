/* zmem.c: zlib's memory. */
#include "protocol/zmem.h"

#define PAGE 4096u
#define LEAST (4 * PAGE) /* less may come from the allocator */
#define ALIGN 16u

void ws_zmem_open(struct ws_zmem *m, size_t size) {
  *m = (struct ws_zmem){.size = (size + PAGE - 1) & ~(size_t)(PAGE - 1)};
  if (size >= LEAST) m->pages = ws_mem_pages(m->size);
}

void ws_zmem_close(struct ws_zmem *m) {
  ws_mem_pages_free(m->pages, m->size);
  m->pages = NULL;
}

void *ws_zmem_alloc(void *opaque, unsigned n, unsigned size) {
  struct ws_zmem *m = opaque;
  if (size && n > SIZE_MAX / size) return NULL;
  size_t want = ((size_t)n * size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  if (!m->pages || want > m->size - m->used)
    return ws_mem_alloc((size_t)n * size);
  void *p = m->pages + m->used;
  m->used += want;
  return p;
}

/* What stands in the pages goes with them. */
void ws_zmem_free(void *opaque, void *p) {
  const struct ws_zmem *m = opaque;
  uintptr_t at = (uintptr_t)p, from = (uintptr_t)m->pages;
  if (m->pages && at >= from && at - from < m->size) return;
  ws_mem_free(p);
}
