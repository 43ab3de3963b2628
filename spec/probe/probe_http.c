/* probe_http: src/protocol/http.h for specs.
 *
 * request(bytes[, cuts[, limits]]), response(...) -> result
 *   cuts: nil, all at once; an integer, pieces of that many bytes; a list of
 *   the piece lengths (what is left comes as a last piece). Each call of the
 *   parser gets a fresh copy of exactly what has come so far, in which all
 *   finished lines are blotted out: nothing finished may be looked at again.
 *   What the parser has written over line breaks is in the result.
 *   limits: { headers=, line=, field_line=, head= }
 *   result.len     what the parser returned last: a length, 0 or an error
 *   result.at      how many bytes it had then
 *   result.calls   how often it was called
 *   result.scanned bytes between where a call started to scan and what it had
 *   result.bare_lf that of ws_http_has_bare_lf, of a BAD_REQUEST
 *   and, for a whole head, method, target, status, reason, minor, fields (a
 *   list of { name=, value=, id= })
 *   Raises when the parser goes back, or answers the same question twice in
 *   different ways.
 * is_token(s), is_value(s) -> boolean
 * elements(s) -> list of the elements of a comma-separated list
 * count_elements(s) -> how many there are
 * retry_after(head, now) -> seconds, or nil: of a response (retry_after.h) */

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http.h"
#include "protocol/retry_after.h"

void probe_open_http(lua_State *L);

typedef int parse_head(struct ws_http *h, char *bytes, size_t n);

static uint32_t limit(lua_State *L, int t, const char *name, uint32_t def) {
  lua_Integer n = def;
  if (lua_istable(L, t)) {
    lua_getfield(L, t, name);
    n = luaL_optinteger(L, -1, n);
    lua_pop(L, 1);
  }
  return (uint32_t)n;
}

/* Where the piece ends that starts at `at`. */
static size_t next_cut(lua_State *L, int cuts, int call, size_t at,
                       size_t len) {
  lua_Integer n = 0;
  if (lua_istable(L, cuts)) {
    lua_geti(L, cuts, call);
    n = lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    n = luaL_optinteger(L, cuts, 0);
  }
  return n <= 0 || (size_t)n > len - at ? len : at + (size_t)n;
}

/* Blanks in place of line breaks are kept. */
static void keep_blanks(char *bytes, const char *copy, size_t from, size_t n) {
  for (size_t i = from; i < n; i++)
    if (copy[i] == ' ' && (bytes[i] == '\r' || bytes[i] == '\n'))
      bytes[i] = ' ';
}

/* One call with a copy of its own; *what says what is wrong, if anything. */
static int parse_copy(parse_head *parse, struct ws_http *h, char *bytes,
                      size_t n, const char **what) {
  uint32_t pos = h->pos, line = h->line;
  char *copy = malloc(n ? n : 1);
  int len, again;
  if (!copy) abort();
  memcpy(copy, bytes, n);
  memset(copy, '\1', h->line);
  len = parse(h, copy, n);
  if (h->pos < pos || h->pos > n) *what = "the parser went back, or too far";
  if (len == 0 && h->pos != n) *what = "the parser has not scanned everything";
  again = parse(h, copy, n);
  if (len != again) *what = "the parser changed its mind";
  keep_blanks(bytes, copy, line < 2 ? 0 : line - 2, n);
  free(copy);
  return len;
}

static void set_slice(lua_State *L, const char *name, struct ws_slice s) {
  lua_pushlstring(L, s.p, s.n);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static void set_head(lua_State *L, const struct ws_http *h, const char *bytes) {
  set_slice(L, "method", (struct ws_slice){bytes + h->method, h->method_len});
  set_slice(L, "target", (struct ws_slice){bytes + h->target, h->target_len});
  set_slice(L, "reason", (struct ws_slice){bytes + h->reason, h->reason_len});
  set_integer(L, "status", h->status);
  set_integer(L, "minor", h->minor);
  lua_createtable(L, (int)h->n_fields, 0);
  for (uint32_t i = 0; i < h->n_fields; i++) {
    lua_createtable(L, 0, 3);
    set_slice(L, "name", ws_http_name(bytes, &h->fields[i]));
    set_slice(L, "value", ws_http_value(bytes, &h->fields[i]));
    set_integer(L, "id", h->fields[i].id);
    lua_seti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "fields");
}

static int parse_all(lua_State *L, parse_head *parse) {
  size_t n, at = 0, scanned = 0;
  const char *text = luaL_checklstring(L, 1, &n), *what = NULL;
  struct ws_http h = {0};
  int len = 0, calls = 0;
  lua_settop(L, 3);
  char *bytes = memcpy(lua_newuserdatauv(L, n, 0), text, n);
  h.max_fields = limit(L, 3, "headers", 100);
  h.max_line = limit(L, 3, "line", 8192);
  h.max_field_line = limit(L, 3, "field_line", 8192);
  h.max_head = limit(L, 3, "head", 32768);
  /* the array ends where its userdata ends: ASan sees one field too many */
  h.fields = lua_newuserdatauv(L, h.max_fields * sizeof *h.fields, 0);
  ws_http_reset(&h);
  do {
    at = next_cut(L, 2, ++calls, at, n);
    scanned += at - h.pos;
    len = parse_copy(parse, &h, bytes, at, &what);
    if (what) return luaL_error(L, "%s (at %d)", what, (int)at);
  } while (len == 0 && at < n);
  lua_createtable(L, 0, 11);
  set_integer(L, "len", len);
  set_integer(L, "at", (lua_Integer)at);
  set_integer(L, "calls", calls);
  set_integer(L, "scanned", (lua_Integer)scanned);
  if (len == WS_ERR_BAD_REQUEST) {
    lua_pushboolean(L, ws_http_has_bare_lf(&h, bytes, at));
    lua_setfield(L, -2, "bare_lf");
  }
  if (len > 0) set_head(L, &h, bytes);
  return 1;
}

static int parse_request(struct ws_http *h, char *bytes, size_t n) {
  return ws_http_request(h, bytes, n);
}

static int request(lua_State *L) {
  return parse_all(L, parse_request);
}

static int response(lua_State *L) {
  return parse_all(L, ws_http_response);
}

/* A copy that ends where its userdata ends. */
static struct ws_slice check_slice(lua_State *L, int arg) {
  struct ws_slice s;
  const char *p = luaL_checklstring(L, arg, &s.n);
  s.p = memcpy(lua_newuserdatauv(L, s.n, 0), p, s.n);
  return s;
}

static int is_token(lua_State *L) {
  lua_pushboolean(L, ws_http_is_token(check_slice(L, 1)));
  return 1;
}

static int is_value(lua_State *L) {
  lua_pushboolean(L, ws_http_is_value(check_slice(L, 1)));
  return 1;
}

static int elements(lua_State *L) {
  struct ws_slice list = check_slice(L, 1), element;
  lua_newtable(L);
  for (lua_Integer i = 1; ws_http_next_element(&list, &element); i++) {
    lua_pushlstring(L, element.p, element.n);
    lua_seti(L, -2, i);
  }
  return 1;
}

static int count_elements(lua_State *L) {
  struct ws_slice list = check_slice(L, 1), element;
  lua_Integer n = 0;
  while (ws_http_next_element(&list, &element)) n++;
  lua_pushinteger(L, n);
  return 1;
}

static int retry_after(lua_State *L) {
  struct ws_http_field fields[16];
  struct ws_http h = {.fields = fields, .max_fields = 16};
  size_t n;
  const char *head = luaL_checklstring(L, 1, &n);
  char *copy = memcpy(lua_newuserdatauv(L, n, 0), head, n);
  h.max_line = h.max_field_line = h.max_head = 8192;
  ws_http_reset(&h);
  if (ws_http_response(&h, copy, n) <= 0) return luaL_error(L, "no head");
  int64_t seconds = ws_retry_after(&h, copy, luaL_checkinteger(L, 2));
  if (seconds < 0) return 0;
  lua_pushinteger(L, seconds);
  return 1;
}

static const luaL_Reg functions[] = {
  {"request", request},         {"response", response},
  {"is_token", is_token},       {"is_value", is_value},
  {"elements", elements},       {"count_elements", count_elements},
  {"retry_after", retry_after}, {NULL, NULL}};

void probe_open_http(lua_State *L) {
  luaL_newlib(L, functions);
}
