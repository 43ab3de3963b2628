/* io_kernel.h: the seam's calls as the kernel provides them. Readiness and
 * waking come from ev.c, look-ups from lookup.c; together they make the
 * kernel provider. */
#ifndef EVWS_IO_KERNEL_H
#define EVWS_IO_KERNEL_H

#include "transport/io.h"

/* Fills in every call but watch and wake_at. */
void ws_io_kernel_fill(struct ws_io_ops *ops);

/* lookup.c: names are looked up in a thread. */
bool ws_lookup_start(struct ws_io *io, struct ws_lookup *l, const char *host,
                     int port);
int ws_lookup_now(struct ws_io *io, const char *host, int port,
                  struct ws_address list[WS_ADDRESS_MAX]);
void ws_lookup_cancel(struct ws_io *io, struct ws_lookup *l);

#endif
