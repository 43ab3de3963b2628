/* option_backplane.h: what ws.backplane takes. */
#ifndef EVWS_BINDING_OPTION_BACKPLANE_H
#define EVWS_BINDING_OPTION_BACKPLANE_H

#include "binding/state.h"
#include "engine/bus.h"

/* The options at arg, a table or a URL, into the settings of a bus and the
 * links that it begins with; strings and links are kept by the table at
 * kept, which the bus' object has already. Raises for what is bad. Secure links
 * have no context yet: that is ws_options_backplane_tls, which returns false
 * and a reason when there is none to be had. */
void ws_options_backplane(lua_State *L, int arg, int kept, struct ws_bus *bus);
bool ws_options_backplane_tls(lua_State *L, int arg, int kept,
                              struct ws_bus *bus, char problem[WS_TLS_WHY_MAX]);

#endif
