/* lua_request.c: on_request and on_upgrade, and what they answer. */
#include "binding/lua_request.h"

#include <string.h>

#include "binding/anchors.h"
#include "binding/fields.h"
#include "binding/lua_body.h"
#include "binding/lua_route.h"
#include "binding/option_values.h"
#include "binding/request_table.h"
#include "binding/task.h"
#include "engine/answer.h"
#include "engine/upgrade.h"

/* ---- answers ---- */

enum { LEAST_UPGRADE = 300, LEAST_REQUEST = 200 };

#define PATH_SHOWN 100 /* bytes */

/* " (app.lua:12)" of the handler, where it is one in Lua. */
static void push_where(lua_State *L, const char *hook) {
  lua_Debug ar;
  ws_push_handler(L, 1, hook);
  if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1)) {
    lua_pushliteral(L, "");
    return;
  }
  lua_getinfo(L, ">S", &ar);
  lua_pushfstring(L, " (%s:%d)", ar.short_src, ar.linedefined);
}

/* What a handler returned is wrong: says which one, and for what request. The
 * script may have done anything to the table of the request. */
static int bad_answer(lua_State *L, int least, const char *what) {
  const char *hook = least == LEAST_UPGRADE ? "on_upgrade" : "on_request";
  ws_state_of(L)->current->handler = NULL; /* it stands in the message */
  luaL_checkstack(L, 8, NULL);
  push_where(L, hook);
  const char *where = lua_tostring(L, -1);
  lua_pushliteral(L, "method");
  lua_rawget(L, 2);
  lua_pushliteral(L, "path");
  lua_rawget(L, 2);
  const char *method = lua_tostring(L, -2), *path = lua_tostring(L, -1);
  if (path && lua_rawlen(L, -1) > PATH_SHOWN)
    path = lua_pushfstring(L, "%s...", lua_pushlstring(L, path, PATH_SHOWN));
  lua_pushfstring(L, "%s%s of %s %s", hook, where, method ? method : "?",
                  path ? path : "?");
  return luaL_error(L, "%s %s", lua_tostring(L, -1), what);
}

static int check_status(lua_State *L, int at, int least) {
  int is_int;
  lua_Integer status = lua_tointegerx(L, at, &is_int);
  if (is_int && status >= least && status <= 599) return (int)status;
  lua_pushfstring(L,
                  least == LEAST_UPGRADE
                    ? "returned %s: nothing, a table or a status (300 to 599) "
                      "expected"
                    : "returned %s: nothing or a status (200 to 599) expected",
                  ws_option_got(L, at));
  return bad_answer(L, least, lua_tostring(L, -1));
}

/* Pushes the header lines of the table at an index. */
static struct ws_slice push_lines(lua_State *L, int at, int least,
                                  struct ws_fields *f) {
  struct ws_slice lines;
  if (!ws_push_fields(L, at, f)) {
    lua_pushfstring(L, "returned bad headers: %s", lua_tostring(L, -1));
    bad_answer(L, least, lua_tostring(L, -1));
  }
  lines.p = lua_tolstring(L, -1, &lines.n);
  return lines;
}

static void check_body(lua_State *L, int at, int least) {
  if (lua_isnoneornil(L, at) || lua_isstring(L, at)) return;
  lua_pushfstring(L, "returned %s as body: a string%s expected",
                  ws_option_got(L, at),
                  least == LEAST_UPGRADE ? "" : " or a function");
  bad_answer(L, least, lua_tostring(L, -1));
}

/* status, body, headers at `at`. */
static void respond(lua_State *L, struct ws_conn *c, int at, int least) {
  struct ws_fields f = {.has_type = false};
  struct ws_slice body = {NULL, 0}, lines;
  int status = check_status(L, at, least);
  bool is_head = ws_pending_of(c) && ws_pending_of(c)->shake.method == WS_HEAD;
  check_body(L, at + 1, least);
  f.may_tell_length = is_head || status == 304;
  lines = push_lines(L, at + 2, least, &f);
  if (!lua_isnoneornil(L, at + 1))
    body.p = lua_tolstring(L, at + 1, &body.n);
  else if (f.has_length)
    body.n = (size_t)f.length;
  if (least == LEAST_UPGRADE)
    ws_upgrade_count(c, WS_REFUSED_APPLICATION, status);
  ws_conn_respond(c, status, lines, f.has_type, body);
}

/* status, body, headers at 3: the head leaves. Is the body wanted? */
static bool begin(lua_State *L, struct ws_conn *c) {
  struct ws_fields f = {.may_tell_length = lua_isfunction(L, 4)};
  int status = check_status(L, 3, LEAST_REQUEST);
  struct ws_slice lines = push_lines(L, 5, LEAST_REQUEST, &f);
  if (!f.may_tell_length) {
    f.has_length = true;
    f.length = lua_rawlen(L, 4);
  }
  return ws_answer_begin(c, status, lines, f.has_type,
                         f.has_length ? &f.length : NULL);
}

/* A long string leaves in pieces, as the client takes them: it is not copied
 * as a whole into the queue of a client that does not read. */
static bool is_long(lua_State *L, struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  return lua_type(L, 4) == LUA_TSTRING && lua_rawlen(L, 4) > WS_BODY_PIECE &&
         p && p->shake.method != WS_HEAD;
}

/* The table at 3 has no other keys. */
static void check_accept(lua_State *L) {
  for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (strcmp(key, "data") == 0 || strcmp(key, "headers") == 0 ||
        strcmp(key, "subprotocol") == 0)
      continue;
    lua_pushfstring(L,
                    "returned a table with '%s': data, headers and subprotocol "
                    "may be in it (a refusal is: return 403, body, headers)",
                    luaL_tolstring(L, -2, NULL));
    bad_answer(L, LEAST_UPGRADE, lua_tostring(L, -1));
  }
}

/* The one in the table at 3, or what the route prefers; keeps it pushed. */
static struct ws_slice push_subprotocol(lua_State *L, struct ws_conn *c) {
  struct ws_slice name = {NULL, 0};
  int type = lua_getfield(L, 3, "subprotocol");
  if (type == LUA_TNIL) return ws_pending_of(c) ? ws_upgrade_choose(c) : name;
  if (type != LUA_TSTRING) {
    lua_pushfstring(L, "returned %s as subprotocol: a string expected",
                    ws_option_got(L, -1));
    bad_answer(L, LEAST_UPGRADE, lua_tostring(L, -1));
  }
  name.p = lua_tolstring(L, -1, &name.n);
  if (ws_pending_of(c) &&
      !ws_upgrade_offers(c, name)) { /* 4.1: it would fail */
    lua_pushfstring(L, "returned subprotocol '%s', which was not offered",
                    name.p);
    bad_answer(L, LEAST_UPGRADE, lua_tostring(L, -1));
  }
  return name;
}

/* { subprotocol=, headers=, data= } at 3, or nil. Returns the sub-protocol and
 * the header lines: the connection is opened when the task has ended. */
static int accept_with(lua_State *L, struct ws_conn *c) {
  struct ws_slice name = {NULL, 0};
  struct ws_fields f = {.has_type = false};
  lua_settop(L, 3);
  if (!lua_istable(L, 3)) {
    if (ws_pending_of(c)) name = ws_upgrade_choose(c);
    lua_pushlstring(L, name.p, name.n);
    lua_pushliteral(L, "");
    return 2;
  }
  check_accept(L);
  lua_getfield(L, 3, "data");
  lua_setiuservalue(L, 1, UV_DATA);
  lua_getfield(L, 3, "headers");
  name = push_subprotocol(L, c);
  lua_pushlstring(L, name.p, name.n);
  push_lines(L, 4, LEAST_UPGRADE, &f);
  return 2;
}

/* ---- the handlers ---- */

enum {
  ASK_ORIGIN,
  ASK_UPGRADE,
  ANSWER_UPGRADE,
  JUDGE_ORIGIN,
  ASK_REQUEST,
  ANSWER_REQUEST,
  END_BODY
};

static int go_on(lua_State *L, int status, lua_KContext step);

static int call(lua_State *L, const char *hook, int n_args, int n_results,
                lua_KContext next) {
  ws_state_of(L)->current->handler = hook;
  lua_callk(L, n_args, n_results, next, go_on);
  return go_on(L, LUA_OK, next);
}

/* Its result is at 3 in the next step; true where there is nothing to ask. */
static int ask_origin(lua_State *L, lua_KContext next) {
  ws_push_handler(L, 1, "origins");
  if (lua_isnil(L, -1) || lua_getfield(L, 2, "origin") == LUA_TNIL) {
    lua_settop(L, 2);
    lua_getfield(L, 2, "is_origin_allowed");
    return go_on(L, LUA_OK, next);
  }
  lua_pushvalue(L, 2);
  return call(L, "origins", 2, 1, next);
}

/* 3: is the origin welcome? */
static int ask_upgrade(lua_State *L, struct ws_conn *c) {
  if (!lua_toboolean(L, 3)) {
    ws_upgrade_refuse_origin(c);
    return 0;
  }
  lua_settop(L, 2);
  ws_push_handler(L, 1, "on_upgrade");
  if (lua_isnil(L, -1)) return go_on(L, LUA_OK, ANSWER_UPGRADE);
  lua_pushvalue(L, 2);
  return call(L, "on_upgrade", 1, 3, ANSWER_UPGRADE);
}

/* 3: as above; a plain request is told of it, and decides itself. */
static int ask_request(lua_State *L) {
  lua_pushboolean(L, lua_toboolean(L, 3));
  lua_setfield(L, 2, "is_origin_allowed");
  lua_settop(L, 2);
  ws_push_handler(L, 1, "on_request");
  lua_pushvalue(L, 2);
  return call(L, "on_request", 1, 3, ANSWER_REQUEST);
}

static int answer_upgrade(lua_State *L, struct ws_conn *c) {
  ws_body_forget(L);
  if (lua_isnoneornil(L, 3) || lua_istable(L, 3)) return accept_with(L, c);
  respond(L, c, 3, LEAST_UPGRADE);
  return 0;
}

static int answer_request(lua_State *L, struct ws_conn *c) {
  if (lua_isfunction(L, 4)) {
    if (!begin(L, c)) return go_on(L, LUA_OK, END_BODY);
    lua_pushvalue(L, 4);
    ws_body_push(L, ws_lua_conn(c));
    return call(L, "on_request", 1, 0, END_BODY);
  }
  if (!lua_isnil(L, 3) && is_long(L, c)) {
    if (!begin(L, c)) return go_on(L, LUA_OK, END_BODY);
    lua_pushcfunction(L, ws_body_write_string);
    ws_body_push(L, ws_lua_conn(c));
    lua_pushvalue(L, 4);
    lua_pushinteger(L, 0);
    return call(L, "on_request", 3, 0, END_BODY);
  }
  ws_body_forget(L);
  if (lua_isnoneornil(L, 3))
    ws_conn_respond_nothing(c);
  else
    respond(L, c, 3, LEAST_REQUEST);
  return 0;
}

/* The function has returned: nothing is told any more, also where it was not
 * called. */
static int end_body(lua_State *L) {
  ws_body_forget(L);
  lua_settop(L, 0);
  return 0;
}

/* 1: connection, 2: request, from 3: what the last handler returned. */
static int go_on(lua_State *L, int status, lua_KContext step) {
  struct lua_conn *lc = lua_touserdata(L, 1);
  (void)status;
  switch (step) {
  case ASK_ORIGIN: return ask_origin(L, ASK_UPGRADE);
  case JUDGE_ORIGIN: return ask_origin(L, ASK_REQUEST);
  case ASK_UPGRADE: return ask_upgrade(L, &lc->c);
  case ASK_REQUEST: return ask_request(L);
  case ANSWER_UPGRADE: return answer_upgrade(L, &lc->c);
  case ANSWER_REQUEST: return answer_request(L, &lc->c);
  default: return end_body(L);
  }
}

static int request_body(lua_State *L) {
  struct lua_conn *lc = lua_touserdata(L, 1);
  struct ws_state *st = ws_state_of(L);
  bool is_upgrade = lua_toboolean(L, 2);
  lua_settop(L, 1);
  ws_anchor_push(L, st, lc);
  lua_replace(L, 1);
  ws_route_take(L, lc);
  ws_push_request(L, lc);
  ws_buf_free(&ws_pending_of(&lc->c)->body); /* it is Lua's now */
  ws_body_remember(L);
  return go_on(L, LUA_OK, is_upgrade ? ASK_ORIGIN : JUDGE_ORIGIN);
}

static void no_memory(struct ws_conn *c) {
  ws_upgrade_count(c, WS_REFUSED_MEMORY, 503);
  ws_conn_respond_status(c, 503, (struct ws_slice){"", 0});
}

static void request_done(struct ws_task *t, bool ok) {
  struct ws_conn *c = &t->conn->c;
  struct ws_slice name, lines;
  if (!ok) ws_answer_break(c);
  if (t->is_unbegun) {
    no_memory(c);
  } else if (!ok) {
    if (ws_pending_of(c)) ws_pending_of(c)->is_refusing = true;
    ws_upgrade_count(c, WS_REFUSED_HANDLER_ERROR, 500);
    ws_conn_respond_status(c, 500, (struct ws_slice){"", 0});
  } else if (lua_gettop(t->co) == 2) {
    name.p = lua_tolstring(t->co, 1, &name.n);
    lines.p = lua_tolstring(t->co, 2, &lines.n);
    if (name.n == 0) name.p = NULL;
    ws_conn_accept(c, name, lines);
  } else {
    ws_answer_end(c);
  }
}

void ws_request_handle(struct ws_conn *c, bool is_upgrade) {
  struct ws_task *t = ws_task_new(ws_state_of_conn(c));
  if (!t) {
    no_memory(c);
    return;
  }
  ws_task_set_conn(t, ws_lua_conn(c));
  t->done = request_done;
  t->is_untried = true;
  lua_pushcfunction(t->co, request_body);
  lua_pushlightuserdata(t->co, c);
  lua_pushboolean(t->co, is_upgrade);
  ws_task_start(t, 2);
}
