/* load.h: a load for WebSocket servers, made by one thread on epoll, that
 * checks every byte of every answer. main.c reads what is asked for, drive.c
 * does it, conn.c is one connection, check.c judges what it receives, link.c
 * is its way to the kernel, message.c what is sent and expected, measure.c
 * what is measured, report.c what is said of it. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "measure.h"
#include "message.h"

enum mode { ECHO, BROADCAST, HANDSHAKE, IDLE };

/* What is asked for. */
struct plan {
  enum mode mode;
  const char *host, *port, *path;
  unsigned conns;
  unsigned in_flight; /* messages of one connection without an answer */
  unsigned burst;     /* connections that are being opened at once */
  double seconds, warmup;
  double rate;    /* messages a second of all together; 0: as they come back */
  double limit;   /* seconds for everything */
  double stall;   /* seconds without any progress */
  uint64_t steps; /* in lockstep, so many batches; 0: for `seconds` */
  bool is_tls;
  struct message_kind kind;
  struct processes server;
};

struct conn;

struct load {
  struct plan plan;
  struct messages messages;
  struct sockaddr_storage to;
  socklen_t to_len;
  int epoll;
  struct conn *conns;
  char *request; /* the upgrade */
  size_t request_len;
  uint8_t *buffer;          /* where whatever is received comes first */
  uint64_t now;             /* nanoseconds, of the last look at the kernel */
  uint64_t asked, answered; /* messages; answered: by all members */
  uint64_t begun, opened, ended; /* connections */
  bool is_measuring;
  bool is_refilling; /* an answer is followed by the next message */
  struct histogram latency;
};

#define BUFFER_SIZE (256 * 1024)

/* drive.c: everything, up to the report. */
void drive(struct load *l);

/* report.c: one line of name=value. */
void report(const struct load *l, const struct measured *m);

/* Says what is wrong and ends with status 1. */
_Noreturn void fail(const char *format, ...)
  __attribute__((format(printf, 1, 2)));
/* As malloc, and fails. */
void *take_memory(size_t n);

#endif
