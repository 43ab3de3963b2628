/* publication.c: what was published to a topic, as arguments of a function. */
#include "binding/publication.h"

#include "protocol/frame.h"

static void set(lua_State *L, const char *name, struct ws_slice text) {
  lua_pushlstring(L, text.p, text.n);
  lua_setfield(L, -2, name);
}

void ws_push_publication(lua_State *L, const struct ws_publication *p) {
  lua_pushlstring(L, p->message.p, p->message.n);
  lua_pushstring(L, p->opcode == WS_OP_TEXT ? "text" : "binary");
  lua_createtable(L, 0, 4);
  set(L, "topic", p->topic);
  if (p->meta.n) set(L, "meta", p->meta);
}
