/* log.c: ws.log(level, event, fields): what happens to servers and
 * connections, for the function that the module's table holds under "log".
 * The one that stands there at first writes warnings to stderr and ignores
 * the rest; while it stands there an event costs a look into the table. */
#include "binding/log.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "transport/console.h"

#define MESSAGE_MAX 1024 /* bytes of a record before its traceback */
#define SHOWN_NAME_MAX 32

/* Of the process: set once, before there is anything to tell. */
static char process_name[SHOWN_NAME_MAX] = "evws";

/* ---- stderr ---- */

void ws_log_name(const char *name) {
  snprintf(process_name, sizeof process_name, "%s", name);
}

void ws_log_print(const char *before, struct ws_slice text,
                  struct ws_slice trace) {
  char record[WS_CONSOLE_MAX];
  size_t room = trace.n ? MESSAGE_MAX : sizeof record - 1;
  size_t n =
    (size_t)snprintf(record, sizeof record, "%s: %s", process_name, before);
  n += ws_escape(record + n, room - n, text, WS_ESCAPE_TEXT);
  if (trace.n)
    n += ws_escape(record + n, sizeof record - 1 - n, trace, WS_ESCAPE_LINES);
  record[n++] = '\n';
  ws_console_write(record, n);
}

void ws_log_print_value(const char *before, lua_State *L, int index) {
  struct ws_slice text = WS_SLICE("an error that is no string");
  if (lua_type(L, index) == LUA_TSTRING)
    text.p = lua_tolstring(L, index, &text.n);
  ws_log_print(before, text, (struct ws_slice){NULL, 0});
}

/* ---- ws.log as it is at first ---- */

static bool is_shown(const char *level) {
  return strcmp(level, "warning") == 0 || strcmp(level, "error") == 0;
}

/* ws.log(f): as ws.log = f. */
static int set_log(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  lua_settop(L, 1);
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, st->module) != LUA_TTABLE) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->log_name);
  lua_pushvalue(L, 1);
  lua_rawset(L, 2);
  return 0;
}

int ws_lua_log(lua_State *L) {
  ws_state_check_dot(L, "log");
  if (lua_isfunction(L, 1) && lua_isnone(L, 2)) return set_log(L);
  const char *level = luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 3);
  if (!lua_isnil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  if (!is_shown(level)) return 0;
  lua_pushvalue(L, 2); /* 4: the line so far */
  if (!lua_isnil(L, 3)) lua_pushnil(L);
  while (lua_gettop(L) == 5 && lua_next(L, 3)) {
    lua_pushvalue(L, 4);
    lua_pushliteral(L, " ");
    luaL_tolstring(L, 5, NULL);
    lua_pushliteral(L, "=");
    luaL_tolstring(L, 6, NULL);
    lua_concat(L, 5);
    lua_replace(L, 4);
    lua_settop(L, 5);
  }
  ws_log_print_value(strcmp(level, "error") == 0 ? "error: " : "", L, 4);
  return 0;
}

/* ---- events of the engine ---- */

struct call {
  const char *level, *event;
  const struct ws_log_field *fields;
  size_t n;
};

static void push_text(lua_State *L, struct ws_slice text) {
  char shown[WS_ESCAPE_SHORT];
  lua_pushlstring(L, shown, ws_escape_short(shown, text, WS_ESCAPE_ASCII));
}

static void push_field(lua_State *L, const struct ws_log_field *f) {
  switch (f->kind) {
  case WS_LOG_TEXT: push_text(L, f->text); break;
  case WS_LOG_LINE: lua_pushlstring(L, f->text.p, f->text.n); break;
  case WS_LOG_INTEGER: lua_pushinteger(L, f->integer); break;
  case WS_LOG_NUMBER: lua_pushnumber(L, f->number); break;
  }
}

/* 1: the function, 2: the call. */
static int call_body(lua_State *L) {
  const struct call *c = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushstring(L, c->level);
  lua_pushstring(L, c->event);
  lua_createtable(L, 0, (int)c->n);
  for (size_t i = 0; i < c->n; i++) {
    push_field(L, &c->fields[i]);
    lua_setfield(L, -2, c->fields[i].name);
  }
  lua_call(L, 3, 0);
  return 0;
}

/* Pushes what stands in the module's table, if it is a function of somebody
 * else's; raises nothing. */
static bool push_log(lua_State *L, struct ws_state *st) {
  if (st->is_logging || st->is_closed || !lua_checkstack(L, 10)) return false;
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, st->module) == LUA_TTABLE) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->log_name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_tocfunction(L, -1) != ws_lua_log && lua_toboolean(L, -1))
      return true;
  }
  lua_pop(L, 1);
  return false;
}

bool ws_log_wants(struct ws_state *st) {
  lua_State *L = ws_state_thread(st);
  if (!push_log(L, st)) return false;
  lua_pop(L, 1);
  return true;
}

bool ws_log_event(struct ws_state *st, const char *level, const char *event,
                  const struct ws_log_field *fields, size_t n) {
  lua_State *L = ws_state_thread(st);
  struct call c = {level, event, fields, n};
  if (!push_log(L, st)) return false;
  st->is_logging = true;
  lua_pushcfunction(L, call_body);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &c);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    ws_log_print_value("error in ws.log: ", L, -1);
    lua_pop(L, 1);
  }
  st->is_logging = false;
  return true;
}

/* Has somebody turned all of it off? */
static bool is_off(struct ws_state *st) {
  lua_State *L = ws_state_thread(st);
  if (st->is_closed || !lua_checkstack(L, 3)) return false;
  bool is_off = false;
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, st->module) == LUA_TTABLE) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->log_name);
    lua_rawget(L, -2);
    is_off = !lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is_off;
}

void ws_log_warning(struct ws_state *st, const char *level, const char *text) {
  struct ws_log_field message = {
    .name = "message", .kind = WS_LOG_LINE, .text = {text, strlen(text)}};
  if (ws_log_event(st, level, "warning", &message, 1) || is_off(st)) return;
  ws_log_print(strcmp(level, "error") == 0 ? "error: " : "",
               (struct ws_slice){text, strlen(text)},
               (struct ws_slice){NULL, 0});
}

/* ---- what the engine tells ---- */

static struct ws_state *state_of(struct ws_host *host) {
  return WS_LIST_ENTRY(host, struct ws_state, host);
}

static void on_log(struct ws_host *host, enum ws_log_level level,
                   const char *text) {
  ws_log_warning(state_of(host), level == WS_LOG_ERROR ? "error" : "warning",
                 text);
}

static bool on_wants_events(struct ws_host *host) {
  return ws_log_wants(state_of(host));
}

static void on_event(struct ws_host *host, const char *event,
                     const struct ws_log_field *fields, size_t n) {
  ws_log_event(state_of(host), "info", event, fields, n);
}

void ws_log_fill(struct ws_host *host) {
  host->log = on_log;
  host->wants_events = on_wants_events;
  host->event = on_event;
}

/* ---- connections and servers ---- */

#define TEXT(name, slice) \
  (struct ws_log_field) { \
    name, WS_LOG_TEXT, .text = (slice) \
  }
#define INTEGER(name, n) \
  (struct ws_log_field) { \
    name, WS_LOG_INTEGER, .integer = (int64_t)(n) \
  }

static struct ws_slice slice_of(const char *text) {
  return (struct ws_slice){text, text ? strlen(text) : 0};
}

/* Which one it is: its id, and where the peer and the path are known these. */
static size_t identify(const struct ws_conn *c, struct ws_log_field f[4],
                       char address[WS_NET_TEXT_MAX]) {
  const struct ws_meta *m = c->meta;
  size_t n = 0;
  /* as conn.id: clients count down from 0 */
  f[n++] = INTEGER("id", c->id);
  if (!m) return n;
  size_t len = ws_conn_address(m, address);
  f[n++] = TEXT("path", ((struct ws_slice){m->text, m->path_len}));
  f[n++] = TEXT("address", ((struct ws_slice){address, len}));
  f[n++] = INTEGER("port", m->port);
  return n;
}

void ws_log_opened(struct ws_state *st, const struct ws_conn *c) {
  struct ws_log_field f[4];
  char address[WS_NET_TEXT_MAX];
  if (!ws_log_wants(st)) return;
  ws_log_event(st, "info", "opened", f, identify(c, f, address));
}

void ws_log_closed(struct ws_state *st, const struct ws_conn *c) {
  struct ws_log_field f[7];
  char address[WS_NET_TEXT_MAX];
  if (!ws_log_wants(st)) return;
  size_t n = identify(c, f, address);
  f[n++] = INTEGER("code", ws_conn_code(c));
  f[n++] = TEXT("reason", ws_conn_reason(c));
  if (c->was_opened)
    f[n++] = (struct ws_log_field){
      "seconds", WS_LOG_NUMBER,
      .number = (double)(c->stream.watch.loop->tick - c->opened) * WS_TICK};
  ws_log_event(st, "info", "closed", f, n);
}

void ws_log_server(struct ws_state *st, const char *event,
                   const struct ws_server *s) {
  struct ws_log_field f[2];
  size_t n = 1;
  if (!ws_log_wants(st)) return;
  f[0] = TEXT("host", slice_of(s->address));
  if (!s->unix_path) f[n++] = INTEGER("port", s->port);
  ws_log_event(st, "info", event, f, n);
}

void ws_log_error(struct ws_state *st, const struct ws_conn *c,
                  const char *handler, struct ws_slice text) {
  struct ws_log_field f[6];
  char address[WS_NET_TEXT_MAX];
  if (!ws_log_wants(st)) return;
  size_t n = c ? identify(c, f, address) : 0;
  if (handler) f[n++] = TEXT("handler", slice_of(handler));
  f[n++] = TEXT("message", text);
  ws_log_event(st, "error", "handler_error", f, n);
}
