/* lua_serve.h: the private table core.serve: what a supervisor needs of the
 * system (lua/evws/serve.lua). Nothing here waits; what fails returns nil, why
 * and an errno.
 *
 *   spawn(argv, env, fds) -> process   lists of strings and of descriptors,
 *     which the program finds under the numbers that they have here
 *   control() -> control, fd   one end of a new socket, and the number of the
 *     other, the caller's; control(fd) -> control: around such a number
 *     control:send(line, rest or nil, fds...) -> true; it may be queued
 *     control:read() -> a list of { bytes, fds = {...} or nil }
 *       | nil, "again" or "closed"
 *     control:flush() -> true | nil, "again" or "closed"
 *     control:fd(), control:close()
 *   page() -> page, fd   see share.h; core.serve.slots: how many there are
 *     page:set(slot, id, generation, serial), page:state(slot, name),
 *     page:restarted()
 *   open { host =, port = | unix =, mode =; backlog = } -> port, fds
 *   adopt(fd) -> port, address   one that listens already; port 0: a path
 *   signals() -> fd   CHLD, HUP, INT, TERM, TTIN and TTOU are caught
 *   take_signals(fd) -> a list of names
 *   environment() -> a list of "name=value"; pid() -> this process's
 *   close(fd), unlink(path); in_use: the errno of an address in use */
#ifndef EVWS_BINDING_LUA_SERVE_H
#define EVWS_BINDING_LUA_SERVE_H

#include <lua.h>

/* Pushes it. */
void ws_serve_push(lua_State *L);

#endif
