/* lua_call.h: what a hub reads and writes most, in JSON. */
#ifndef EVWS_BINDING_LUA_CALL_H
#define EVWS_BINDING_LUA_CALL_H

#include <lua.h>

#include "protocol/call.h"

#define WS_RESULT_MAX 512 /* bytes of a result's record */

/* Pushes the arguments of a call: how many; or -1, whatever it has pushed: they
 * are more than a few, or not all of them scalars. */
int ws_call_push_args(lua_State *L, const struct ws_call *call);

/* The record of the value at `at` as the result for this id, written to `to`,
 * which has WS_RESULT_MAX bytes: how many. 0: it is too long for that, or
 * needs a writer that knows all of JSON. */
size_t ws_call_put_result(lua_State *L, int at, struct ws_slice id, char *to);

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
