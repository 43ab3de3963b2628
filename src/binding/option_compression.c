/* option_compression.c: the option compression: false, true, or a table. */
#include "binding/option_compression.h"

#include <string.h>

#include <lauxlib.h>

#include "binding/option_values.h"
#include "binding/suggest.h"

struct field {
  const char *name;
  lua_Integer value; /* the default */
  lua_Integer least, most;
};

enum { THRESHOLD, LEVEL, MEMORY, SERVER_BITS, CLIENT_BITS, N_FIELDS };

static const struct field fields[N_FIELDS] = {
  [THRESHOLD] = {"threshold", 1024, 0, 1 << 30},
  [LEVEL] = {"level", 1, 1, 9},
  [MEMORY] = {"memory", 8, 1, 9},
  [SERVER_BITS] = {"server_max_window_bits", 15, 9, 15},
  [CLIENT_BITS] = {"client_max_window_bits", 15, 9, 15},
};

static const char takeover_name[] = "context_takeover";

static int unknown(lua_State *L, const char *name) {
  struct ws_guess g;
  ws_guess_begin(&g, name);
  ws_guess_try(&g, takeover_name);
  for (size_t i = 0; i < N_FIELDS; i++) ws_guess_try(&g, fields[i].name);
  if (g.best)
    return luaL_error(L,
                      "bad option 'compression' (unknown field '%s', did you "
                      "mean '%s'?)",
                      name, g.best);
  return luaL_error(L, "bad option 'compression' (unknown field '%s')", name);
}

/* The table at the top of the stack has no other fields than these. */
static void check_names(lua_State *L) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    const char *name =
      lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    size_t i = 0;
    while (i < N_FIELDS && strcmp(name, fields[i].name) != 0) i++;
    if (i == N_FIELDS && strcmp(name, takeover_name) != 0)
      unknown(L, luaL_tolstring(L, -2, NULL));
  }
}

static lua_Integer read_number(lua_State *L, const struct field *f) {
  lua_Integer v = f->value;
  int is_int = 1;
  if (lua_getfield(L, -1, f->name) != LUA_TNIL) {
    v = lua_tointegerx(L, -1, &is_int);
    if (lua_type(L, -1) != LUA_TNUMBER || !is_int || v < f->least ||
        v > f->most)
      luaL_error(L,
                 "bad option 'compression.%s' (a whole number from %I to %I "
                 "expected, got %s)",
                 f->name, (LUAI_UACINT)f->least, (LUAI_UACINT)f->most,
                 ws_option_got_number(L, -1));
  }
  lua_pop(L, 1);
  return v;
}

static int bad_takeover(lua_State *L) {
  return luaL_error(L,
                    "bad option 'compression.context_takeover' (a boolean or "
                    "{ server =, client = } with booleans expected, got %s)",
                    ws_option_got(L, -1));
}

/* One side of the table at the top of the stack; absent: false. */
static bool read_side(lua_State *L, const char *side, bool *is_given) {
  int type = lua_getfield(L, -1, side);
  bool v = lua_toboolean(L, -1);
  *is_given = type != LUA_TNIL;
  if (*is_given && type != LUA_TBOOLEAN) bad_takeover(L);
  lua_pop(L, 1);
  return v;
}

/* Only what is written out is demanded of a server (7.1.1.1): many answer as
 * if takeover had not been spoken of. */
static void read_takeover(lua_State *L, struct ws_extension *wish) {
  int type = lua_getfield(L, -1, takeover_name);
  bool is_demand = type == LUA_TBOOLEAN, is_given;
  if (type == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
      if (strcmp(key, "server") != 0 && strcmp(key, "client") != 0)
        unknown(L, luaL_tolstring(L, -2, NULL));
    }
    wish->server_takeover = read_side(L, "server", &is_demand);
    wish->client_takeover = read_side(L, "client", &is_given);
  } else if (type == LUA_TBOOLEAN) {
    wish->server_takeover = wish->client_takeover = lua_toboolean(L, -1);
  } else if (type != LUA_TNIL) {
    bad_takeover(L);
  }
  wish->bears_takeover = !is_demand;
  lua_pop(L, 1);
}

void ws_options_compression(lua_State *L, int arg, struct ws_protocol_env *o) {
  int type = lua_getfield(L, arg, "compression");
  if (type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TTABLE)
    luaL_error(L,
               "bad option 'compression' (a boolean or a table expected, got "
               "%s)",
               ws_option_got(L, -1));
  o->wish = (struct ws_extension){.is_on = lua_toboolean(L, -1)};
  if (type != LUA_TTABLE) {
    lua_newtable(L);
    lua_replace(L, -2);
  }
  check_names(L);
  o->deflate_threshold = (uint64_t)read_number(L, &fields[THRESHOLD]);
  o->deflate_level.level = (uint8_t)read_number(L, &fields[LEVEL]);
  o->deflate_level.memory = (uint8_t)read_number(L, &fields[MEMORY]);
  o->wish.server_bits = (uint8_t)read_number(L, &fields[SERVER_BITS]);
  o->wish.client_bits = (uint8_t)read_number(L, &fields[CLIENT_BITS]);
  read_takeover(L, &o->wish);
  lua_pop(L, 1);
}
