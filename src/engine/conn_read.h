/* conn_read.h: what arrives on an open connection. */
#ifndef EVWS_CONN_READ_H
#define EVWS_CONN_READ_H

#include "engine/conn_base.h"

/* The next message, or chunk of one (protocol.wants_chunks), in order; in
 * callback mode with pings and pongs between, where wants_control; in pull
 * mode of a client that reconnects with the loss of a connection between.
 * False when there is none now, or none may be taken.
 * Its data stay until ws_conn_release or the next call. */
bool ws_conn_next(struct ws_conn *c, struct ws_event *ev);
void ws_conn_release(struct ws_conn *c);

/* Keeps a message that was taken for whoever takes the next one, behind all
 * that is kept already. False without memory: the connection ends. */
bool ws_conn_enqueue(struct ws_conn *c, const struct ws_event *ev);

/* Puts the end of this connection, an event WS_EVENT_CLOSE for ws_conn_next,
 * behind what nobody has taken yet. False without memory. */
bool ws_conn_mark_loss(struct ws_conn *c);

/* Bytes that came with or before the upgrade's last one. */
void ws_conn_input(struct ws_conn *c, uint8_t *bytes, size_t n);

/* The descriptor is ready, or something that was kept may go on. */
void ws_conn_read(struct ws_conn *c);

#endif
