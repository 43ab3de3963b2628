/* io.h: the seam. Everything the engine asks of the world goes through one
 * table: system calls, clock, random bytes, name look-up, readiness. The
 * kernel provider is io_kernel.c with ev.c; others (faults, a simulated
 * network) fill in the same table.
 *
 * Calls follow their POSIX namesakes, except that they return a negated errno
 * instead of -1. Descriptors are non-blocking and close-on-exec; writes never
 * raise SIGPIPE. */
#ifndef EVWS_IO_H
#define EVWS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"

struct ws_io;
struct ws_loop;

enum ws_ready {
  WS_READ = 1,
  WS_WRITE = 2,
  WS_AGAIN = 4, /* not from the kernel: bytes were left in user space */
  WS_DEAF = 8,  /* it could not be watched: w->error tells why */
  WS_QUIET = 16 /* of want: it alone keeps no driver waiting */
};

/* Pointers in front of the one that libev has in each of its watchers for
 * whoever made it: three numbers stand there. */
#define WS_SLOT_FRONT ((3 * sizeof(int) + sizeof(void *) - 1) / sizeof(void *))

/* One descriptor that is watched. */
struct ws_watch {
  struct ws_list ready;          /* while it stands on the ready list */
  void (*fn)(struct ws_watch *); /* called in the turn with `got` set */
  int fd;                        /* -1 when there is none */
  uint8_t want, got;             /* enum ws_ready */
  uint16_t error;                /* an errno, beside WS_DEAF */
  union {
    void *slot[6]; /* the provider's own, but for one */
    struct {
      void *front[WS_SLOT_FRONT];
      struct ws_loop *loop; /* that watches it, or is going to */
    };
  };
};

#define WS_ADDRESS_MAX 64 /* of one look-up */
#define WS_IO_FDS 64      /* descriptors that go with one send_fds */

struct ws_address {
  struct sockaddr_storage any;
  socklen_t len;
};

/* A name look-up that may take a while; `done` runs in a turn. */
struct ws_lookup {
  void (*done)(struct ws_lookup *);
  struct ws_address *list;  /* the asker's from then on: ws_mem_free */
  int n;                    /* addresses, 0 when it failed */
  const char *error;        /* static text where it failed */
  struct ws_list link, own; /* these, and what follows: the provider's own */
  void *slot[2];
  int port;
};

struct ws_io_ops {
  int (*socket)(struct ws_io *, int domain, int type);
  int (*bind)(struct ws_io *, int fd, const struct ws_address *);
  int (*listen)(struct ws_io *, int fd, int backlog);
  /* The descriptor comes from outside: as if we had opened it. */
  int (*adopt)(struct ws_io *, int fd);
  int (*accept)(struct ws_io *, int fd, struct ws_address *peer);
  int (*connect)(struct ws_io *, int fd, const struct ws_address *);
  int (*getsockname)(struct ws_io *, int fd, struct ws_address *);
  int (*setsockopt)(struct ws_io *, int fd, int level, int name, int value);
  int (*getsockopt)(struct ws_io *, int fd, int level, int name, int *value);
  ssize_t (*recv)(struct ws_io *, int fd, void *to, size_t n);
  ssize_t (*peek)(struct ws_io *, int fd, void *to, size_t n); /* they stay */
  /* Has the peer ended its half (1), or is the connection gone (a negated
   * errno)? Nothing is read. 0: neither, as far as can be told. */
  int (*hangup)(struct ws_io *, int fd);
  ssize_t (*readv)(struct ws_io *, int fd, const struct iovec *, int n);
  ssize_t (*send)(struct ws_io *, int fd, const void *bytes, size_t n);
  ssize_t (*writev)(struct ws_io *, int fd, const struct iovec *, int n);
  /* Of a Unix socket, with n_fds descriptors beside the first byte; they stay
   * the caller's. */
  ssize_t (*send_fds)(struct ws_io *, int fd, const struct iovec *, int n,
                      const int *fds, int n_fds);
  /* And the other end: those of one send, never of two. *lost: there were
   * some that this process had no room for. */
  ssize_t (*recv_fds)(struct ws_io *, int fd, void *to, size_t n,
                      int fds[WS_IO_FDS], int *n_fds, bool *lost);
  int (*shutdown)(struct ws_io *, int fd, bool both); /* else our half */
  int (*close)(struct ws_io *, int fd);
  int (*unlink)(struct ws_io *, const char *path); /* -ENOTSOCK: no socket */
  int (*chmod)(struct ws_io *, const char *path, int mode);

  double (*now)(struct ws_io *);   /* monotonic seconds */
  int64_t (*wall)(struct ws_io *); /* seconds since the epoch */
  int (*random)(struct ws_io *, void *to, size_t n); /* from a CSPRNG */

  /* The addresses of host (a name or an address) and port, however long it
   * takes: for listening, before a loop runs. Returns how many. */
  int (*resolve)(struct ws_io *, const char *host, int port,
                 struct ws_address list[WS_ADDRESS_MAX]);

  /* Starts a look-up of host (a name or an address) and port. Calls done in a
   * later turn, or has filled in the answer already and returns true. */
  bool (*lookup)(struct ws_io *, struct ws_lookup *, const char *host,
                 int port);
  void (*lookup_cancel)(struct ws_io *, struct ws_lookup *);

  /* From now on `want` of w->fd is watched (0: nothing). What is ready is put
   * into w->got, and w on the loop's ready list. Where the system refuses to
   * watch it, that is WS_DEAF, and nothing more is heard: whoever wants to
   * try again watches nothing, and then anew. */
  void (*watch)(struct ws_io *, struct ws_watch *, uint8_t want);

  /* A turn is wanted at this time of `now` at the latest; a negative time:
   * whenever something is ready. */
  void (*wake_at)(struct ws_io *, double when);
};

struct ws_io {
  const struct ws_io_ops *ops;
};

#endif
