/* worker.h: this process as a worker of `evws serve`: what its supervisor has
 * given it and says to it. Without a supervisor none of this does anything.
 * Nothing here raises. */
#ifndef EVWS_BINDING_WORKER_H
#define EVWS_BINDING_WORKER_H

#include "binding/state.h"
#include "engine/share.h"
#include "transport/control.h"

#define WS_WORKER_WHY_MAX 256
#define WS_WORKER_CHANNEL_MAX 32 /* bytes of a channel's name */
#define WS_WORKER_SECRET 64      /* characters */

struct ws_worker {
  struct ws_control control;
  struct ws_watch watch;
  struct ws_list later; /* what came while an answer was waited for */
  struct ws_state *st;
  struct ws_share share;
  unsigned id, count, generation;
  unsigned long long serial;         /* no two processes have the same */
  char *backplane;                   /* the URL of --redis, or NULL */
  char secret[WS_WORKER_SECRET + 1]; /* of all workers, "" without one */
  int given[WS_NET_LISTEN_MAX];
  bool is_foreign; /* those are not the supervisor's own, but systemd's */
  unsigned asked;  /* the number of the last question */
  unsigned copies; /* of what is counted here, for others to see */
  bool is_ready, has_warned;

  /* What another worker has passed; the descriptor (-1: none) is the
   * callee's. NULL: nobody takes anything. */
  void (*take)(struct ws_state *, struct ws_slice channel,
               struct ws_slice bytes, int fd);
  int channels; /* registry: lua_worker.c's */
};

/* Takes what the environment says of a supervisor, so that no other state and
 * no child of this process finds it. */
void ws_worker_open(struct ws_state *st);
void ws_worker_close(struct ws_state *st);

/* Passes bytes, and a descriptor (-1: none), which stays the caller's, to the
 * worker with this serial. 0 or a negated errno. Where that one is gone all of
 * it comes back by the channel "back:" and its name. */
int ws_worker_pass(struct ws_worker *w, unsigned long long serial,
                   struct ws_slice channel, struct ws_slice bytes, int fd);

/* Asks the supervisor for sockets that listen, and waits for it, 5 seconds at
 * most: what->given and *key. 0, or a negated errno and what to say of it. */
int ws_worker_listen(struct ws_worker *w, struct ws_net_listen *what, int *key,
                     char why[WS_WORKER_WHY_MAX]);

/* The server listens on what has this key; or does not any more (harmless when
 * repeated). */
void ws_worker_listens(struct ws_worker *w, struct lua_server *ls, int key);
void ws_worker_unlisten(struct lua_server *ls);

/* A turn has ended, or one that may wait is about to begin. */
void ws_worker_turned(struct ws_state *st);

#endif
