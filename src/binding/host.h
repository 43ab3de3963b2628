/* host.h: what rises from the engine (engine/host.h), as calls of Lua
 * handlers. */
#ifndef EVWS_BINDING_HOST_H
#define EVWS_BINDING_HOST_H

#include "engine/host.h"

void ws_host_fill(struct ws_host *host);

#endif
