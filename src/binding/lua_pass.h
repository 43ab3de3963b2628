/* lua_pass.h: requests that go on in another process, private functions of the
 * core for what is written in Lua beside it.
 *
 *   server_of(request) -> the server that has it, and what its topics are of
 *     beyond it (to be compared); nil where it is answered
 *   passable(request, body) -> descriptor, bytes: all that another process
 *     needs to go on with it; nil: it cannot
 *   passed(request): somebody else has it now; nothing is answered here
 *   expect(server, seconds): for so long other processes may pass requests
 *     to it: while it retires it waits for them
 *   adopt(bytes, descriptor) -> true, or false: nobody here takes it. The
 *     descriptor is taken in any case. */
#ifndef EVWS_BINDING_LUA_PASS_H
#define EVWS_BINDING_LUA_PASS_H

#include "binding/state.h"

int ws_lua_server_of(lua_State *L);
int ws_lua_passable(lua_State *L);
int ws_lua_passed(lua_State *L);
int ws_lua_expect(lua_State *L);
int ws_lua_adopt(lua_State *L);

#endif
