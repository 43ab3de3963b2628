/* bus_tell.h: what is told of a Redis: events, and warnings. */
#ifndef EVWS_BUS_TELL_H
#define EVWS_BUS_TELL_H

#include "engine/bus_link.h"

/* why: NULL, or the reason. */
void ws_bus_tell(const struct ws_link *l, const char *event, const char *why);

/* A line of the log, if there was none for a while. */
void ws_bus_warn(struct ws_link *l, const char *why);

/* The same about a command that Redis has refused. */
void ws_bus_refused(struct ws_link *l, struct ws_slice why);

#endif
