/* linger.h: the end of a TCP stream that owes nothing any more. Closing over
 * unread input would make the kernel send RST, and the peer could lose what
 * is on its way; so our half is closed first, and what still comes is thrown
 * away until the peer's half ends, for a while. */
#ifndef EVWS_LINGER_H
#define EVWS_LINGER_H

#include "transport/loop.h"

#define WS_LINGER_SECONDS 0.9 /* peers allow a server a second to be gone */
#define WS_LINGER_BYTES (16 * 1024 * 1024)

/* Takes over a connected descriptor. Whatever fails, it is closed. */
void ws_linger_start(struct ws_loop *loop, int fd);

/* Closes all that linger now. */
void ws_linger_stop(struct ws_loop *loop);

#endif
