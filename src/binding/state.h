/* state.h: what one Lua state holds of evws: the loop, the pool of coroutines,
 * the table of living connections. Every file of the binding stands on it.
 *
 * A connection is a userdata with three user values, and so is a server.
 * Both are kept alive by the engine while they are open. */
#ifndef EVWS_BINDING_STATE_H
#define EVWS_BINDING_STATE_H

#include <lauxlib.h>
#include <lua.h>

#include "engine/conn_base.h"
#include "engine/server_base.h"
#include "transport/driver.h"
#include "transport/sim.h"

#define WS_CONN_NAME "evws.conn"
#define WS_SERVER_NAME "evws.server"
#define WS_TIMER_NAME "evws.timer"
#define WS_WRITER_NAME "evws.writer"

/* User values of a server: the options its routes begin with, a copy of `tls`,
 * to read the files again, and its views: name -> number. */
enum { UV_OPTIONS = 1, UV_TLS = 2, UV_VIEWS = 3, UV_SERVER_COUNT = 3 };

/* User values of a connection. */
enum { UV_ON_MESSAGE = 1, UV_DATA = 2, UV_HANDLERS = 3, UV_CONN_COUNT = 3 };

/* Until it is open: request:on_close. */
enum { UV_ON_GONE = UV_ON_MESSAGE };

#define WS_NO_SLOT UINT32_MAX

struct lua_conn;
struct lua_timer;
struct ws_share;
struct ws_task;

/* collect.c: of connections that have gone. */
struct ws_collecting {
  struct ws_timer timer;
  uint32_t gone;  /* since what they left was collected last */
  uint32_t seen;  /* of these, when it was looked last */
  uint32_t steps; /* that are left of a collection; 0: none is under way */
  uint32_t cycles;
  uint32_t stepped; /* of these, at the last step while they went */
  uint32_t least;   /* KiB that Lua held since then */
  bool has_cycled;  /* a step has ended a cycle: the collector is incremental */
};

struct ws_state {
  struct ws_host host; /* first */
  lua_State *L;        /* the main thread */
  lua_State *driver;   /* whose C function runs the loop; NULL: somebody else */
  struct ws_ev *ev;    /* NULL: it is simulated, */
  struct ws_sim *sim;  /* by this; NULL: it is not */
  struct ws_driver *drive; /* of either */
  struct ws_loop loop;
  struct ws_task *current; /* the task that runs; NULL: none, or a driver */
  struct ws_list pool;     /* tasks at rest */
  struct ws_list tasks;    /* all others */
  unsigned pooled;
  /* ws_task_error, which stands above the pool */
  void (*failed)(const struct ws_task *, lua_State *from);
  struct ws_list servers;     /* struct lua_server */
  struct ws_list timers;      /* struct lua_timer that are set */
  struct ws_list bus_waiters; /* bus_wait.c */
  struct ws_list backplanes;  /* struct lua_backplane that are not closed */
  /* What they have counted, for other workers; NULL: there was none. */
  void (*tell_backplanes)(struct ws_state *st, const struct ws_share *share);

  int anchors;        /* registry: bucket -> slot -> userdata */
  int objects;        /* registry: address -> server, timer */
  int conn_meta;      /* registry: the metatable of connections */
  uint32_t free_slot; /* of the anchors; WS_NO_SLOT: none, but behind */
  uint32_t n_anchored;
  uint32_t n_slots; /* those that have been in use */
  struct ws_collecting collecting;

  const struct ws_event *event; /* the message a receiver is woken with */
  int on_error;                 /* registry: ws.on_error, LUA_NOREF: stderr */
  int yield_error;      /* registry: what a stray coroutine.yield gets */
  int lost_error;       /* and whoever closes a task that waits */
  int cancel_error;     /* what a wait raises that is cancelled */
  int main_error;       /* registry: what main raised, until ws.run raises it */
  struct ws_task *main; /* of ws.run */
  int signals;          /* caught during this run */
  struct ws_watchdog *watchdog; /* NULL: none */
  int module;                   /* registry: the table with ws.log; LUA_NOREF */
  int log_name;                 /* registry: "log" */
  bool is_logging;              /* inside of the application's ws.log */
  bool is_viewing;              /* or of a view's function, */
  bool is_joining;              /* or of one that is told who has joined */
  struct ws_worker *worker;     /* of a supervisor (worker.c); NULL: of none */
  bool is_stopped, has_main_failed, is_closed;
  bool is_served;     /* ws.run or ws.step was called */
  bool is_retiring;   /* the supervisor has said so, or is gone */
  bool has_turned;    /* somebody has driven the loop */
  bool is_default;    /* it has libev's default loop */
  bool warned_verify; /* of certificates that are not verified */
};

struct lua_conn {
  struct ws_conn c;          /* first; its `user` is the slot of the anchor */
  struct ws_task *waiting;   /* tasks that wait on it, by their `next` */
  struct lua_timer *timers;  /* that end with it, by their `next` */
  uint32_t tasks;            /* its handlers that have not ended */
  uint16_t opens;            /* more than one: it reconnects */
  bool is_pulled : 1;        /* receive or messages was called */
  bool has_on_gone : 1;      /* UV_ON_GONE is set */
  bool has_on_message : 1;   /* UV_ON_MESSAGE is set */
  bool has_on_chunk : 1;     /* messages that begin now go to on_chunk */
  bool is_adapted : 1;       /* UV_ON_MESSAGE calls on_chunk */
  bool has_own_handlers : 1; /* UV_HANDLERS is not the route's table */
  bool is_greeted : 1;       /* on_open has returned */
  bool is_control_set : 1;   /* a task for pings and pongs is there */
  bool was_callback : 1;     /* before it was lost */
  bool is_untold : 1;        /* no memory for on_open: no on_close either */
  bool is_close_due : 1;     /* no memory for on_close: it is called again */
};

/* The functions of a view, in the registry. */
struct lua_view {
  int fn, reset;
};

struct lua_server {
  struct ws_server s; /* first */
  const void *magic;  /* anchors.c, as a connection's */
  struct lua_view *views;
  size_t n_views;
  struct ws_list link;
  struct ws_task *waiting; /* for the end, by their `next` */
  uint32_t n_closing;      /* on_closing that have not returned */
  struct ws_worker
    *worker;         /* whose supervisor has opened what it listens on; */
  int control_key;   /* which of that; NULL: nobody, or no more */
  bool is_inherited; /* it goes on listening when we have ended */
  uint64_t queued;   /* ws_server_queued, when it was looked at last */
  bool is_started;
};

/* What this Lua state holds; NULL before the module was loaded. */
struct ws_state *ws_state_of(lua_State *L);

/* Where it stands in the registry: lua_rawgetp pushes the userdata. */
const void *ws_state_key(void);

/* The userdata on top of the stack is it from now on, and is popped. */
void ws_state_keep(lua_State *L);

/* The thread on which Lua may be used now. */
static inline lua_State *ws_state_thread(struct ws_state *st) {
  return st->driver ? st->driver : st->L;
}

static inline struct ws_state *ws_state_of_loop(struct ws_loop *loop) {
  return WS_LIST_ENTRY(loop, struct ws_state, loop);
}

static inline struct ws_state *ws_state_of_conn(const struct ws_conn *c) {
  return ws_state_of_loop(c->stream.watch.loop);
}

static inline struct lua_conn *ws_lua_conn(struct ws_conn *c) {
  return WS_LIST_ENTRY(c, struct lua_conn, c);
}

/* Runs fn(L) with one light userdata as its argument, protected. False, with
 * nothing left on the stack, when it raised (out of memory). */
bool ws_state_protect(struct ws_state *st, lua_CFunction fn, void *arg);

/* In a forked child the loop is not ours any more: raises. */
void ws_state_check_fork(lua_State *L, struct ws_state *st);

/* Raises when the module itself is the first argument: ws:run(). */
void ws_state_check_dot(lua_State *L, const char *function);

/* May bytes be written for it here? Not in a forked child, nor when the
 * state is closed. */
bool ws_is_usable(const struct lua_conn *lc);

/* For catch_signals of a driver, the state as its argument. */
void ws_state_count_signal(void *st, int signum);

#endif
