/* lua_writer.c: conn:writer, one message in fragments (RFC 6455 5.4). */
#include "binding/lua_writer.h"

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "engine/conn_send.h"
#include "engine/conn_writer.h"
#include "protocol/utf8.h"

struct lua_writer {
  struct lua_conn *lc; /* its user value keeps the object */
  uint32_t id;         /* the engine's name of it */
  uint32_t utf8;       /* of text: where in a character it stands */
  bool is_text;
  bool is_finished; /* or given up */
};

static struct lua_writer *check_writer(lua_State *L) {
  struct lua_writer *w = luaL_checkudata(L, 1, WS_WRITER_NAME);
  return w;
}

static bool is_open(const struct lua_writer *w) {
  return !w->is_finished && ws_is_usable(w->lc) &&
         ws_conn_writer_is_open(&w->lc->c, w->id);
}

static int result(lua_State *L, const struct lua_writer *w, enum ws_err err) {
  if (err != WS_OK) return ws_push_failure(L, err);
  lua_pushboolean(L, true);
  lua_pushinteger(L, (lua_Integer)ws_conn_buffered(&w->lc->c));
  return 2;
}

static void check_unfinished(lua_State *L, const struct lua_writer *w) {
  if (w->is_finished) luaL_error(L, "the writer is finished");
}

static int writer_write(lua_State *L) {
  struct lua_writer *w = check_writer(L);
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  uint32_t utf8 = w->utf8;
  check_unfinished(L, w);
  if (w->is_text && !ws_utf8_feed(&utf8, data, n))
    return luaL_argerror(L, 2, WS_NOT_UTF8);
  if (!is_open(w)) return ws_push_closed(L);
  ws_conn_writer_set_by(&w->lc->c, L);
  enum ws_err err = ws_conn_writer_write(&w->lc->c, w->id, data, n);
  if (err == WS_OK) w->utf8 = utf8;
  return result(L, w, err);
}

static int writer_finish(lua_State *L) {
  struct lua_writer *w = check_writer(L);
  check_unfinished(L, w);
  if (!is_open(w)) return ws_push_closed(L);
  if (w->utf8 != WS_UTF8_START)
    return luaL_error(L, "the text ends inside of a character");
  w->is_finished = true;
  return result(L, w, ws_conn_writer_finish(&w->lc->c, w->id));
}

/* __gc and __close: nobody will finish the message, and the peer must not
 * take it for a whole one. */
static int writer_leave(lua_State *L) {
  struct lua_writer *w = check_writer(L);
  bool is_lost = w->lc && is_open(w);
  w->is_finished = true;
  if (is_lost) ws_conn_fail(&w->lc->c, 1011, "unfinished message");
  return 0;
}

static int writer_tostring(lua_State *L) {
  struct lua_writer *w = check_writer(L);
  lua_pushfstring(L, WS_WRITER_NAME ": %I (%s)", (LUAI_UACINT)w->lc->c.id,
                  w->is_finished ? "finished"
                  : is_open(w)   ? "open"
                                 : "closed");
  return 1;
}

int ws_lua_writer(lua_State *L) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  bool is_text = ws_check_kind(L, 2) == WS_OP_TEXT;
  struct lua_writer *w;
  lua_settop(L, 1);
  w = lua_newuserdatauv(L, sizeof *w, 1);
  *w = (struct lua_writer){.utf8 = WS_UTF8_START, .is_text = is_text};
  luaL_setmetatable(L, WS_WRITER_NAME);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  w->is_finished = true; /* until it has begun */
  w->lc = lc;
  /* a finalizer may have begun one since */
  if (lc->c.has_writer && ws_conn_can_send(&lc->c))
    return luaL_error(L, "another writer of the connection is not finished");
  if (!ws_is_usable(lc)) return ws_push_closed(L);
  enum ws_err err =
    ws_conn_writer_begin(&lc->c, is_text ? WS_OP_TEXT : WS_OP_BINARY, &w->id);
  if (err != WS_OK) return ws_push_failure(L, err);
  ws_conn_writer_set_by(&lc->c, L);
  w->is_finished = false;
  return 1;
}

void ws_open_writer(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"finish", writer_finish}, {"write", writer_write}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", writer_leave},
                                  {"__gc", writer_leave},
                                  {"__tostring", writer_tostring},
                                  {NULL, NULL}};
  ws_object_class(L, WS_WRITER_NAME, methods, meta);
}
