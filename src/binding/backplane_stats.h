/* backplane_stats.h: what a backplane has counted, for server:stats and
 * server:metrics. */
#ifndef EVWS_BINDING_BACKPLANE_STATS_H
#define EVWS_BINDING_BACKPLANE_STATS_H

#include <lauxlib.h>

#include "engine/bus.h"
#include "engine/share.h"

/* Lets the other workers see what this one has counted. */
void ws_backplane_tell(const struct ws_share *share, const struct ws_bus *bus);

/* Pushes a table. share: with what the other workers have told; NULL: without.
 */
void ws_backplane_push_stats(lua_State *L, const struct ws_bus *bus,
                             const struct ws_share *share);

/* Adds lines in the format of Prometheus; share as above. */
void ws_backplane_add_metrics(luaL_Buffer *b, const struct ws_bus *bus,
                              const struct ws_share *share);

#endif
