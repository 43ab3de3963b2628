/* option_values.h: options one by one, by name, and what is said of one that is
 * bad. All of it raises at the line of the caller. */
#ifndef EVWS_BINDING_OPTION_VALUES_H
#define EVWS_BINDING_OPTION_VALUES_H

#include <lua.h>
#include <stdbool.h>

enum { WS_FOR_LISTEN = 1, WS_FOR_CONNECT = 2, WS_FOR_ROUTE = 4 };

/* Is there a value of this name in the table at arg? */
bool ws_option_is_given(lua_State *L, int arg, const char *name);

/* A string, a boolean or an integer option of the table at arg; absent: the
 * default. The table keeps the string. */
const char *ws_option_string(lua_State *L, int arg, const char *name,
                             const char *absent);
bool ws_option_bool(lua_State *L, int arg, const char *name, bool absent);
lua_Integer ws_option_integer(lua_State *L, int arg, const char *name,
                              lua_Integer absent, lua_Integer least,
                              lua_Integer most);

/* A function of the table at arg is pushed, and its index returned; 0, and
 * nothing is: there is none. */
int ws_option_function(lua_State *L, int arg, const char *name);

/* What a value is, for "got %s": strings are quoted and cut. Pushes it. */
const char *ws_option_got(lua_State *L, int at);

/* The same where a number was expected: "8080" wants to be one. */
const char *ws_option_got_number(lua_State *L, int at);

/* Raises: the value on top of the stack is not what was expected. */
int ws_option_bad(lua_State *L, const char *name, const char *expected);
int ws_option_bad_number(lua_State *L, const char *name, const char *expected);

/* The table on top of the stack, the value of this option, has no other fields
 * than these (the list ends with NULL). */
void ws_option_fields(lua_State *L, const char *name,
                      const char *const fields[]);

/* The table at arg, of a method's options, has no other keys than these. */
void ws_option_names(lua_State *L, int arg, const char *function,
                     const char *const names[]);

#endif
