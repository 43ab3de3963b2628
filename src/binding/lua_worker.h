/* lua_worker.h: the private table core.worker: what this process is to its
 * supervisor, and what it may say to the other workers.
 *
 *   id, count, generation, serial, supervised; backplane: the URL of --redis
 *   is_leader() -> boolean
 *   on(channel, fn)  fn(bytes, fd) is called, as a task, for what comes by this
 *     channel; the descriptor (or nil) is its own. fn nil: nobody
 *   pass(serial, channel, bytes[, fd]) -> true | nil, why  to the worker with
 *     this serial; the descriptor stays the caller's. Where that worker is gone
 *     all of it comes back by the channel "back:" .. channel */
#ifndef EVWS_BINDING_LUA_WORKER_H
#define EVWS_BINDING_LUA_WORKER_H

#include <lua.h>

/* Pushes it. */
void ws_worker_push(lua_State *L);

#endif
