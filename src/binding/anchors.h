/* anchors.h: the objects that scripts hold, and what keeps them alive while
 * they are in use. */
#ifndef EVWS_BINDING_ANCHORS_H
#define EVWS_BINDING_ANCHORS_H

#include "binding/state.h"

/* Makes the metatable of a kind of object. */
void ws_object_class(lua_State *L, const char *name, const luaL_Reg *methods,
                     const luaL_Reg *meta);

/* The object of this kind at a stack index; raises for anything else, with a
 * word about colons where a method was called without. */
void *ws_object_check(lua_State *L, int arg, const char *name);

/* ---- connections ---- */

/* Pushes a new connection object; its handlers are the table at an index. */
struct lua_conn *ws_anchor_object(lua_State *L, struct ws_state *st,
                                  int handlers);

/* Keeps the object at an index alive. Raises only before it has done so. */
void ws_anchor_add(lua_State *L, struct ws_state *st, int index);
void ws_anchor_drop(struct ws_state *st, struct lua_conn *lc);
void ws_anchor_push(lua_State *L, struct ws_state *st, struct lua_conn *lc);

/* Calls fn for every one that is kept alive; fn may end it. Raises nothing. */
void ws_anchor_each(lua_State *L, struct ws_state *st,
                    void (*fn)(struct lua_conn *));

/* A task of the connection has ended. The anchor goes with the last one, or
 * with the connection, whichever is later: an error can still be told. */
void ws_anchor_leave(struct ws_state *st, struct lua_conn *lc);

/* Its memory is about to be given back. */
void ws_anchor_forget(struct lua_conn *lc);

/* The connection at a stack index; raises for anything else. */
struct lua_conn *ws_check_conn(lua_State *L, int arg);

/* Pushes the handler of this name, or nil. */
void ws_push_handler(lua_State *L, int conn_index, const char *name);

/* ---- servers and timers: found by their address ---- */

/* Keeps the userdata at an index, whose address is `at`, alive. */
void ws_object_keep(lua_State *L, struct ws_state *st, void *at, int index);
void ws_object_push(lua_State *L, struct ws_state *st, void *at);

/* It is an ordinary object from now on. Raises nothing. */
void ws_object_drop(lua_State *L, struct ws_state *st, void *at);

/* It is a server from now on, or its memory is about to be given back. */
void ws_server_mark(struct lua_server *ls, bool on);

/* The server at a stack index; raises for anything else. */
struct lua_server *ws_check_server(lua_State *L, int arg);

#endif
