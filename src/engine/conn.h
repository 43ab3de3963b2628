/* conn.h: the life of a connection: from accept (or connect) to its last
 * byte. Its states are in conn_base.h. */
#ifndef EVWS_CONN_H
#define EVWS_CONN_H

#include "engine/conn_base.h"

/* Makes zeroed memory a connection that is over: all that may be asked of one
 * may be asked of it. */
void ws_conn_blank(struct ws_conn *c);

/* Makes zeroed or blank memory a connection on a connected descriptor. */
void ws_conn_init(struct ws_conn *c, struct ws_loop *loop,
                  struct ws_route *route, int fd, uint64_t id);

/* PENDING becomes OPEN: host->opened is called. agreed: of extensions. */
void ws_conn_open(struct ws_conn *c, enum ws_role role,
                  const struct ws_extension *agreed);

/* Our close frame, then the peer's, at most close_timeout later. cause: NULL
 * when the application asks; else what on_close will say. Harmless when the
 * connection is closing already. */
void ws_conn_close(struct ws_conn *c, int code, struct ws_slice reason,
                   const char *cause);

/* As ws_conn_close, but messages are received until the peer's close. */
void ws_conn_shutdown(struct ws_conn *c, int code, struct ws_slice reason);

/* A client that was lost, and has been told so, is PENDING again: everything
 * of the old connection is given back but what the application has of it:
 * id, meta, mode, unread messages, why it ended. */
void ws_conn_renew(struct ws_conn *c);

/* At the end of everything: queued bytes and Close 1001 are offered to the
 * kernel once, then all is given back; the host is not called. */
void ws_conn_abandon(struct ws_conn *c);

/* What every connection watches its descriptor with, until it is disposed of
 * and after: nothing else does. */
void ws_conn_on_ready(struct ws_watch *w);

/* It has no server any more: for its keeper, when it has left. */
void ws_conn_leave_route(struct ws_conn *c);

/* Gives back what outlives the end: address, path, the reason. For the owner
 * of the memory, after free_conn. */
void ws_conn_dispose(struct ws_conn *c);

#endif
