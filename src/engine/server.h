/* server.h: the life of a server; what it is stands in server_base.h, its
 * routes in route.h, its end in farewell.h. */
#ifndef EVWS_SERVER_H
#define EVWS_SERVER_H

#include "engine/server_base.h"

/* Opens the listening sockets of a server whose settings are filled in.
 * Returns 0 or a negated errno and *why. */
int ws_server_start(struct ws_server *s, struct ws_loop *loop,
                    struct ws_net_listen *what, const char **why);

/* At the end of everything: listeners are closed, the connections are
 * abandoned (ws_conn_abandon), the host is not called. */
void ws_server_abandon(struct ws_server *s);

/* Gives back what the settings hold; after server_gone, or when it never
 * started. */
void ws_server_free(struct ws_server *s);

/* The address of a socket that somebody else has opened becomes s->address;
 * without memory that stays as it was. */
void ws_server_read_address(struct ws_server *s);

/* Bytes that wait in the queues of its connections. Looks at each of them. */
uint64_t ws_server_queued(const struct ws_server *s);

#endif
