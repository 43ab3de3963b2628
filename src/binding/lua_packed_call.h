/* lua_packed_call.h: as lua_call.h, what a hub reads and writes most, in
 * MessagePack. */
#ifndef EVWS_BINDING_LUA_PACKED_CALL_H
#define EVWS_BINDING_LUA_PACKED_CALL_H

#include <lua.h>

#include "protocol/packed_call.h"

/* Upvalues of whatever reads arguments: as those of packed_reader. */
enum { WS_PACKED_LEVELS = 2, WS_PACKED_NIL, WS_PACKED_MAP_MARK };

/* As ws_call_push_args and ws_call_put_result (lua_call.h). */
int ws_packed_push_args(lua_State *L, const struct ws_packed_call *call);
size_t ws_packed_put_result(lua_State *L, int at, struct ws_slice id, char *to);

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
