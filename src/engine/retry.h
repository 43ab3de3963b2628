/* retry.h: a client that connects again after a loss, as the same connection.
 *
 *   OPEN -> CLOSED, host->closed -> PENDING: waits, then tries -> OPEN ...
 *
 * An attempt that fails is told by host->closed too, and is followed by a
 * longer wait. The waits double from `initial` to `maximum`; they begin anew
 * when a connection has lasted longer than the wait before it. Each is
 * shortened by up to its part `jitter`, by chance, so that the clients of a
 * server that went down do not all come back at once. The Retry-After of a 429
 * or 503 is kept to, up to an hour.
 *
 * It ends for good when the application ends it, after close code 1000, 1002
 * or 1008, and when an HTTP answer says what would be said again the next
 * time. */
#ifndef EVWS_RETRY_H
#define EVWS_RETRY_H

#include "engine/client.h"

/* Zeroed memory becomes that of a client which is not started yet, with a
 * route of its own, whose options may be set; ws_conn_dispose gives both
 * back. NULL without memory. */
struct ws_route *ws_retry_prepare(struct ws_conn *c, struct ws_host *host);

/* Starts to connect, as ws_client_start; and again after each loss where
 * what->reconnect says so. */
bool ws_retry_start(struct ws_conn *c, struct ws_loop *loop, uint64_t id,
                    const struct ws_client_request *what);

/* It will connect again: host->closed, if it is called, is not the last one. */
bool ws_retry_is_due(const struct ws_conn *c);

/* It is CLOSED, and will stay so. */
bool ws_retry_is_over(const struct ws_conn *c);

/* The application does not want it any more. */
void ws_retry_end(struct ws_conn *c);

#endif
