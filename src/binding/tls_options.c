/* tls_options.c: the table `tls` of ws.listen and ws.connect, and `proxy_tls`
 * of the latter: `option` is which one. */
#include "binding/tls_options.h"

#include <string.h>

#include <lauxlib.h>

#include "binding/option_values.h"
#include "binding/suggest.h"

#define LISTEN WS_FOR_LISTEN
#define CONNECT WS_FOR_CONNECT
#define ANY (LISTEN | CONNECT)

static const struct {
  const char *name;
  int scope;
} fields[] = {
  {"ca", ANY},      {"certificate", ANY}, {"hosts", LISTEN},       {"key", ANY},
  {"minimum", ANY}, {"verify", ANY},      {"server_name", CONNECT}};

#define N_FIELDS (sizeof fields / sizeof *fields)

static int unknown(lua_State *L, const char *option, const char *name,
                   const char *function, int scope) {
  struct ws_guess g;
  ws_guess_begin(&g, name);
  for (size_t i = 0; i < N_FIELDS; i++)
    if (fields[i].scope & scope) ws_guess_try(&g, fields[i].name);
  if (g.best)
    return luaL_error(L,
                      "unknown option '%s.%s' for '%s' (did you mean "
                      "'%s.%s'?)",
                      option, name, function, option, g.best);
  return luaL_error(L, "unknown option '%s.%s' for '%s'", option, name,
                    function);
}

static int bad(lua_State *L, const char *option, const char *name,
               const char *expected) {
  return luaL_error(L, "bad option '%s.%s' (%s expected, got %s)", option, name,
                    expected, ws_option_got(L, -1));
}

/* Every key of the table at `from` is known. Pushes a plain copy. */
static void push_copy(lua_State *L, const char *option, int from,
                      const char *function, int scope) {
  for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
    size_t i = 0;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "options of '%s' have names, not positions", option);
    const char *name = lua_tostring(L, -2);
    while (i < N_FIELDS &&
           (strcmp(name, fields[i].name) != 0 || !(fields[i].scope & scope)))
      i++;
    if (i == N_FIELDS) unknown(L, option, name, function, scope);
  }
  lua_createtable(L, 0, (int)N_FIELDS);
  for (size_t i = 0; i < N_FIELDS; i++) {
    lua_getfield(L, from, fields[i].name);
    lua_setfield(L, -2, fields[i].name);
  }
}

/* The string in this field of the table on top of the stack, which keeps it;
 * NULL where there is none. */
static const char *text_of(lua_State *L, const char *option,
                           const char *field) {
  const char *text = NULL;
  if (lua_getfield(L, -1, field) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING) bad(L, option, field, "string");
    text = lua_tostring(L, -1);
    if (strlen(text) != lua_rawlen(L, -1))
      bad(L, option, field, "string without a zero byte");
  }
  lua_pop(L, 1);
  return text;
}

static void read_minimum(lua_State *L, const char *option,
                         struct ws_tls_settings *s) {
  const char *text = text_of(L, option, "minimum");
  s->needs_13 = text && strcmp(text, "1.3") == 0;
  if (text && !s->needs_13 && strcmp(text, "1.2") != 0)
    luaL_error(L, "bad option '%s.minimum' (\"1.2\" or \"1.3\" expected)",
               option);
}

/* A client verifies unless it is told not to; a server verifies clients when
 * it is told by whom their certificates have to be issued. */
static void read_verify(lua_State *L, const char *option,
                        struct ws_tls_settings *s) {
  static const char *const words[] = {"none", "optional", "required", NULL};
  int type = lua_getfield(L, -1, "verify");
  s->verify = s->ca || s->is_client ? WS_TLS_REQUIRED : WS_TLS_NONE;
  if (s->is_client) {
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
      bad(L, option, "verify", "boolean");
    if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) s->verify = WS_TLS_NONE;
  } else if (type != LUA_TNIL) {
    const char *word = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
    int i = 0;
    while (words[i] && strcmp(words[i], word) != 0) i++;
    if (!words[i])
      bad(L, option, "verify", "\"none\", \"optional\" or \"required\"");
    s->verify = (enum ws_tls_verify)i;
    if (i && !s->ca)
      luaL_error(L, "option 'tls.ca' is missing ('tls.verify' needs it)");
  }
  lua_pop(L, 1);
}

static void read_pair(lua_State *L, const char *option, bool is_needed,
                      const char **certificate, const char **key) {
  *certificate = text_of(L, option, "certificate");
  *key = text_of(L, option, "key");
  if (*certificate && !*key)
    luaL_error(L, "option '%s.key' is missing (the key of the certificate)",
               option);
  if (!*certificate && (is_needed || *key))
    luaL_error(L, "option '%s.certificate' is missing (a file in PEM form)",
               option);
}

static bool is_name(const char *text) {
  if (strncmp(text, "*.", 2) == 0) text += 2;
  return *text && !strpbrk(text, "*:/ \t\r\n");
}

/* One entry of the table of hosts: name at -2, pair at -1. */
static void read_host(lua_State *L, struct ws_tls_pair *host) {
  static const char *const names[] = {"certificate", "key", NULL};
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_error(L, "bad option 'tls.hosts' (names with { certificate =, key = } "
                  "expected)");
  host->name = lua_tostring(L, -2);
  if (strlen(host->name) != lua_rawlen(L, -2) || !is_name(host->name))
    luaL_error(L, "bad option 'tls.hosts' ('%s' is no host name)", host->name);
  if (!lua_istable(L, -1)) bad(L, "tls", "hosts", "{ certificate =, key = }");
  ws_option_fields(L, "tls.hosts", names);
  read_pair(L, "tls", true, &host->certificate, &host->key);
}

/* The copy's own table of hosts, in plain tables, so that nothing can change
 * between two reloads. */
static void copy_hosts(lua_State *L, int copy) {
  if (lua_getfield(L, copy, "hosts") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (!lua_istable(L, -1)) bad(L, "tls", "hosts", "table");
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1)) {
    struct ws_tls_pair host;
    read_host(L, &host);
    lua_pushvalue(L, -2);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, host.certificate);
    lua_setfield(L, -2, "certificate");
    lua_pushstring(L, host.key);
    lua_setfield(L, -2, "key");
    lua_rawset(L, -5);
  }
  lua_setfield(L, copy, "hosts");
  lua_pop(L, 1);
}

/* An array in a userdata, which the copy keeps. The names stay in the keys of
 * the copied table. */
static void list_hosts(lua_State *L, int copy, struct ws_tls_settings *s) {
  size_t n = 0;
  if (lua_getfield(L, copy, "hosts") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) n++;
  struct ws_tls_pair *list = lua_newuserdatauv(L, n * sizeof *list + 1, 0);
  lua_setfield(L, copy, "list");
  s->hosts = list;
  s->n_hosts = n;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    list->name = lua_tostring(L, -2);
    read_pair(L, "tls", true, &list->certificate, &list->key);
    list++;
  }
  lua_pop(L, 1);
}

static void read_settings(lua_State *L, const char *option, int copy,
                          bool is_client, struct ws_tls_settings *s) {
  *s = (struct ws_tls_settings){.is_client = is_client};
  lua_pushvalue(L, copy);
  read_pair(L, option, !is_client, &s->certificate, &s->key);
  s->ca = text_of(L, option, "ca");
  read_minimum(L, option, s);
  read_verify(L, option, s);
  list_hosts(L, copy, s);
  lua_pop(L, 1);
}

void ws_options_tls_settings(lua_State *L, int copy,
                             struct ws_tls_settings *s) {
  read_settings(L, "tls", copy, false, s);
}

struct ws_slice ws_options_tls_name(lua_State *L, const char *option) {
  const char *text = text_of(L, option, "server_name");
  if (!text) return (struct ws_slice){NULL, 0};
  size_t n = strlen(text);
  if (n == 0 || n > 255 || strpbrk(text, " \t\r\n/"))
    luaL_error(L, "bad option '%s.server_name' ('%s' is no host name)", option,
               text);
  return (struct ws_slice){text, n};
}

bool ws_options_tls(lua_State *L, int arg, const char *option,
                    const char *function, int scope,
                    struct ws_tls_settings *s) {
  bool is_client = scope == WS_FOR_CONNECT;
  int type = lua_getfield(L, arg, option);
  int from = lua_gettop(L);
  if (type == LUA_TNIL && is_client) {
    lua_newtable(L);
    lua_replace(L, from);
  } else if (type == LUA_TNIL) {
    return false;
  } else if (type != LUA_TTABLE) {
    luaL_error(L, "bad option '%s' (table expected, got %s)", option,
               ws_option_got(L, -1));
  }
  push_copy(L, option, from, function, scope);
  lua_replace(L, from);
  copy_hosts(L, from);
  read_settings(L, option, from, is_client, s);
  return true;
}
