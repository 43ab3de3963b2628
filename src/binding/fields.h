/* fields.h: header lines from a Lua table. */
#ifndef EVWS_BINDING_FIELDS_H
#define EVWS_BINDING_FIELDS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct ws_fields {
  bool may_tell_length; /* in: Content-Length may stand for an absent body */
  bool has_type;
  bool has_length;
  uint64_t length;
};

/* Pushes the header lines of the table at index arg (or of nothing): name to
 * value, or to a list of values. False, with a sentence pushed instead, for
 * what cannot be sent. */
bool ws_push_fields(lua_State *L, int arg, struct ws_fields *out);

#endif
