/* conn.h: one connection of the load. */
#ifndef LOAD_CONN_H
#define LOAD_CONN_H

#include "check.h"
#include "link.h"
#include "load.h"

/* GREETING: the handshake of a hub. */
enum conn_state {
  CLOSED,
  CONNECTING,
  SHAKING,
  UPGRADING,
  GREETING,
  OPEN,
  LEAVING
};

/* Messages that were sent at one time. */
struct batch {
  uint64_t at;
  uint64_t n;
};

struct conn {
  struct link link;
  enum conn_state state;
  uint64_t begun; /* when connecting was */
  struct check check;
  unsigned which; /* the message that is sent next */
  size_t at;      /* in the round of frames */
  size_t owed;    /* bytes of frames that have not left */
  unsigned in_flight;
  struct batch *batches; /* in_flight of them at most, a ring */
  unsigned first, n;
  char *answer; /* to the upgrade or greeting, so far */
  size_t answer_len;
  uint8_t pong[2 + 4 + 125]; /* that has not left */
  size_t pong_len;
};

/* Begins to connect; fails when that is impossible. */
void conn_start(struct load *l, struct conn *c);

/* What epoll has to say of it. */
void conn_event(struct load *l, struct conn *c, uint32_t events);

/* Sends n messages more; their latency is counted from `at`. */
void conn_ask(struct load *l, struct conn *c, unsigned n, uint64_t at);

/* We are done with it. */
void conn_leave(struct load *l, struct conn *c);

#endif
