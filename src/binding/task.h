/* task.h: the one place where Lua is entered.
 *
 * A task is a coroutine of the pool with a C function as its body; the body
 * pushes the arguments and calls the handler, so all of it is protected, and
 * the handler may wait. A task that ends goes back into the pool, one that
 * raised is dropped.
 *
 * Waiting, in a C function that Lua called:
 *
 *   struct ws_task here, *t = ws_task_waiter(L, st, &here);
 *   ... put t where it will be found: a timer, conn->waiting ...
 *   return ws_task_wait(L, st, t, k);
 *
 * k is called when somebody has called ws_task_wake (or it was interrupted),
 * with the stack as it was, and pushes the results as a C function does.
 *
 * Only the loop lets a waiting task go on: whoever else resumes its coroutine
 * gets nil and a message, and it goes on waiting. */
#ifndef EVWS_BINDING_TASK_H
#define EVWS_BINDING_TASK_H

#include "binding/state.h"

enum ws_wake {
  WS_WAKE_NONE,
  WS_WAKE_DONE,
  WS_WAKE_TIMEOUT,
  WS_WAKE_CLOSED,
  WS_WAKE_INTERRUPTED,
  WS_WAKE_CANCELLED,
  WS_WAKE_STUCK /* nothing is left that could end the wait */
};

enum ws_wait_for {
  WS_FOR_NOTHING,
  WS_FOR_MESSAGE,
  WS_FOR_DRAIN,
  WS_FOR_OPEN,
  WS_FOR_END
};

/* Why it waits no longer. */
struct ws_woken {
  struct ws_state *st;
  enum ws_wake why;
  bool is_task;     /* not a driver */
  double time_left; /* of its timeout; negative: it had none */
};

/* Goes on behind a wait. */
typedef int ws_task_k(lua_State *L, const struct ws_woken *w);

struct ws_task {
  struct ws_list link; /* pool or tasks; first */
  struct ws_job job;
  struct ws_timer timer;
  struct ws_state *st;
  lua_State *co;         /* NULL: a driver on the C stack */
  int ref;               /* of co in the registry */
  struct ws_task *next;  /* in a list of those who wait */
  struct ws_task **list; /* that list; NULL: in none */
  struct ws_list *seat;  /* in another, which it leaves as it is woken */
  struct lua_conn *conn; /* whose handler it runs */
  const char *handler;   /* and which; NULL: none, or a script's function */
  struct lua_conn *on;   /* what it waits for */
  void *arg;             /* for done; so is n */
  uint32_t n;
  ws_task_k *k; /* while it waits */
  int top;      /* and its stack is as high as this */
  double until; /* when its timeout is over; negative: it has none */
  /* It has ended; ok tells whether without an error. Results are gone. */
  void (*done)(struct ws_task *, bool ok);
  /* Before that: the error on top of this stack is about to be told, or it
   * was cancelled, which is told to nobody. */
  void (*raised)(struct ws_task *, lua_State *from, bool is_cancel);
  /* What a wait that is cancelled gives up, for its k is not called then. */
  void (*undo)(void *);
  void *undone;
  uint8_t woken;    /* enum ws_wake */
  uint8_t wait_for; /* enum ws_wait_for */
  bool is_waiting, is_busy /* counted in conn's busy */;
  bool is_cancelled;  /* its wait, this or the next, raises */
  bool was_cancelled; /* it has */
  bool keeps_error;   /* its error is left on the driver's stack */
  bool is_error;      /* runs an error handler: its own errors go to stderr */
  bool is_untried;    /* done wants to hear where there is no memory to begin */
  bool is_unbegun;    /* that was so: nobody was called, nothing was told */
};

/* A task at rest, its stack empty; NULL without memory. Push body and
 * arguments on its co, then call ws_task_start. */
struct ws_task *ws_task_new(struct ws_state *st);

/* It runs a handler of this connection. */
void ws_task_set_conn(struct ws_task *t, struct lua_conn *lc);

/* Calls the function below n_args arguments, on top of the stack, as the last
 * thing that a body (or what a body calls so) does: it may wait. Its errors are
 * those of the handler of this name; NULL: nothing is said of it. */
int ws_task_call(lua_State *L, int n_args, const char *handler);

/* Runs it until it ends or waits. May be called in a turn only. */
void ws_task_start(struct ws_task *t, int n_args);

/* Starts it in this turn or the next; false without memory, and it is gone. */
bool ws_task_start_later(struct ws_task *t, int n_args);

/* The task that can wait in L: the running one, or *here as a driver of the
 * loop. Raises where neither is possible. */
struct ws_task *ws_task_waiter(lua_State *L, struct ws_state *st,
                               struct ws_task *here);

/* As ws_task_waiter; false instead of an error. */
bool ws_task_can_wait(lua_State *L, struct ws_state *st);

/* Raises in a finalizer: it may be one of lua_close, and what is opened there
 * would never be closed. */
void ws_task_check_opener(lua_State *L);

/* It stands in this list for as long as it waits. */
void ws_task_wait_in(struct ws_task *t, struct ws_task **list);

/* It waits for something of this connection: wake-ups will find it. */
void ws_task_wait_on(struct ws_task *t, struct lua_conn *lc,
                     enum ws_wait_for what);

int ws_task_wait(lua_State *L, struct ws_state *st, struct ws_task *t,
                 ws_task_k *k);

/* What k was called with, of a driver: to it ws_task_wait comes back. */
struct ws_woken ws_task_woken(const struct ws_task *t);

/* Gives back a task that was not started. */
void ws_task_discard(struct ws_task *t);

/* Ends the wait: it goes on in this turn. Harmless when it does not wait. */
void ws_task_wake(struct ws_task *t, enum ws_wake why);

/* The same, but it goes on inside of this call. In a turn only. */
void ws_task_wake_now(struct ws_task *t, enum ws_wake why);

/* Wakes it with WS_WAKE_TIMEOUT in `seconds`; false without memory. */
bool ws_task_set_timeout(struct ws_task *t, double seconds);

/* The wait of this task raises "cancelled"; if it does not wait, its next one
 * does. If it is the running one it raises here. */
void ws_task_cancel(lua_State *L, struct ws_task *t);

/* Frees the tasks of a state that is closed. */
void ws_task_free_all(struct ws_state *st);

#endif
