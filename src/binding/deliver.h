/* deliver.h: what a peer has said, as calls of its connection's handlers or as
 * what a receiver gets: entries of the host. */
#ifndef EVWS_BINDING_DELIVER_H
#define EVWS_BINDING_DELIVER_H

#include "engine/conn.h"

void ws_deliver_readable(struct ws_conn *c);
void ws_deliver_control(struct ws_conn *c);

#endif
