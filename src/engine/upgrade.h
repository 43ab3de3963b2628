/* upgrade.h: a connection before it is open: the request that may become a
 * WebSocket (RFC 6455 4.2), or plain HTTP (RFC 9112). */
#ifndef EVWS_UPGRADE_H
#define EVWS_UPGRADE_H

#include "engine/pending.h"

/* A connection was accepted; bytes: by another process, which has read these,
 * p NULL where it was us. False without memory. */
bool ws_upgrade_start(struct ws_conn *c, const struct ws_address *peer,
                      struct ws_slice bytes);

/* Makes room: answers 503, or closes. */
void ws_upgrade_shed(struct ws_conn *c);

/* Counts what is about to be answered as a refusal, if it is. */
void ws_upgrade_count(struct ws_conn *c, enum ws_refusal why, int status);

/* The 101; the connection opens. subprotocol: static or the route's, p NULL
 * for none. */
void ws_conn_accept(struct ws_conn *c, struct ws_slice subprotocol,
                    struct ws_slice fields);

/* By the rules of the request's route, but for those that the host judges;
 * without an Origin: is none needed? */
bool ws_upgrade_is_origin_allowed(const struct ws_conn *c);

/* 403, and a line in the log. */
void ws_upgrade_refuse_origin(struct ws_conn *c);

/* Does the request offer this sub-protocol? */
bool ws_upgrade_offers(const struct ws_conn *c, struct ws_slice name);

/* The first of the route's sub-protocols that the request offers; p NULL when
 * there is none. */
struct ws_slice ws_upgrade_choose(const struct ws_conn *c);

#endif
