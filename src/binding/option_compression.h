/* option_compression.h: the option compression. */
#ifndef EVWS_BINDING_OPTION_COMPRESSION_H
#define EVWS_BINDING_OPTION_COMPRESSION_H

#include <lua.h>
#include "protocol/protocol.h"

/* What to negotiate, and how to compress. */
void ws_options_compression(lua_State *L, int arg, struct ws_protocol_env *o);

#endif
