/* lua_presence.c: who is in a topic. Who comes and goes is told to
 * on_presence, and published to the topic of the same name behind "\0p". */
#include "binding/lua_presence.h"

#include <stdio.h>
#include <string.h>

#include "binding/anchors.h"
#include "binding/bus_wait_presence.h"
#include "binding/lua_message.h"
#include "binding/notice.h"
#include "binding/option_values.h"
#include "binding/stamp.h"
#include "binding/task.h"
#include "protocol/frame.h"

/* ---- who somebody is ---- */

/* A string of the table on top of the stack, which keeps it. */
static struct ws_slice text_of(lua_State *L, const char *field, size_t most) {
  struct ws_slice text = {NULL, 0};
  int type = lua_getfield(L, -1, field);
  if (type == LUA_TSTRING) text.p = lua_tolstring(L, -1, &text.n);
  if ((type != LUA_TNIL && type != LUA_TSTRING) || text.n > most)
    luaL_error(L,
               "bad option 'presence' (%s: a string of at most %d bytes "
               "expected)",
               field, (int)most);
  lua_pop(L, 1);
  return text;
}

static struct ws_text *copy(struct ws_slice text) {
  return ws_text_new((struct ws_slice){text.p ? text.p : "", text.n});
}

static void make(lua_State *L, struct lua_arrival *a, struct ws_slice topic,
                 struct ws_slice id, struct ws_slice key,
                 struct ws_slice info) {
  a->is_given = true;
  a->who = (struct ws_arrival){.topic = copy(topic),
                               .id = copy(id),
                               .key = copy(key.p ? key : id),
                               .info = copy(info)};
  if (a->who.topic && a->who.id && a->who.key && a->who.info) return;
  ws_presence_give(a);
  luaL_error(L, "not enough memory");
}

void ws_presence_read(lua_State *L, int arg, const struct ws_conn *c,
                      struct ws_slice topic, struct lua_arrival *a) {
  static const char *const fields[] = {"id", "info", "key", NULL};
  struct ws_slice id = {NULL, 0}, key = {NULL, 0}, info = {NULL, 0};
  char own[WS_NODE_LEN + 24];
  *a = (struct lua_arrival){.is_given = false};
  if (lua_isnoneornil(L, arg)) return;
  int type = lua_getfield(L, arg, "presence");
  if (type == LUA_TNIL) return;
  a->is_absent = type == LUA_TBOOLEAN && !lua_toboolean(L, -1);
  if (a->is_absent) return;
  if (type == LUA_TSTRING) {
    info.p = lua_tolstring(L, -1, &info.n);
  } else if (type == LUA_TTABLE) {
    ws_option_fields(L, "presence", fields);
    id = text_of(L, "id", WS_PRESENCE_ID_MAX);
    key = text_of(L, "key", WS_PRESENCE_ID_MAX);
    info = text_of(L, "info", WS_PRESENCE_INFO_MAX);
  }
  if ((type != LUA_TSTRING && type != LUA_TTABLE) ||
      info.n > WS_PRESENCE_INFO_MAX)
    ws_option_bad(L, "presence",
                  "a string of at most 4096 bytes, { info =, key =, id = } or "
                  "false");
  if (!c->route->server) return;
  if (!id.p) {
    const char *node = ws_topic_node(c->route->server);
    if (!node) luaL_error(L, "not enough memory");
    id.n = (size_t)snprintf(own, sizeof own, "%s-%llu", node,
                            (unsigned long long)c->id);
    id.p = own;
  }
  make(L, a, topic, id, key, info);
}

void ws_presence_give(struct lua_arrival *a) {
  ws_text_release(a->who.topic);
  ws_text_release(a->who.id);
  ws_text_release(a->who.key);
  ws_text_release(a->who.info);
  *a = (struct lua_arrival){.is_given = false};
}

/* ---- who is there ---- */

static struct ws_slice slice_of(const struct ws_text *t) {
  return (struct ws_slice){t->text, t->len};
}

/* 1: people. While the collector rests no finalizer changes who is there. */
static int list_body(lua_State *L) {
  const struct ws_presence *p = lua_touserdata(L, 1);
  lua_Integer n = 0;
  lua_newtable(L);
  if (!p) return 1;
  for (const struct ws_list *e = p->people.next; e != &p->people; e = e->next) {
    const struct ws_person *one = WS_LIST_ENTRY(e, struct ws_person, link);
    ws_push_person(L, slice_of(one->id), slice_of(one->key),
                   slice_of(one->info), one->n);
    lua_rawseti(L, 2, ++n);
  }
  return 1;
}

int ws_server_presence(lua_State *L) {
  struct ws_server *s = &ws_check_server(L, 1)->s;
  struct ws_slice topic = ws_check_topic(L, 2);
  if (s->is_gone) return ws_push_closed(L);
  if (s->carrier) return ws_bus_wait_presence(L, ws_bus_of(s), topic);
  lua_pushcfunction(L, list_body);
  bool was_running = lua_gc(L, LUA_GCISRUNNING);
  if (was_running) lua_gc(L, LUA_GCSTOP);
  lua_pushlightuserdata(L, (void *)ws_topic_presence(s, topic));
  int status = lua_pcall(L, 1, 1, 0);
  if (was_running) lua_gc(L, LUA_GCRESTART);
  return status == LUA_OK ? 1 : lua_error(L);
}

/* ---- who comes and goes ---- */

static struct ws_slice slice(const struct ws_text *t) {
  return (struct ws_slice){t->text, t->len};
}

/* on_presence(topic, change, id, info, key) */
int ws_presence_call(lua_State *L, const struct ws_change *c) {
  lua_pushlstring(L, c->topic->text, c->topic->len);
  lua_pushstring(L, c->is_join ? "join" : "leave");
  lua_pushlstring(L, c->id->text, c->id->len);
  lua_pushlstring(L, c->info->text, c->info->len);
  lua_pushlstring(L, c->key->text, c->key->len);
  return ws_task_call(L, 5, "on_presence");
}

/* 1: the server, 2: the change. */
static int present_body(lua_State *L) {
  struct lua_server *ls = lua_touserdata(L, 1);
  const struct ws_change *c = lua_touserdata(L, 2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, ls->s.route.user);
  if (!lua_istable(L, -1)) return 0; /* it is gone */
  if (lua_getfield(L, -1, "on_presence") != LUA_TFUNCTION) return 0;
  return ws_presence_call(L, c);
}

static void add_field(luaL_Buffer *b, const char *head,
                      const struct ws_text *text) {
  luaL_addstring(b, head);
  ws_stamp_add_string(b, slice(text));
}

/* Pushes how a message tells it, behind its first word. */
static void push_json(lua_State *L, const struct ws_change *c) {
  struct ws_publication info = {.opcode = WS_OP_TEXT,
                                .message = slice(c->info)};
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  ws_stamp_add_string(&b, slice(c->id));
  add_field(&b, ",\"key\":", c->key);
  add_field(&b, ",\"topic\":", c->topic);
  luaL_addstring(&b, ",\"info\":");
  if (ws_stamp_is_json(&info))
    luaL_addlstring(&b, info.message.p, info.message.n);
  else
    ws_stamp_add_string(&b, info.message);
  luaL_addchar(&b, '}');
  luaL_pushresult(&b);
}

/* 1: the server, 2: the change. */
static int publish_body(lua_State *L) {
  struct ws_server *s = lua_touserdata(L, 1);
  const struct ws_change *c = lua_touserdata(L, 2);
  struct ws_publication p = {.opcode = WS_OP_TEXT};
  const char *far;
  lua_pushstring(L, c->is_join ? "{\"join\":" : "{\"leave\":");
  push_json(L, c);
  lua_concat(L, 2);
  p.message.p = lua_tolstring(L, -1, &p.message.n);
  lua_pushlstring(L, "\0p", 2);
  lua_pushlstring(L, c->topic->text, c->topic->len);
  lua_concat(L, 2);
  p.topic.p = lua_tolstring(L, -1, &p.topic.n);
  if (ws_topic_has_audience(s, p.topic))
    ws_topic_publish(s, (struct ws_except){NULL, 0}, &p, &far);
  return 0;
}

/* 1: the server, 2: the change. Gives it to all processes. */
static int carry_body(lua_State *L) {
  struct ws_server *s = lua_touserdata(L, 1);
  const struct ws_change *c = lua_touserdata(L, 2);
  struct ws_slice json;
  push_json(L, c);
  json.p = lua_tolstring(L, -1, &json.n);
  if (!s->carrier->calls->present(s->carrier, s, c, json))
    luaL_error(L, "not enough memory");
  return 0;
}

static bool call(lua_State *L, lua_CFunction body, struct ws_server *s,
                 const struct ws_change *c) {
  if (!lua_checkstack(L, 8)) return false;
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, s);
  lua_pushlightuserdata(L, (void *)c);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

/* Without memory for the topic those who have that one miss it: what is told
 * twice would be worse. */
bool ws_presence_present(struct ws_server *s, const struct ws_change *c) {
  struct lua_server *ls = WS_LIST_ENTRY(s, struct lua_server, s);
  struct ws_state *st = ws_state_of_loop(s->loop);
  lua_State *L = ws_state_thread(st);
  if (s->carrier && !c->is_heard) return call(L, carry_body, s, c);
  if (c->is_update) return true;
  if (s->tells_presence && !ws_notice(st, present_body, ls, c)) return false;
  if (!c->is_heard) call(L, publish_body, s, c);
  return true;
}
