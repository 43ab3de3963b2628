/* lookup.h: host names to addresses, for the kernel provider. */
#ifndef EVWS_LOOKUP_H
#define EVWS_LOOKUP_H

#include "transport/io.h"

/* As the calls of the same names in io.h say. */
bool ws_lookup_start(struct ws_io *io, struct ws_lookup *l, const char *host,
                     int port);
int ws_lookup_now(struct ws_io *io, const char *host, int port,
                  struct ws_address list[WS_ADDRESS_MAX]);
void ws_lookup_cancel(struct ws_io *io, struct ws_lookup *l);

#endif
