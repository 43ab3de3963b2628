/* probe_dial: src/engine/dial.h on a loop whose provider is the fake
 * (fake_io.h).
 *
 * new(loop, addresses[, later]) -> dial   starts to connect. addresses: a
 *   list of "4" or "6", which hang, "4 ECONNREFUSED" and the like, which
 *   refuse at once. later: the look-up ends by dial:found()
 * dial:found()
 * dial:answer(i[, error]) -> boolean   address i is connected, or fails with
 *   this error; false when nobody connects to it. Seen in the next turn
 * dial:connecting() -> list of the addresses that are being tried
 * dial:outcome() -> how often done was called, the address or nil, why,
 *   descriptors that are open besides the one that was handed out
 * dial:stop() */
#include "probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/dial.h"
#include "probe_loop.h"

#define DIAL "probe.dial"

void probe_open_dial(lua_State *L);

struct dial {
  struct ws_dial d;
  struct probe_loop *pl;
  lua_Integer done;
  int fd;
  const char *why;
};

static const struct {
  const char *name;
  int error;
} errors[] = {{"ECONNREFUSED", ECONNREFUSED},
              {"ENETUNREACH", ENETUNREACH},
              {"ETIMEDOUT", ETIMEDOUT},
              {"EHOSTUNREACH", EHOSTUNREACH},
              {"EMFILE", EMFILE},
              {"EADDRNOTAVAIL", EADDRNOTAVAIL}};

static int error_of(lua_State *L, const char *name) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(errors[i].name, name) == 0) return errors[i].error;
  return luaL_error(L, "no error of the probe: %s", name);
}

static struct dial *check_dial(lua_State *L) {
  struct dial *d = luaL_checkudata(L, 1, DIAL);
  d->pl->L = L;
  return d;
}

static void on_done(struct ws_dial *wd, int fd) {
  struct dial *d = WS_LIST_ENTRY(wd, struct dial, d);
  d->done++;
  d->fd = fd;
  d->why = fd < 0 ? wd->why : NULL;
}

static void read_addresses(lua_State *L, struct fake_io *f) {
  lua_Integer n = luaL_len(L, 2);
  luaL_argcheck(L, n <= WS_ADDRESS_MAX, 2, "too many");
  for (int i = 0; i < n; i++) {
    struct fake_address *a = &f->addresses[i];
    lua_rawgeti(L, 2, i + 1);
    const char *text = luaL_checkstring(L, -1);
    a->family = *text == '6' ? AF_INET6 : AF_INET;
    a->refuses = text[1] ? error_of(L, text + 2) : 0;
    lua_pop(L, 1);
  }
  f->n_addresses = (int)n;
}

static int dial_new(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  read_addresses(L, &pl->fake);
  pl->fake.answers_later = lua_toboolean(L, 3);
  struct dial *d = lua_newuserdatauv(L, sizeof *d, 1);
  memset(d, 0, sizeof *d);
  d->pl = pl;
  d->fd = -1;
  luaL_setmetatable(L, DIAL);
  lua_pushvalue(L, 1); /* the loop outlives it */
  lua_setiuservalue(L, -2, 1);
  d->d.done = on_done;
  ws_dial_start(&d->d, &pl->loop, "name", 80, NULL);
  return 1;
}

static int dial_found(lua_State *L) {
  fake_io_found(&check_dial(L)->pl->fake);
  return 0;
}

static int dial_answer(lua_State *L) {
  struct dial *d = check_dial(L);
  const char *name = luaL_optstring(L, 3, "");
  int address = (int)luaL_checkinteger(L, 2);
  lua_pushboolean(L, fake_io_answer(&d->pl->fake, address,
                                    *name ? error_of(L, name) : 0,
                                    &d->pl->loop.ready));
  return 1;
}

static int dial_connecting(lua_State *L) {
  struct dial *d = check_dial(L);
  lua_Integer n = 0;
  lua_newtable(L);
  for (int i = 0; i < FAKE_FDS; i++) {
    const struct fake_fd *f = &d->pl->fake.fds[i];
    if (!f->is_socket || i == d->fd) continue;
    lua_pushinteger(L, f->address);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static int dial_outcome(lua_State *L) {
  struct dial *d = check_dial(L);
  const struct fake_io *f = &d->pl->fake;
  lua_Integer open = 0;
  for (int i = 0; i < FAKE_FDS; i++) open += f->fds[i].is_socket && i != d->fd;
  lua_pushinteger(L, d->done);
  if (d->fd >= 0)
    lua_pushinteger(L, f->fds[d->fd].address);
  else
    lua_pushnil(L);
  lua_pushstring(L, d->why);
  lua_pushinteger(L, open);
  return 4;
}

static int dial_stop(lua_State *L) {
  ws_dial_stop(&check_dial(L)->d);
  return 0;
}

static const luaL_Reg methods[] = {
  {"found", dial_found},
  {"answer", dial_answer},
  {"connecting", dial_connecting},
  {"outcome", dial_outcome},
  {"stop", dial_stop},
  {"__gc", dial_stop},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {{"new", dial_new}, {NULL, NULL}};

void probe_open_dial(lua_State *L) {
  luaL_newmetatable(L, DIAL);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
