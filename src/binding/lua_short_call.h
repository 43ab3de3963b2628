/* lua_short_call.h: a call of a hub's client, from its bytes to its answer. */
#ifndef EVWS_BINDING_LUA_SHORT_CALL_H
#define EVWS_BINDING_LUA_SHORT_CALL_H

#include <lua.h>

/* core.short_call(most, levels, null, map_mark, is_binary, slots, simple, hub,
 * clock, holders, catch, finish) -> call, counted
 *
 * call(session, bytes, kind, conn): true, when that was an invocation of one of
 * `simple` (name -> { function, number of arguments, name }) with nothing rare
 * about it, in the task of a message's handler, and a slot was free: the method
 * was called, and the result sent by conn. Nothing: it is for somebody else,
 * and nothing has happened. May wait, as the method may. What is not as most
 * calls end is told by
 *
 * finish(session, id, target, ok, value, sent): sent: true (nothing is left to
 * be said), false, or "queue full".
 *
 * counted() -> calls, bytes of them, records sent, their bytes: since it was
 * asked last. The first four arguments are those of packed_reader; hub,
 * clock, holders: tables of lua/evws/signalr. */
int ws_lua_short_call(lua_State *L);

#endif
