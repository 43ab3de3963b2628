/* lua_call.h: what a hub reads and writes most, in JSON. */
#ifndef EVWS_BINDING_LUA_CALL_H
#define EVWS_BINDING_LUA_CALL_H

#include <lua.h>

/* core.call_reader(most, decode, value, otherwise) -> read
 *
 * read(bytes, kind) of an invocation that came whole, as text, in at most so
 * many bytes: true, id, target, args, n, bad. decode makes raw lists of its
 * arguments; value makes what stands in a raw table in them. Of all else it
 * returns what otherwise(bytes, kind) does. None of them may yield. */
int ws_lua_call_reader(lua_State *L);

/* core.result_writer(otherwise) -> write
 *
 * write(id, value) -> the record, of an integer, a boolean, nil and text; of
 * all else what otherwise(id, value) returns. */
int ws_lua_result_writer(lua_State *L);

#endif
