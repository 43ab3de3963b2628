/* lua_history.c: what topics keep: the option `history`, server:history and
 * server:reset. */
#include "binding/lua_history.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "binding/anchors.h"
#include "binding/bus_wait.h"
#include "binding/lua_message.h"
#include "binding/lua_view.h"
#include "binding/lua_wish.h"
#include "binding/option_values.h"
#include "engine/topic_ask.h"

#define SYNC_SECONDS 5.0 /* that reading a history from Redis may take */
#define SIZE_MOST 65536
#define TTL_MOST (366 * 86400)
#define BYTES_DEFAULT (64 * 1024 * 1024)

/* ---- the option ---- */

static const char *const rule_fields[] = {"size", "ttl", "bytes", "stamp",
                                          NULL};

static void read_pattern(lua_State *L, struct ws_kept_rule *r, int key) {
  struct ws_slice text;
  if (lua_type(L, key) != LUA_TSTRING)
    luaL_error(L, "bad option 'history' (patterns of topics expected)");
  text.p = lua_tolstring(L, key, &text.n);
  const char *star = memchr(text.p, '*', text.n);
  if (text.n == 0 || text.n > 65535 || (star && star != text.p + text.n - 1))
    luaL_error(L,
               "bad option 'history' (the pattern '%s': a name, or the "
               "beginning of names and a '*')",
               text.p);
  r->is_prefix = star != NULL;
  if (star) text.n--;
  if (!(r->pattern = ws_text_new(text))) luaL_error(L, "not enough memory");
}

/* The rule on top of the stack. */
static void read_rule(lua_State *L, struct lua_server *ls,
                      struct ws_kept_rule *r) {
  int table = lua_gettop(L);
  if (!lua_istable(L, -1))
    ws_option_bad(L, "history", "{ [pattern] = { size =, ttl = } }");
  ws_option_fields(L, "history", rule_fields);
  r->size = (uint32_t)ws_option_integer(L, table, "size", 0, 1, SIZE_MOST);
  r->bytes = (size_t)ws_option_integer(L, table, "bytes", BYTES_DEFAULT, 1,
                                       (lua_Integer)1 << 53);
  if (lua_getfield(L, table, "ttl") == LUA_TNIL)
    luaL_error(L, "option 'ttl' of 'history' is missing");
  r->ttl = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(r->ttl > 0) || r->ttl > TTL_MOST)
    ws_option_bad_number(L, "ttl", "seconds above 0, and of a year at most");
  if (r->size == 0) luaL_error(L, "option 'size' of 'history' is missing");
  int type = lua_getfield(L, table, "stamp");
  r->is_json = type == LUA_TSTRING && strcmp(lua_tostring(L, -1), "json") == 0;
  if (type == LUA_TFUNCTION || r->is_json)
    r->stamp = ws_view_add(L, ls, r->is_json ? 0 : lua_gettop(L), 0);
  else if (type != LUA_TNIL && (type != LUA_TBOOLEAN || lua_toboolean(L, -1)))
    ws_option_bad(L, "stamp", "\"json\", a function or false");
  lua_settop(L, table);
}

void ws_history_read(lua_State *L, int arg, struct lua_server *ls) {
  struct ws_kept_rules *rules = &ls->s.kept;
  int type = lua_getfield(L, arg, "history");
  size_t n = 0;
  if (type != LUA_TNIL && type != LUA_TTABLE)
    ws_option_bad(L, "history", "{ [pattern] = { size =, ttl = } }");
  if (type != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) n++;
  if (!(rules->list = ws_mem_zero((n ? n : 1) * sizeof *rules->list)))
    luaL_error(L, "not enough memory");
  for (lua_pushnil(L); rules->n < n && lua_next(L, -2); lua_pop(L, 1)) {
    struct ws_kept_rule *r = &rules->list[rules->n];
    *r = (struct ws_kept_rule){.stamp = WS_NO_VIEW};
    ws_list_init(&r->topics);
    rules->n++;
    read_pattern(L, r, lua_gettop(L) - 1);
    read_rule(L, ls, r);
  }
  lua_settop(L, arg + 1); /* the server is there */
}

/* ---- reading ---- */

static void push_position(lua_State *L, const struct ws_found *f) {
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, (lua_Integer)f->top);
  lua_setfield(L, -2, "offset");
  lua_pushlstring(L, f->epoch, sizeof f->epoch);
  lua_setfield(L, -2, "epoch");
}

static int push_not_kept(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "not kept");
  return 2;
}

struct asked {
  struct ws_position since;
  bool is_since, is_reverse;
  lua_Integer limit; /* negative: none */
};

static void read_asked(lua_State *L, struct asked *a) {
  static const char *const options[] = {"since", "limit", "reverse", NULL};
  *a = (struct asked){.limit = -1};
  if (lua_isnoneornil(L, 3)) return;
  luaL_checktype(L, 3, LUA_TTABLE);
  ws_option_names(L, 3, "history", options);
  a->is_since = ws_wish_position(L, 3, "since", &a->since);
  a->is_reverse = ws_option_bool(L, 3, "reverse", false);
  a->limit = ws_option_integer(L, 3, "limit", -1, 0, (lua_Integer)1 << 53);
}

/* Which offsets, in their order, are asked for; false: none. */
static bool range(const struct asked *a, const struct ws_found *f,
                  uint64_t *from, uint64_t *to) {
  uint64_t first = f->from, last = f->top, n = 0;
  if (a->is_since && a->is_reverse && a->since.offset <= last)
    last = a->since.offset ? a->since.offset - 1 : 0;
  else if (a->is_since && !a->is_reverse && a->since.offset >= first)
    first = a->since.offset + 1;
  if (first > last) return false;
  n = last - first + 1;
  if (a->limit >= 0 && (uint64_t)a->limit < n) n = (uint64_t)a->limit;
  *from = a->is_reverse ? last : first;
  *to = a->is_reverse ? last - n + 1 : first + n - 1;
  return n > 0;
}

/* Without an end that a message could have moved meanwhile. */
static int push_history(lua_State *L, const struct ws_server *s,
                        struct ws_slice topic, const struct asked *a,
                        const struct ws_found *f) {
  uint64_t from, to;
  if (a->is_since && a->since.epoch.n &&
      !ws_slice_equal(a->since.epoch,
                      (struct ws_slice){f->epoch, sizeof f->epoch})) {
    lua_pushnil(L);
    lua_pushliteral(L, "another epoch");
    return 2;
  }
  lua_newtable(L);
  if (range(a, f, &from, &to) &&
      !ws_wish_push_messages(L, s, topic, f, from, to))
    return 0; /* a finalizer has published: once more */
  push_position(L, f);
  return 2;
}

static int history(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice topic = ws_check_topic(L, 2);
  struct ws_found found;
  struct asked a;
  read_asked(L, &a);
  int top = lua_gettop(L), n = 0;
  while (n == 0) {
    lua_settop(L, top);
    if (s->is_gone || ws_loop_is_forked(s->loop)) return ws_push_closed(L);
    if (!ws_kept_rule_of(&s->kept, topic)) return push_not_kept(L);
    if (!ws_topic_position(s, topic, &found))
      return ws_push_failure(L, WS_ERR_MEMORY);
    n = push_history(L, s, topic, &a, &found);
  }
  return n;
}

int ws_server_history(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice topic = ws_check_topic(L, 2);
  struct asked a;
  lua_settop(L, 3);
  read_asked(L, &a);
  lua_settop(L, 3);
  if (s->is_gone) return history(L);
  return ws_bus_wait_sync(L, s, topic, SYNC_SECONDS, history);
}

static int push_reset(lua_State *L, const char *why) {
  if (!why) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

int ws_server_reset(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice topic = ws_check_topic(L, 2);
  if (s->is_gone || ws_loop_is_forked(s->loop)) return ws_push_closed(L);
  if (ws_state_of_loop(s->loop)->is_viewing)
    luaL_error(L, "cannot %s inside of a view", "reset");
  if (!ws_kept_rule_of(&s->kept, topic)) return push_not_kept(L);
  if (s->carrier) return push_reset(L, ws_topic_reset_far(s, topic));
  enum ws_err err = ws_topic_reset(s, topic);
  if (err != WS_OK) return ws_push_failure(L, err);
  lua_pushboolean(L, true);
  return 1;
}
