/* linger.h: the end of a TCP stream that owes nothing any more. Closing over
 * unread input would make the kernel send RST, and the peer could lose what
 * is on its way; so only our half is closed, if that, and what still comes is
 * thrown away until the peer's half ends, for a while. */
#ifndef EVWS_LINGER_H
#define EVWS_LINGER_H

#include "transport/loop.h"

#define WS_LINGER_SECONDS 0.9 /* peers allow a server a second to be gone */
#define WS_LINGER_BYTES (16 * 1024 * 1024)
#define WS_LINGERS_MAX 1024 /* of a loop; beyond them the oldest is cut */

/* RFC 6455 7.1.1: the server ends TCP first, so that TIME_WAIT, which a
 * server can reopen, is not the client's. */
enum ws_linger {
  WS_LINGER_FIRST, /* our half ends at once */
  WS_LINGER_SECOND /* it ends with the peer's, or when the while is over */
};

/* Takes over a connected descriptor. Whatever fails, it is closed. */
void ws_linger_start(struct ws_loop *loop, int fd, enum ws_linger who);

/* Closes the one that has lingered for longest, to make room; false where
 * there is none. Their number is loop->n_lingers. */
bool ws_linger_cut(struct ws_loop *loop);

/* Closes all that linger now. */
void ws_linger_stop(struct ws_loop *loop);

#endif
