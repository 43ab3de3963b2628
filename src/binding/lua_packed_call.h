/* lua_packed_call.h: as lua_call.h, what a hub reads and writes most, in
 * MessagePack. */
#ifndef EVWS_BINDING_LUA_PACKED_CALL_H
#define EVWS_BINDING_LUA_PACKED_CALL_H

#include <lua.h>

/* core.packed_reader(most, levels, null, map_mark, otherwise) -> read
 *
 * read(bytes, kind) of an invocation that came whole, as binary, in at most so
 * many bytes, with arguments that are nested in at most so many levels: true,
 * id, target, args, n. null is what a nil inside of lists and maps becomes,
 * map_mark the metatable of maps that might look like lists. Of all else it
 * returns what otherwise(bytes, kind) does, which must not yield. */
int ws_lua_packed_reader(lua_State *L);

/* core.packed_writer(otherwise) -> write
 *
 * write(id, value) -> the record, of a number, a boolean, nil and text; of all
 * else what otherwise(id, value) returns. */
int ws_lua_packed_writer(lua_State *L);

#endif
