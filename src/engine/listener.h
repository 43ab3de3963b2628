/* listener.h: the listening sockets of a server. */
#ifndef EVWS_LISTENER_H
#define EVWS_LISTENER_H

#include "engine/server_base.h"

/* A connection that has not asked for anything when the listener is closed
 * has so long to do it; an upgrade is answered with 503. */
#define WS_LISTENER_LATE 1.0 /* seconds */

/* Accepts from these n descriptors from now on. */
void ws_listener_start(struct ws_server *s, const int *fds, int n);

/* A connection that another process has accepted and read from: these bytes
 * are its first ones. The descriptor is the server's, also where the answer is
 * false: it takes none. */
bool ws_listener_take(struct ws_server *s, int fd,
                      const struct ws_address *peer, struct ws_slice bytes);

/* And not any more; what the kernel has accepted already is answered. */
void ws_listener_stop(struct ws_server *s);

#endif
