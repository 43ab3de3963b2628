/* bus_except.h: connections that a message leaves out, between processes; and
 * which Redis has a topic. */
#ifndef EVWS_BUS_EXCEPT_H
#define EVWS_BUS_EXCEPT_H

#include "engine/publish.h"
#include "protocol/envelope.h"

#define WS_BUS_EXCEPT_MAX 1024 /* connections that one message leaves out */

/* A message of this node, without them. */
struct ws_carried ws_bus_carried(const struct ws_publication *p, uint64_t node);

/* Those of this node that a message leaves out, sorted. */
struct ws_ids ws_bus_excepted(const struct ws_carried *c, uint64_t node,
                              uint64_t ids[WS_BUS_EXCEPT_MAX]);

/* And the other way round: c->except, to be freed. False without memory. */
bool ws_bus_name_except(struct ws_except except, uint64_t node,
                        struct ws_carried *c);

/* CRC-16/XMODEM, as a cluster of Redis takes it. */
unsigned ws_bus_crc16(struct ws_slice text);

#endif
