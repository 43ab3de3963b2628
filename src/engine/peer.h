/* peer.h: who is at the other end of a connection: whoever has connected, or
 * whom a proxy speaks for that the listener trusts: by a PROXY header in
 * front of everything, or by fields of the request. */
#ifndef EVWS_PEER_H
#define EVWS_PEER_H

#include "engine/conn_base.h"

/* c was accepted and has its pending part. Where the listener wants a PROXY
 * header the step is WS_STEP_PROXY from now on, and TLS, where it is spoken,
 * waits for the header's end; a peer that may not send one is cut, which is
 * logged. False without memory. */
bool ws_peer_start(struct ws_conn *c);

/* WS_STEP_PROXY, and there is something to read: takes the header and not a
 * byte more. True when it is complete and the step is WS_STEP_HEAD; false
 * when more is needed or the connection was cut. */
bool ws_peer_read(struct ws_conn *c);

/* A request's head is there and was checked: its fields tell who the client
 * of this request is, if the peer is trusted to say so. */
void ws_peer_take_head(struct ws_conn *c);

/* Is there room for one more from this address? Proxies that are trusted speak
 * for others, and are not counted. */
bool ws_peer_is_welcome(const struct ws_server *s,
                        const struct ws_address *peer);

/* It counts from now on, once, and as one of this address. False without
 * memory. */
bool ws_peer_count(struct ws_conn *c, const struct ws_address *client);

/* May it come in with this request, whose head was taken? 0, or the status
 * that says why not. */
int ws_peer_judge(struct ws_conn *c, bool is_upgrade);

#endif
