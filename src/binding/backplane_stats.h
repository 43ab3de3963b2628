/* backplane_stats.h: what a backplane has counted, for server:stats and
 * server:metrics. */
#ifndef EVWS_BINDING_BACKPLANE_STATS_H
#define EVWS_BINDING_BACKPLANE_STATS_H

#include <lauxlib.h>

#include "engine/bus.h"

/* Pushes a table. */
void ws_backplane_push_stats(lua_State *L, const struct ws_bus *bus);

/* Adds lines in the format of Prometheus. */
void ws_backplane_add_metrics(luaL_Buffer *b, const struct ws_bus *bus);

#endif
