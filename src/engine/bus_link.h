/* bus_link.h: one Redis: a connection for commands and one that subscribes,
 * for while it does it takes no other command.
 *
 *   CONNECTING -> UP -> AWAY -> UP ... CLOSED
 *
 * An error of either ends both; what is wanted stays, and after a wait both
 * begin anew. It is up when everything that is wanted has been confirmed, but
 * for what was refused by itself. What is published meanwhile waits, bounded in
 * bytes and seconds. */
#ifndef EVWS_BUS_LINK_H
#define EVWS_BUS_LINK_H

#include "engine/backoff.h"
#include "engine/bus_pending.h"
#include "engine/bus_subscriber.h"
#include "protocol/envelope.h"

enum ws_link_state {
  WS_LINK_CONNECTING,
  WS_LINK_UP,
  WS_LINK_AWAY,
  WS_LINK_CLOSED
};

/* Why a message does not reach other processes. */
enum ws_bus_drop {
  WS_DROP_FULL,    /* max_queued */
  WS_DROP_TIMEOUT, /* pending_timeout */
  WS_DROP_LOST,    /* a connection broke before Redis had said that it came */
  WS_DROP_MEMORY,
  WS_DROP_BAD,     /* what came in is no message */
  WS_DROP_REFUSED, /* by Redis: that one, not all */
  WS_DROPS
};

struct ws_bus_stats {
  uint64_t published, received, reconnects;
  uint64_t dropped[WS_DROPS];
};

struct ws_bus_settings {
  struct ws_slice prefix;
  size_t max_queued;
  double pending_timeout;
  struct ws_reconnect reconnect;
};

struct ws_link;

struct ws_link_calls {
  /* Something was published to a channel; its name is without the prefix. */
  void (*message)(struct ws_link *, struct ws_slice channel,
                  struct ws_slice bytes);

  /* It went up or away, Redis has confirmed subscriptions, or one of which it
   * does not know has been let go. Called from within anything: to be noted. */
  void (*changed)(struct ws_link *);

  /* Redis has confirmed a channel. */
  void (*confirmed)(struct ws_link *, struct ws_slice channel);

  /* Redis has refused a channel, and may have done so before. */
  void (*denied)(struct ws_link *, struct ws_slice channel);

  /* Redis has refused a command; it is up nevertheless. */
  void (*refused)(struct ws_link *, struct ws_slice why);

  /* It went away, or could not come. */
  void (*lost)(struct ws_link *, const char *why);
};

/* When it was told last; negative: never. How often it was not, since. */
struct ws_warned {
  double at;
  unsigned untold;
};

/* Up to where it is waited for: commands that had been pending, and those that
 * had been written when the last of them had. */
struct ws_link_fence {
  uint64_t pending, written;
  bool is_written;
};

struct ws_link {
  struct ws_redis_settings redis; /* the strings are the owner's */
  const struct ws_bus_settings *settings;
  const struct ws_link_calls *calls;
  struct ws_host *host; /* the owner's */
  struct ws_bus_stats *stats;
  struct ws_loop *loop;
  struct ws_redis cmd, sub;
  struct ws_subscriber subscriber;
  struct ws_bus_pending pending;
  struct ws_timer again, expiry;
  struct ws_late fresh;
  struct ws_job finish;
  struct ws_asked publishing;
  struct ws_buf key;     /* a channel's name being looked for */
  struct ws_buf channel; /* of the message that is coming */
  struct ws_buf words;   /* what is told */
  double delay, up_at, away_at;
  struct ws_warned warned, warned_refused; /* the owner's */
  struct ws_link_fence fence;
  enum ws_link_state state;
  uint8_t kind; /* of the push that is coming */
  bool was_up, has_news, is_closing;
  bool was_told_up; /* the owner's */
};

/* l: zeroed memory with redis, settings, calls and stats filled in. False
 * without memory. */
bool ws_link_start(struct ws_link *l, struct ws_loop *loop,
                   struct ws_hash_key key);

/* It is CLOSED as soon as what waits now has left and is answered, or cannot
 * be; in this turn at the earliest. */
void ws_link_close(struct ws_link *l);

/* Nothing goes out or comes in any more. Not inside of its calls. */
void ws_link_stop(struct ws_link *l);
void ws_link_free(struct ws_link *l);

/* A topic has somebody here, or nobody any more; name.p NULL: everybody.
 * False without memory. */
bool ws_link_want(struct ws_link *l, struct ws_slice name);
void ws_link_let_go(struct ws_link *l, struct ws_slice name);

/* Has Redis confirmed it, or refused? */
bool ws_link_is_there(struct ws_link *l, struct ws_slice name);
bool ws_link_is_refused(struct ws_link *l, struct ws_slice name);

/* Does anybody here want it still? */
bool ws_link_is_wanted(struct ws_link *l, struct ws_slice name);

/* Seconds that it has been away for, or has not answered for; 0: neither. */
double ws_link_silence(const struct ws_link *l);

/* NULL, or why others will not get it. */
const char *ws_link_publish(struct ws_link *l, struct ws_slice name,
                            const struct ws_carried *what);

/* A whole command, which counts as a message; only while it is up. NULL, or
 * why it is not taken. */
const char *ws_link_command(struct ws_link *l, struct ws_asked *who,
                            struct ws_slice command);

/* A whole command for whose answer somebody waits; false: it is not up, or
 * there is no memory. */
bool ws_link_ask(struct ws_link *l, struct ws_asked *who,
                 struct ws_slice command);

/* Bytes that wait for Redis. */
size_t ws_link_pending(const struct ws_link *l);

/* What was given to it until now is to be waited for. */
void ws_link_fence(struct ws_link *l);

/* Does any of that wait to leave, or for an answer that is to come? */
bool ws_link_is_behind(struct ws_link *l);

#endif
