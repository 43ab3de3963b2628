/* retry.h: a client that connects again after a loss, as the same connection.
 *
 *   OPEN -> CLOSED, host->closed -> PENDING: waits, then tries -> OPEN ...
 *
 * An attempt that fails is told by host->closed too, and is followed by a
 * longer wait. The waits double from `initial` to `maximum`; they begin anew
 * when a connection has lasted longer than the wait before it. Each is
 * shortened by up to its part `jitter`, by chance, so that the clients of a
 * server that went down do not all come back at once.
 *
 * It ends for good when the application ends it, after close code 1000, 1002
 * or 1008, and when an HTTP answer says what would be said again the next
 * time. */
#ifndef EVWS_RETRY_H
#define EVWS_RETRY_H

#include "engine/client.h"

struct ws_retry;

/* Of a new connection, not started yet. Copies `what`. False without memory. */
bool ws_retry_init(struct ws_conn *c, const struct ws_client_request *what);

/* It will connect again: host->closed, if it is called, is not the last one. */
bool ws_retry_is_due(const struct ws_conn *c);

/* It is CLOSED, and will stay so. */
bool ws_retry_is_over(const struct ws_conn *c);

/* The application does not want it any more. */
void ws_retry_end(struct ws_conn *c);

/* Called by conn.c, each harmless for a connection that does not retry. */

void ws_retry_opened(struct ws_conn *c);

/* Before host->closed. In pull mode the loss is put behind the messages that
 * nobody has read yet. */
void ws_retry_lost(struct ws_conn *c);

/* In place of its being freed: the wait begins. False: it is over. */
bool ws_retry_wait(struct ws_conn *c);

/* Do unread messages outlive the end of this connection? */
bool ws_retry_keeps_unread(const struct ws_conn *c);

void ws_retry_stop(struct ws_conn *c);
void ws_retry_free(struct ws_retry *r);

#endif
