/* stamp.c: a message of a topic with a history and its place, as JSON text. */
#include "binding/stamp.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>

#include "protocol/frame.h"
#include "protocol/json.h"
#include "protocol/utf8.h"

bool ws_stamp_is_json(const struct ws_publication *p) {
  struct ws_json json;
  struct ws_slice raw;
  enum ws_json_token token = WS_JSON_NULL;
  if (p->opcode != WS_OP_TEXT) return false;
  ws_json_begin(&json, p->message, WS_JSON_DEPTH_MAX);
  while (token != WS_JSON_END && token != WS_JSON_NOT && token != WS_JSON_DEEP)
    token = ws_json_next(&json, &raw);
  return token == WS_JSON_END;
}

static void add_escaped(luaL_Buffer *b, unsigned char c) {
  char text[8];
  int n = snprintf(text, sizeof text, "\\u%04x", c);
  luaL_addlstring(b, text, (size_t)n);
}

void ws_stamp_add_string(luaL_Buffer *b, struct ws_slice s) {
  bool is_utf8 = ws_utf8_is_valid(s.p, s.n);
  luaL_addchar(b, '"');
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c < 0x20 || c == '"' || c == '\\' || (c > 0x7e && !is_utf8))
      add_escaped(b, c);
    else
      luaL_addchar(b, s.p[i]);
  }
  luaL_addchar(b, '"');
}

void ws_stamp_push(lua_State *L, const struct ws_publication *p) {
  luaL_Buffer b;
  char head[48];
  int n = snprintf(head, sizeof head,
                   "{\"offset\":%" PRIu64 ",\"epoch\":", p->offset);
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, head, (size_t)n);
  ws_stamp_add_string(&b, p->epoch);
  luaL_addstring(&b, ",\"topic\":");
  ws_stamp_add_string(&b, p->topic);
  luaL_addstring(&b, ",\"data\":");
  luaL_addlstring(&b, p->message.p, p->message.n);
  luaL_addchar(&b, '}');
  luaL_pushresult(&b);
}
