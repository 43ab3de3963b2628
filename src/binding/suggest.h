/* suggest.h: what somebody may have meant who wrote a name that there is none
 * of. */
#ifndef EVWS_BINDING_SUGGEST_H
#define EVWS_BINDING_SUGGEST_H

#include <lua.h>
#include <stdbool.h>

/* A search: begin, then each name there is; the best is in `best`. */
struct ws_guess {
  const char *name, *best; /* NULL: nothing is near */
  int rank;                /* less is nearer */
};

void ws_guess_begin(struct ws_guess *g, const char *name);
void ws_guess_try(struct ws_guess *g, const char *known);

/* What other libraries call an option: pushes what to say of it, in brackets;
 * false, with nothing pushed, when it is no such name, or what it is called
 * here is none of these options. */
bool ws_suggest_other(lua_State *L, const char *name,
                      bool (*has)(const char *name, int scope), int scope);

/* suggest(name, list): the nearest string of the list, or nil. */
int ws_lua_suggest(lua_State *L);

#endif
