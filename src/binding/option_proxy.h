/* option_proxy.h: the option proxy of ws.connect. */
#ifndef EVWS_BINDING_OPTION_PROXY_H
#define EVWS_BINDING_OPTION_PROXY_H

#include <lua.h>
#include "engine/tunnel.h"
#include "protocol/url.h"

/* The proxy for this URL, from the table at arg or from the environment; none:
 * its host is empty. Pushes two values, which keep its strings. */
void ws_options_proxy(lua_State *L, int arg, const struct ws_url *url,
                      struct ws_tunnel_to *to);

#endif
