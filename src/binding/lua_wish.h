/* lua_wish.h: how somebody wants a topic, as options of subscribe and hear,
 * and what was found for who comes back. */
#ifndef EVWS_BINDING_LUA_WISH_H
#define EVWS_BINDING_LUA_WISH_H

#include <lauxlib.h>

#include "engine/topic_ask.h"

struct lua_wish {
  struct ws_wish wish; /* first */
  lua_State *L;
  struct ws_server *server;
  struct ws_slice topic;
  int fn;          /* index of `joined`; 0: there is none */
  bool has_result; /* a table of what was found is wanted */
  bool has_failed; /* fn has raised; the error is on top of the stack */
};

/* Reads `here`, `recover` and `joined` of the table at an index, which keeps
 * the strings; nil there: nothing. May push values. */
void ws_wish_read(struct lua_wish *lw, lua_State *L, int arg,
                  struct ws_server *s, struct ws_slice topic);

/* A position, { offset =, epoch = }, as the option of this name; false: it is
 * not given, or without an offset. */
bool ws_wish_position(lua_State *L, int arg, const char *name,
                      struct ws_position *at);

/* When it was granted: pushes true, or what was found; raises what `joined`
 * has raised. */
int ws_wish_push(struct lua_wish *lw);

/* Appends the messages at the offsets from `from` to `to`, or back again, to
 * the list on top of the stack, each { offset =, message =, kind =, meta = }.
 * False where one is not kept any more. */
bool ws_wish_push_messages(lua_State *L, const struct ws_server *s,
                           struct ws_slice topic, const struct ws_found *found,
                           uint64_t from, uint64_t to);

#endif
