/* reserve.h: memory for a library that ends the process when it gets none, as
 * libev does. A block is set aside for what it may ask for next; it is given
 * up when the system has no more, and got back as soon as that is possible.
 * Until then whoever would make the library ask for more is told no.
 *
 * But for its first bytes the block is never written to: it takes addresses,
 * not pages. There is one for the whole process, for any thread. */
#ifndef EVWS_RESERVE_H
#define EVWS_RESERVE_H

#include <stdbool.h>
#include <stddef.h>

/* The library's allocator: allocates, resizes, and frees when size is 0. What
 * it holds is not counted by ws_mem_used, for others may have begun it. */
void *ws_reserve_alloc(void *p, long size);

/* Sets aside so many bytes more than before, and what was given up. False,
 * and nothing more, when that cannot be had. */
bool ws_reserve_grow(size_t more);

/* Sets aside so many bytes less. */
void ws_reserve_shrink(size_t less);

#endif
