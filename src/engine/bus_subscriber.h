/* bus_subscriber.h: the channels of one Redis: asked for, confirmed, refused
 * and let go by one connection.
 *
 * Redis refuses a command as a whole, though it may be about one channel of a
 * thousand: then each is asked for alone, and those that are refused alone
 * again and again, some at a time. */
#ifndef EVWS_BUS_SUBSCRIBER_H
#define EVWS_BUS_SUBSCRIBER_H

#include "engine/bus_names.h"
#include "engine/redis.h"

struct ws_subscriber {
  struct ws_channels channels;
  struct ws_redis *redis;
  struct ws_loop *loop;
  struct ws_slice prefix;
  struct ws_buf words;   /* a command being written */
  struct ws_buf batches; /* the commands that are not answered, in order */
  struct ws_timer sweep, retry;
  double retry_seconds;
  uint64_t asked, answered; /* channels, since the connection began */
  double heard_at;          /* since when the next answer is waited for */
  bool is_stopped;

  /* Redis has refused a channel; not for the first time, maybe. */
  void (*refused)(struct ws_subscriber *, struct ws_slice channel,
                  struct ws_slice why);
};

/* s: zeroed memory with redis, prefix, retry_seconds and refused filled in. */
void ws_subscriber_start(struct ws_subscriber *s, struct ws_loop *loop,
                         struct ws_hash_key key);
void ws_subscriber_stop(struct ws_subscriber *s);
void ws_subscriber_free(struct ws_subscriber *s);

/* Asks for what is to be asked for. */
void ws_subscriber_send(struct ws_subscriber *s);

/* Somebody less wants a channel. Was that the last one, and Redis does not know
 * of it yet? */
bool ws_subscriber_let_go(struct ws_subscriber *s, struct ws_slice channel);

/* Redis has confirmed a channel; NULL: nobody waits for that. */
struct ws_channel *ws_subscriber_confirmed(struct ws_subscriber *s,
                                           struct ws_slice channel);

/* An error has come. True: it was about channels that were asked for. */
bool ws_subscriber_refused(struct ws_subscriber *s, struct ws_slice error);

/* Is all answered, and is there nothing to be asked for? */
bool ws_subscriber_is_settled(const struct ws_subscriber *s);

/* Seconds that an answer has been waited for. */
double ws_subscriber_silence(const struct ws_subscriber *s);

/* The connection is another one. */
void ws_subscriber_renew(struct ws_subscriber *s);

#endif
