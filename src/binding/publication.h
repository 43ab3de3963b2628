/* publication.h: what was published to a topic, as arguments of a function:
 * message, kind, and a table of the rest. */
#ifndef EVWS_BINDING_PUBLICATION_H
#define EVWS_BINDING_PUBLICATION_H

#include <lua.h>

#include "engine/carrier.h"

/* Pushes these three values. */
void ws_push_publication(lua_State *L, const struct ws_publication *p);

/* Pushes the table alone. */
void ws_push_about(lua_State *L, const struct ws_publication *p);

#endif
