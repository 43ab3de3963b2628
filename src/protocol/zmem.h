/* zmem.h: zlib's memory. It comes through buf.h's door, as everybody's does,
 * and what one compressor or decompressor needs comes in one piece, so that
 * it goes in one piece. */
#ifndef EVWS_ZMEM_H
#define EVWS_ZMEM_H

#include "base/buf.h"

/* What zlib is given as opaque. */
struct ws_zmem {
  uint8_t *pages; /* NULL: each allocation stands for itself */
  size_t size, used;
};

/* About so many bytes will be asked for. What goes beyond them, or all of it
 * when there are no pages, comes from the allocator. */
void ws_zmem_open(struct ws_zmem *m, size_t size);
void ws_zmem_close(struct ws_zmem *m);

void *ws_zmem_alloc(void *opaque, unsigned n, unsigned size);
void ws_zmem_free(void *opaque, void *p);

#endif
