/* sim_base.h: what the files of the simulated network share: its sockets,
 * their pipes, chance, and the trace. */
#ifndef EVWS_SIM_BASE_H
#define EVWS_SIM_BASE_H

#include "transport/driver.h"
#include "transport/sim_options.h"

/* Descriptors are counted from here: the kernel has none of these, so that
 * neither takes one for the other's. */
#define WS_SIM_FDS 1000000

enum ws_sim_kind {
  WS_SIM_FRESH,
  WS_SIM_LISTENS,
  WS_SIM_DIALS,
  WS_SIM_CONNECTED
};

/* What is on its way through a pipe. */
enum ws_sim_what { WS_SIM_BYTES, WS_SIM_END, WS_SIM_RESET };

struct ws_sim_piece {
  double at; /* it arrives */
  size_t n;
  enum ws_sim_what what;
};

/* One direction of a connection; it belongs to whom it leads to. */
struct ws_sim_pipe {
  struct ws_buf bytes;  /* those that have arrived, then those on their way */
  struct ws_buf pieces; /* struct ws_sim_piece, the next one first */
  size_t arrived;
  double busy, last;     /* the line is, until then; nothing arrives before */
  struct ws_timer timer; /* the next piece */
};

struct ws_sim_socket {
  struct ws_list hot; /* among those to be looked at */
  struct ws_sim *sim;
  struct ws_sim_socket *peer; /* of one that is connected, while it is */
  struct ws_watch *watch;     /* NULL: none, and it is not hot */
  struct ws_sim_link link;
  struct ws_sim_pipe in;
  struct ws_address local, remote;
  struct ws_timer timer;  /* of whoever dials */
  struct ws_list waiting; /* of a listener: to be accepted */
  struct ws_list queued;  /* among these */
  int fd;                 /* -1: of nobody (yet, or any more) */
  int backlog, n_waiting;
  int error;          /* an errno */
  size_t reset_after; /* so many bytes are sent yet; SIZE_MAX: no end */
  enum ws_sim_kind kind;
  bool is_bound;
  bool is_queued; /* to be accepted */
  bool is_held;   /* nothing comes, nothing goes */
  bool has_ended; /* it sends no more */
  bool was_ended; /* nor does its peer */
};

struct ws_sim {
  struct ws_driver driver; /* first */
  struct ws_io io;
  struct ws_io_ops ops;
  struct ws_loop *loop;
  void (*turn)(void *);
  void *arg;
  struct ws_sim_options options;
  struct ws_sim_link link; /* of those to come */
  double now, wake;
  struct ws_heap heap; /* what happens next */
  struct ws_list hot;
  struct ws_sim_socket **sockets; /* by descriptor; NULL: free */
  size_t n_sockets, first_free;
  size_t n_loud; /* watched, and not quietly */
  uint64_t chance;
  int next_port, next_own_port;
  bool is_down;
  struct ws_buf trace;
};

static inline struct ws_sim *ws_sim_of(struct ws_io *io) {
  return WS_LIST_ENTRY(io, struct ws_sim, io);
}

/* The socket of a descriptor, or NULL. */
struct ws_sim_socket *ws_sim_find(struct ws_sim *s, int fd);

/* A new one without a descriptor; NULL without memory. */
struct ws_sim_socket *ws_sim_socket(struct ws_sim *s);
void ws_sim_socket_free(struct ws_sim_socket *socket);

/* Gives it the lowest free descriptor; a negated errno. */
int ws_sim_open(struct ws_sim_socket *socket);

/* It has none any more. */
void ws_sim_shut(struct ws_sim_socket *socket);

/* Something may be ready for it. */
void ws_sim_stir(struct ws_sim_socket *socket);

/* 64 bits; a number from 0 to 1; is it so, with this probability? */
uint64_t ws_sim_random(struct ws_sim *s);
double ws_sim_part(struct ws_sim *s);
bool ws_sim_happens(struct ws_sim *s, double probability);

/* How long one way of this link takes now. */
double ws_sim_delay(struct ws_sim *s, const struct ws_sim_link *link);

/* All n, or, as the link says, fewer: at least 1. */
size_t ws_sim_cut(struct ws_sim *s, const struct ws_sim_link *link, size_t n);

int ws_sim_port(const struct ws_address *a);
void ws_sim_set_port(struct ws_address *a, int port);

/* A line of the trace: from whom to whom. bytes: NULL for none. */
void ws_sim_note(struct ws_sim *s, const struct ws_sim_socket *from,
                 const char *what, const void *bytes, size_t n);

#endif
