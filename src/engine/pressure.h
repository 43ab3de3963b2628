/* pressure.h: is there more memory in use than max_memory allows? */
#ifndef EVWS_PRESSURE_H
#define EVWS_PRESSURE_H

#include "engine/server_base.h"

/* Then nobody new is let in. What compression keeps goes first. */
bool ws_pressure_is_high(struct ws_server *s);

#endif
