/* io_kernel.h: the seam's calls as the kernel provides them. Readiness and
 * waking come from ev.c, look-ups from lookup.c; together they make the
 * kernel provider. */
#ifndef EVWS_IO_KERNEL_H
#define EVWS_IO_KERNEL_H

#include "transport/io.h"

/* Fills in every call but watch and wake_at. */
void ws_io_kernel_fill(struct ws_io_ops *ops);

#endif
