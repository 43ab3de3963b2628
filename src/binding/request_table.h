/* request_table.h: a request as a table. */
#ifndef EVWS_BINDING_REQUEST_TABLE_H
#define EVWS_BINDING_REQUEST_TABLE_H

#include "binding/state.h"
#include "protocol/http.h"

/* The metatable of requests. */
#define WS_REQUEST_CLASS "evws.request"

/* Pushes the request of a connection that is PENDING. */
void ws_push_request(lua_State *L, struct lua_conn *lc);

/* Pushes the fields of a head: lower-case names to values, repeated ones as
 * one list. */
void ws_push_headers(lua_State *L, const struct ws_http *h, const char *bytes);

/* Pushes the parameters of a path: name to value. pattern: NULL for none. */
void ws_push_params(lua_State *L, const struct ws_text *pattern,
                    struct ws_slice path);

#endif
