/* zmem.h: zlib's memory comes through buf.h's door, as everybody's does. */
#ifndef EVWS_ZMEM_H
#define EVWS_ZMEM_H

#include <stdint.h>

#include "base/buf.h"

static inline void *ws_zmem_alloc(void *opaque, unsigned n, unsigned size) {
  (void)opaque;
  if (size && n > SIZE_MAX / size) return NULL;
  return ws_mem_alloc((size_t)n * size);
}

static inline void ws_zmem_free(void *opaque, void *p) {
  (void)opaque;
  ws_mem_free(p);
}

#endif
