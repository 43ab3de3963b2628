/* engine.h: what one Lua state holds of evws: the loop, the pool of
 * coroutines, the table of living connections. For the files of the binding.
 *
 * A connection is a userdata with three user values; a server one with one.
 * Both are kept alive by the engine while they are open. */
#ifndef EVWS_BINDING_ENGINE_H
#define EVWS_BINDING_ENGINE_H

#include <lauxlib.h>
#include <lua.h>

#include "engine/conn.h"
#include "engine/server.h"
#include "transport/driver.h"

#define WS_VERSION "0.1.0"

#define WS_CONN_NAME "evws.conn"
#define WS_SERVER_NAME "evws.server"
#define WS_TIMER_NAME "evws.timer"
#define WS_REQUEST_NAME "evws.request"
#define WS_WRITER_NAME "evws.writer"

#define WS_NOT_UTF8 "text is not UTF-8 (kind \"binary\" takes any bytes)"

/* User values of a server: the options its routes begin with, and a copy of
 * `tls`, to read the files again. */
enum { UV_OPTIONS = 1, UV_TLS = 2, UV_SERVER_COUNT = 2 };

/* User values of a connection. */
enum { UV_ON_MESSAGE = 1, UV_DATA = 2, UV_HANDLERS = 3, UV_CONN_COUNT = 3 };

struct ws_task;

struct ws_engine {
  struct ws_host host; /* first */
  lua_State *L;        /* the main thread */
  lua_State *driver;   /* whose C function runs the loop; NULL: somebody else */
  struct ws_ev *ev;
  struct ws_loop loop;
  struct ws_task *current; /* the task that runs; NULL: none, or a driver */
  struct ws_list pool;     /* tasks at rest */
  struct ws_list tasks;    /* all others */
  unsigned pooled;
  struct ws_list servers; /* struct lua_server */
  struct ws_list timers;  /* struct lua_timer that are set */

  int anchors;          /* registry: bucket -> slot -> userdata */
  int objects;          /* registry: address -> server, timer */
  int conn_meta;        /* registry: the metatable of connections */
  uint32_t *free_slots; /* room for every slot there is */
  uint32_t n_free, n_slots, cap_slots;

  const struct ws_event *event; /* the message a receiver is woken with */
  int on_error;                 /* registry: ws.on_error, LUA_NOREF: stderr */
  int yield_error;      /* registry: what a stray coroutine.yield gets */
  uint8_t driven_why;   /* enum ws_wake of a driver that has been woken */
  double driven_until;  /* and its deadline */
  struct ws_task *main; /* of ws.run */
  int signals;          /* caught during this run */
  struct ws_watchdog *watchdog; /* NULL: none */
  int module;                   /* registry: the table with ws.log; LUA_NOREF */
  int log_name;                 /* registry: "log" */
  bool is_logging;              /* inside of the application's ws.log */
  bool is_stopped, has_main_failed, is_closed;
  bool is_default;    /* it has libev's default loop */
  bool warned_verify; /* of certificates that are not verified */
};

struct lua_conn {
  struct ws_conn c;        /* first */
  const void *magic;       /* anchors.c: tells it from any other userdata */
  struct ws_task *waiting; /* tasks that wait on it, by their `next` */
  uint32_t slot;
  uint32_t tasks;        /* its handlers that have not ended */
  bool is_pulled;        /* receive or messages was called */
  bool has_on_message;   /* UV_ON_MESSAGE is set */
  bool has_on_chunk;     /* messages that begin now go to on_chunk */
  bool is_adapted;       /* UV_ON_MESSAGE calls on_chunk */
  bool has_own_handlers; /* UV_HANDLERS is not the route's table */
  bool is_opened;        /* on_open has returned */
  bool is_control_set;   /* a task for pings and pongs is there */
  bool was_callback;     /* before it was lost */
  uint32_t opens;        /* more than one: it reconnects */
  bool is_untold;        /* no memory for on_open: no on_close either */
};

struct lua_server {
  struct ws_server s; /* first */
  struct ws_list link;
  struct ws_task *waiting; /* for the end, by their `next` */
  bool is_started;
};

/* The engine of a state. */
struct ws_engine *ws_engine_of(lua_State *L);

/* The thread on which Lua may be used now. */
static inline lua_State *ws_engine_thread(struct ws_engine *e) {
  return e->driver ? e->driver : e->L;
}

static inline struct ws_engine *ws_engine_of_loop(struct ws_loop *loop) {
  return WS_LIST_ENTRY(loop, struct ws_engine, loop);
}

/* Runs fn(L) with one light userdata as its argument, protected. False, with
 * nothing left on the stack, when it raised (out of memory). */
bool ws_engine_protect(struct ws_engine *e, lua_CFunction fn, void *arg);

/* In a forked child the loop is not ours any more: raises. */
void ws_engine_check_fork(lua_State *L, struct ws_engine *e);

/* May bytes be written for it here? Not in a forked child, nor when the
 * engine is closed. */
bool ws_is_usable(const struct lua_conn *lc);

/* ---- anchors.c ---- */

/* Pushes a new connection object; its handlers are the table at an index. */
struct lua_conn *ws_anchor_object(lua_State *L, struct ws_engine *e,
                                  int handlers);

/* Keeps the object at an index alive. Raises only before it has done so. */
void ws_anchor_add(lua_State *L, struct ws_engine *e, int index);
/* Its memory is about to be given back: nothing may look like it later. */
void ws_anchor_forget(struct lua_conn *lc);
void ws_anchor_drop(struct ws_engine *e, struct lua_conn *lc);

/* A task of the connection has ended. The anchor goes with the last one, or
 * with the connection, whichever is later: an error can still be told. */
void ws_anchor_leave(struct ws_engine *e, struct lua_conn *lc);
void ws_anchor_push(lua_State *L, struct ws_engine *e, struct lua_conn *lc);

/* The connection at a stack index; raises for anything else. */
struct lua_conn *ws_check_conn(lua_State *L, int arg);

/* Pushes the handler of this name, or nil. */
void ws_push_handler(lua_State *L, int conn_index, const char *name);

/* ---- host.c ---- */
void ws_host_fill(struct ws_host *host);

/* Takes the error on top of the stack of a thread that failed to on_error,
 * and ends the connection it was about (which may be NULL). is_last: it came
 * from an error handler, so it goes to stderr. */
void ws_host_error(struct ws_engine *e, struct lua_conn *lc, lua_State *from,
                   bool is_last);

/* ---- fields.c ---- */
struct ws_fields {
  bool may_tell_length; /* in: Content-Length may stand for an absent body */
  bool has_type;
  bool has_length;
  uint64_t length;
};

/* Pushes the header lines of the table at index arg (or of nothing): name to
 * value, or to a list of values. Raises for what cannot be sent. */
void ws_push_fields(lua_State *L, int arg, struct ws_fields *out);

/* lua_route.c: the handlers of the connection at index 1 are those of the
 * route that was found for its path. */
void ws_route_take(lua_State *L, struct lua_conn *lc);

/* The options path and routes of ws.listen. 1: the options, 2: the server. */
void ws_route_read(lua_State *L, struct lua_server *ls);
/* server:route */
int ws_route_add(lua_State *L);
void ws_route_unref(lua_State *L, struct lua_server *ls);

/* Pushes the parameters of a path: name to value. */
void ws_route_push_params(lua_State *L, struct ws_text *pattern,
                          struct ws_slice path);

/* lua_stats.c: server:stats, server:metrics. */
int ws_server_stats(lua_State *L);
int ws_server_metrics(lua_State *L);

/* lua_request.c: on_request or on_upgrade. */
void ws_host_request(struct ws_conn *c, bool is_upgrade);

/* A task with this body and the connection as its argument. Without memory
 * the connection ends: its events could not be told any more. */
struct ws_task *ws_host_task(struct lua_conn *lc, lua_CFunction body);

/* In such a body: replaces the light userdata at index 1 by the object. */
struct lua_conn *ws_host_take_conn(lua_State *L);

/* ---- deliver.c: entries of the host ---- */
void ws_deliver_readable(struct ws_conn *c);
void ws_deliver_control(struct ws_conn *c);

/* ---- conn_handlers.c ---- */

/* The mode of a connection that has no on_message. */
uint8_t ws_mode_without_handler(const struct lua_conn *lc);

/* The connection at index 1 is open: takes what its route has. */
void ws_handlers_opened(lua_State *L, struct lua_conn *lc);

/* Sets on_message, on_close and the like in the table on top. */
void ws_add_handler_methods(lua_State *L);

/* on_open has returned, or there is none. */
void ws_host_open_done(struct lua_conn *lc);

/* lua_conn.c: nil and a message; the opcode of a kind, text without one. */
int ws_push_failure(lua_State *L, enum ws_err err);
uint8_t ws_check_kind(lua_State *L, int arg);

/* ---- openers ---- */
void ws_open_writer(lua_State *L);
int ws_lua_writer(lua_State *L);
void ws_open_conn(lua_State *L, struct ws_engine *e);
void ws_open_server(lua_State *L);
void ws_open_timer(lua_State *L);
void ws_open_request(lua_State *L);
int ws_lua_listen(lua_State *L);
int ws_lua_connect(lua_State *L);
int ws_lua_input(lua_State *L);
int ws_lua_run(lua_State *L);
int ws_lua_step(lua_State *L);
int ws_lua_stop(lua_State *L);
int ws_lua_fd(lua_State *L);
int ws_lua_timeout(lua_State *L);
int ws_lua_sleep(lua_State *L);
int ws_lua_spawn(lua_State *L);
int ws_lua_after(lua_State *L);
int ws_lua_every(lua_State *L);
void ws_push_request(lua_State *L, struct lua_conn *lc);
void ws_push_property_names(lua_State *L);
/* Pushes the handlers of the connection at index 1, a table of its own. */
void ws_own_handlers(lua_State *L, struct lua_conn *lc);
int ws_conn_index(lua_State *L);
int ws_conn_newindex(lua_State *L);
void ws_push_server(lua_State *L, struct lua_server *ls);
void ws_server_wake(struct ws_engine *e, struct lua_server *ls);

#endif
