/* redis.h: one connection to Redis: dialing, TLS, the greeting, and a line of
 * those who wait for replies, which come in the order of the commands.
 *
 *   ws_redis_start -> calls->ready ... calls->lost -> ws_redis_stop
 *
 * It is looked at every ping_interval whether it lives and still is no
 * replica; whatever goes wrong, and any error that nobody has asked for, is
 * its end; one that is about a single command is not. Then calls->lost is
 * called, in a turn and never inside of another function. */
#ifndef EVWS_REDIS_H
#define EVWS_REDIS_H

#include "engine/dial.h"
#include "protocol/resp.h"
#include "transport/stream.h"

#define WS_REDIS_WHY_MAX 160

struct ws_redis;

/* The same for all connections of a URL; it outlives them. */
struct ws_redis_settings {
  const char *host, *path;    /* path: of a Unix socket, else NULL */
  const char *server_name;    /* whom TLS expects */
  struct ws_tls_context *tls; /* NULL: plain */
  struct ws_slice username, password, name; /* n 0: none */
  int port, db;
  bool is_secure;                /* tls is to be there */
  double timeout, ping_interval; /* seconds */
  size_t max_reply;
};

/* Who waits for replies. item is called for each part of one, then done; or
 * lost, for so many replies that will not come. */
struct ws_asked {
  void (*item)(struct ws_asked *, struct ws_redis *,
               const struct ws_resp_item *);
  void (*done)(struct ws_asked *, struct ws_redis *);
  void (*lost)(struct ws_asked *, size_t n);
  bool is_loud; /* it keeps the loop driven */
};

struct ws_redis_calls {
  /* Commands may be given. */
  void (*ready)(struct ws_redis *);
  void (*lost)(struct ws_redis *); /* r->why */

  /* Of a connection that subscribes: a part of something nobody asked for, or
   * an error. */
  void (*push)(struct ws_redis *, const struct ws_resp_item *);

  /* The kernel takes bytes again. */
  void (*drained)(struct ws_redis *);

  /* A command was refused, which is nothing about the others. */
  void (*refused)(struct ws_redis *, struct ws_slice why);

  /* A read has been gone through. */
  void (*was_read)(struct ws_redis *);
};

enum ws_redis_state {
  WS_REDIS_IDLE,
  WS_REDIS_DIALING,
  WS_REDIS_GREETING,
  WS_REDIS_READY,
  WS_REDIS_LOST
};

/* Waits for n replies in a row. */
struct ws_asked_run {
  struct ws_asked *who;
  uint32_t n;
};

struct ws_redis {
  struct ws_stream stream;
  struct ws_dial dial;
  struct ws_resp resp;
  struct ws_timer timer;
  struct ws_job end;
  struct ws_loop *loop;
  const struct ws_redis_settings *settings;
  const struct ws_redis_calls *calls;
  struct ws_asked greeting, naming, role, ping;
  struct ws_asked_run *line; /* a ring */
  size_t at, n, cap;
  size_t unanswered; /* replies that are to come, */
  size_t loud;       /* and those of them that somebody is loud about */
  uint64_t settled;  /* of these: those that have come, or are lost */
  double progress;   /* when a byte came, or there was nothing to come */
  double pinged;
  double rtt; /* of the last ping; 0: none yet */
  enum ws_redis_state state;
  bool is_subscriber;
  bool is_pinged; /* and there is no answer yet */
  bool has_role;  /* it answers to ROLE */
  char why[WS_REDIS_WHY_MAX];
};

/* r: zeroed memory, or one that was stopped. */
void ws_redis_start(struct ws_redis *r, struct ws_loop *loop,
                    const struct ws_redis_settings *settings,
                    const struct ws_redis_calls *calls, bool is_subscriber);

/* Gives everything back; nothing is called but lost of those who wait. Not
 * inside of its calls. Harmless when repeated. */
void ws_redis_stop(struct ws_redis *r);

/* The same, but what has been given to the kernel arrives. */
void ws_redis_leave(struct ws_redis *r);

/* It is lost, for this reason. */
void ws_redis_fail(struct ws_redis *r, const char *why);
void ws_redis_fail_text(struct ws_redis *r, struct ws_slice why);

/* A reply is this error. True: only what was asked is refused, and that is
 * told. False: so would be everything else, and it is lost. */
bool ws_redis_refused(struct ws_redis *r, struct ws_slice error);

/* One reply more is waited for, to a command that is written next. False
 * without memory. */
bool ws_redis_expect(struct ws_redis *r, struct ws_asked *who);

/* n answers are to come to a subscriber, or have come. */
void ws_redis_await(struct ws_redis *r, size_t n);
void ws_redis_answered(struct ws_redis *r, size_t n);

/* A place for a command of n bytes, WS_REDIS_COMMAND_MAX at most, and that it
 * is there. NULL without memory: it is lost. */
#define WS_REDIS_COMMAND_MAX (60 * 1024)
char *ws_redis_reserve(struct ws_redis *r, size_t n);
void ws_redis_commit(struct ws_redis *r, size_t n);

/* Commands of any length. */
void ws_redis_write(struct ws_redis *r, const void *bytes, size_t n);

#endif
