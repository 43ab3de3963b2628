/* bus_wait.h: tasks that wait for what Redis says: that it knows of a
 * subscription, what it keeps of a topic, where a message is. */
#ifndef EVWS_BINDING_BUS_WAIT_H
#define EVWS_BINDING_BUS_WAIT_H

#include "binding/state.h"
#include "binding/task.h"
#include "engine/bus.h"

/* For what somebody waits: in step is the copy of a topic, filled in is the
 * receipt, answered the call, or else the topic is there. */
struct ws_bus_waiter {
  struct ws_list link; /* of the state */
  struct ws_task *task;
  const struct ws_bus *bus;
  struct ws_server *server;        /* of a copy; a user value keeps it, */
  struct ws_slice topic;           /* and this */
  struct ws_receipt *receipt;      /* NULL: none */
  const struct ws_roll_call *call; /* likewise */
  lua_CFunction next;              /* NULL: it is not for a copy */
  int first;                /* what is returned in place of true; 0: that */
  struct ws_hearer *hearer; /* who is that, which a user value keeps */
  bool is_refused;          /* the topic is, and will not be there */
  bool is_dropped;          /* nobody here wants it any more */
  bool is_held;             /* the copy is */
};

/* Something of the bus has changed: who waited for it goes on. */
void ws_bus_wait_wake(struct ws_state *st, struct ws_bus *bus);

/* It waits; it does not, or not any more, or is about to be collected. */
void ws_bus_waiter_begin(struct ws_bus_waiter *w, struct ws_state *st,
                         struct ws_task *t);
void ws_bus_waiter_end(struct ws_bus_waiter *w);

/* Pushes nil, "refused": Redis has said so, of this one. */
int ws_push_refused(lua_State *L);

/* Pushes true; or nil and why it has not come to that. */
int ws_push_waited(lua_State *L, enum ws_wake why);

/* Waits until Redis knows that somebody here has subscribed to the topic, so
 * many seconds at most, of which those count that it was silent for: pushes
 * true, or nil and why not; or instead of either the hearer at `first`, which
 * is stopped where nobody gets it. The topic's name is at 2. */
int ws_bus_wait_there(lua_State *L, struct ws_server *s, struct ws_slice topic,
                      double seconds, int first);

/* Calls next(L), when the history of the topic has been read from Redis where
 * it is kept there; or pushes nil and why that was not so after so many
 * seconds. The stack is the arguments of who calls. */
int ws_bus_wait_sync(lua_State *L, struct ws_server *s, struct ws_slice topic,
                     double seconds, lua_CFunction next);

/* A place for a receipt on the stack; and the wait for it, so many seconds at
 * most, while it is on top: pushes offset and epoch, or nil and why not. */
struct ws_receipt *ws_bus_wait_receipt(lua_State *L);
int ws_bus_wait_kept(lua_State *L, struct ws_server *s,
                     struct ws_receipt *receipt, double seconds);

/* The classes of these places, and of who waits. */
void ws_open_bus_wait(lua_State *L);

#endif
