/* bus_wait_presence.c: who is in a topic, of all processes. */
#include "binding/bus_wait_presence.h"

#include "binding/bus_wait.h"
#include "binding/lua_message.h"
#include "binding/waiting.h"

#define NAME "evws.roll_call"

struct presence_waiter {
  struct ws_bus_waiter w; /* first */
  struct ws_roll_call call;
  struct ws_roll_person *people;
};

static void give_up(void *waiter) {
  struct presence_waiter *p = waiter;
  ws_bus_waiter_end(&p->w);
  ws_roll_forget(&p->call);
}

static int waiter_gc(lua_State *L) {
  struct presence_waiter *p = lua_touserdata(L, 1);
  give_up(p);
  ws_mem_free(p->people);
  p->people = NULL;
  return 0;
}

static void set(lua_State *L, const char *name, struct ws_slice text) {
  lua_pushlstring(L, text.n ? text.p : "", text.n);
  lua_setfield(L, -2, name);
}

void ws_push_person(lua_State *L, struct ws_slice id, struct ws_slice key,
                    struct ws_slice info, size_t n) {
  lua_createtable(L, 0, 4);
  set(L, "id", id);
  set(L, "key", key);
  set(L, "info", info);
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, "count");
}

/* The waiter owns the list until it is collected, whatever raises here. */
static int push_people(lua_State *L, struct presence_waiter *p) {
  const struct ws_buf *items = &p->call.items;
  struct ws_slice bytes = {NULL, items->len};
  size_t n;
  if (items->len) bytes.p = (const char *)ws_buf_begin(items);
  p->people = ws_roll_people(bytes, &n);
  if (!p->people || p->call.has_failed)
    return luaL_error(L, "not enough memory");
  lua_createtable(L, n < 65536 ? (int)n : 65536, 0);
  for (size_t i = 0; i < n; i++) {
    const struct ws_roll_person *one = &p->people[i];
    ws_push_person(L, one->id, one->key, one->info, one->n);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  ws_mem_free(p->people);
  p->people = NULL;
  ws_buf_free(&p->call.items);
  return 1;
}

static int push_away(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "backplane away");
  return 2;
}

static int answered_k(lua_State *L, const struct ws_woken *woken) {
  struct presence_waiter *p = lua_touserdata(L, -1);
  if (p->call.is_refused) return ws_push_refused(L);
  if (p->call.is_done && !p->call.is_lost) return push_people(L, p);
  bool is_lost = p->call.is_lost;
  give_up(p);
  return is_lost ? push_away(L) : ws_push_waited(L, woken->why);
}

int ws_bus_wait_presence(lua_State *L, struct ws_bus *bus,
                         struct ws_slice topic) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t;
  if (bus->is_closing) return ws_push_closed(L);
  t = ws_task_waiter(L, st, &here);
  struct presence_waiter *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (struct presence_waiter){.w = {.bus = bus}};
  p->w.call = &p->call;
  ws_list_init(&p->w.link);
  ws_list_init(&p->call.link);
  luaL_setmetatable(L, NAME);
  if (!ws_bus_ask_presence(bus, topic, &p->call)) return push_away(L);
  if (!ws_task_set_timeout(t, bus->links[0].redis.timeout))
    return luaL_error(L, "not enough memory");
  ws_bus_waiter_begin(&p->w, st, t);
  t->undo = give_up;
  t->undone = p;
  return ws_task_wait(L, st, t, answered_k);
}

void ws_open_bus_wait_presence(lua_State *L) {
  luaL_newmetatable(L, NAME);
  lua_pushcfunction(L, waiter_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
