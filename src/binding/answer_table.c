/* answer_table.c: the answer to a client's request as a table. It is kept as
 * it came, in one block with the rest, and read again when it is asked for. */
#include "binding/answer_table.h"

#include "binding/request_table.h"
#include "protocol/reply.h"

void ws_push_answer(lua_State *L, const struct ws_conn *c) {
  struct ws_http_field fields[WS_REPLY_FIELDS_MAX];
  struct ws_meta *m = c->meta;
  struct ws_http h;
  if (!m || !m->answer_len) {
    lua_pushnil(L);
    return;
  }
  char *bytes =
    m->text + m->path_len + m->query_len + m->subprotocol_len + m->address_len;
  size_t n = m->answer_len;
  size_t head = (size_t)ws_reply_parse(&h, fields, bytes, n);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, h.status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, bytes + h.reason, h.reason_len);
  lua_setfield(L, -2, "reason");
  ws_push_headers(L, &h, bytes);
  lua_setfield(L, -2, "headers");
  if (h.status == 101) return;
  lua_pushlstring(L, bytes + head, n - head);
  lua_setfield(L, -2, "body");
}
