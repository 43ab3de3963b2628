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
  ws_push_about(L, p);
}

void ws_push_about(lua_State *L, const struct ws_publication *p) {
  lua_createtable(L, 0, 4);
  set(L, "topic", p->topic);
  if (p->meta.n) set(L, "meta", p->meta);
  if (!p->is_kept) return;
  lua_pushinteger(L, (lua_Integer)p->offset);
  lua_setfield(L, -2, "offset");
  set(L, "epoch", p->epoch);
}
