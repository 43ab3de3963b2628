/* bus_subscriber.c: the channels of one Redis. */
#include "engine/bus_subscriber.h"

#include <string.h>

#include "engine/bus_command.h"
#include "protocol/redis_error.h"

#define NAMES_MAX 1000     /* of one SUBSCRIBE, and of those tried again */
#define LINGER_SECONDS 1.0 /* before what nobody wants is unsubscribed */

struct batch {
  uint64_t last; /* the number of its last channel */
  size_t n;
};

/* ---- asking ---- */

/* One command for the first of a list; false without memory: the connection
 * ends. */
static bool tell_names(struct ws_subscriber *s, struct ws_slice verb,
                       const struct ws_list *list, size_t n) {
  s->words.len = s->words.off = 0;
  if (!ws_buf_reserve(&s->words, ws_bus_names_max(s->prefix, list, n))) {
    ws_redis_fail(s->redis, "out of memory");
    return false;
  }
  char *from = (char *)s->words.data;
  char *to = ws_bus_names_put(from, verb, s->prefix, list, n);
  ws_redis_write(s->redis, from, (size_t)(to - from));
  ws_buf_free(&s->words);
  return true;
}

static bool ask(struct ws_subscriber *s, struct ws_list *list, size_t n) {
  struct batch b = {s->asked + n, n};
  if (!ws_buf_append(&s->batches, &b, sizeof b)) {
    ws_redis_fail(s->redis, "out of memory");
    return false;
  }
  if (!tell_names(s, WS_SLICE("SUBSCRIBE"), list, n)) return false;
  ws_redis_await(s->redis, n);
  if (s->asked == s->answered) s->heard_at = ws_loop_now(s->loop);
  for (struct ws_list *e; n > 0 && (e = ws_list_shift(list)); n--) {
    struct ws_channel *c = WS_LIST_ENTRY(e, struct ws_channel, link);
    c->asked = ++s->asked;
    ws_list_append(&s->channels.coming, &c->coming);
  }
  return true;
}

static bool may_ask(const struct ws_subscriber *s, const struct ws_list *list) {
  return !ws_list_is_empty(list) && s->redis->state == WS_REDIS_READY;
}

void ws_subscriber_send(struct ws_subscriber *s) {
  struct ws_channels *cs = &s->channels;
  while (may_ask(s, &cs->fresh))
    if (!ask(s, &cs->fresh, ws_channels_fresh(cs, NAMES_MAX))) return;
  while (may_ask(s, &cs->alone))
    if (!ask(s, &cs->alone, 1)) return;
}

/* ---- answers ---- */

static bool first_batch(const struct ws_subscriber *s, struct batch *b) {
  if (s->batches.len < sizeof *b) return false;
  memcpy(b, ws_buf_begin(&s->batches), sizeof *b);
  return true;
}

struct ws_channel *ws_subscriber_confirmed(struct ws_subscriber *s,
                                           struct ws_slice channel) {
  struct ws_channel *c = ws_channels_find(&s->channels, channel);
  struct batch b;
  ws_redis_answered(s->redis, 1);
  s->answered++;
  s->heard_at = ws_loop_now(s->loop);
  if (first_batch(s, &b) && b.last == s->answered)
    ws_buf_consume(&s->batches, sizeof b);
  if (!c || c->asked != s->answered) return NULL;
  ws_channels_confirmed(&s->channels, c);
  return c;
}

static void set_retry(struct ws_subscriber *s) {
  if (s->retry.index || s->is_stopped) return;
  if (!ws_loop_timer(s->loop, &s->retry, s->retry_seconds))
    ws_redis_fail(s->redis, "out of memory");
}

static void on_retry(struct ws_timer *t) {
  struct ws_subscriber *s = WS_LIST_ENTRY(t, struct ws_subscriber, retry);
  ws_channels_retry(&s->channels, NAMES_MAX);
  ws_subscriber_send(s);
  if (!ws_list_is_empty(&s->channels.refused)) set_retry(s);
}

/* Those of a command that is not for any of them. */
static void deny(struct ws_subscriber *s, uint64_t last,
                 struct ws_slice error) {
  struct ws_list *coming = &s->channels.coming;
  while (!ws_list_is_empty(coming)) {
    struct ws_channel *c =
      WS_LIST_ENTRY(coming->next, struct ws_channel, coming);
    if (c->asked > last) break;
    if (!ws_channels_deny(&s->channels, c)) continue;
    s->refused(s, (struct ws_slice){c->name, c->len}, error);
    set_retry(s);
  }
}

bool ws_subscriber_refused(struct ws_subscriber *s, struct ws_slice error) {
  struct batch b;
  if (!ws_redis_error_is_of_channel(error) || !first_batch(s, &b) ||
      b.last - b.n != s->answered)
    return false;
  ws_buf_consume(&s->batches, sizeof b);
  ws_redis_answered(s->redis, b.n);
  s->answered = b.last;
  s->heard_at = ws_loop_now(s->loop);
  deny(s, b.last, error);
  ws_subscriber_send(s);
  return true;
}

bool ws_subscriber_is_settled(const struct ws_subscriber *s) {
  return s->answered == s->asked && ws_list_is_empty(&s->channels.fresh) &&
         ws_list_is_empty(&s->channels.alone);
}

double ws_subscriber_silence(const struct ws_subscriber *s) {
  return s->asked == s->answered ? 0 : ws_loop_now(s->loop) - s->heard_at;
}

/* ---- letting go ---- */

static void set_sweep(struct ws_subscriber *s) {
  const struct ws_channel *c = ws_channels_leaving(&s->channels);
  if (!c || s->sweep.index || s->is_stopped) return;
  double seconds = c->left + LINGER_SECONDS - ws_loop_now(s->loop);
  ws_loop_timer(s->loop, &s->sweep, seconds > 0 ? seconds : 0);
}

static void on_sweep(struct ws_timer *t) {
  struct ws_subscriber *s = WS_LIST_ENTRY(t, struct ws_subscriber, sweep);
  struct ws_channels *cs = &s->channels;
  double by = s->loop->now - LINGER_SECONDS;
  size_t n;
  while ((n = ws_channels_left(cs, by, NAMES_MAX)) > 0) {
    bool is_ready = s->redis->state == WS_REDIS_READY;
    if (is_ready && !tell_names(s, WS_SLICE("UNSUBSCRIBE"), &cs->leaving, n))
      break;
    while (n--) ws_channels_remove(cs, ws_channels_leaving(cs));
  }
  set_sweep(s);
}

bool ws_subscriber_let_go(struct ws_subscriber *s, struct ws_slice channel) {
  if (!ws_channels_let_go(&s->channels, channel, ws_loop_now(s->loop)))
    return false;
  set_sweep(s);
  const struct ws_channel *c = ws_channels_find(&s->channels, channel);
  return !c || !c->is_there;
}

/* ---- its life ---- */

void ws_subscriber_renew(struct ws_subscriber *s) {
  ws_channels_renew(&s->channels);
  ws_buf_free(&s->batches);
  s->asked = s->answered = 0;
}

void ws_subscriber_start(struct ws_subscriber *s, struct ws_loop *loop,
                         struct ws_hash_key key) {
  s->loop = loop;
  ws_channels_init(&s->channels, key);
  s->sweep.fn = on_sweep;
  s->retry.fn = on_retry;
  s->sweep.is_quiet = s->retry.is_quiet = true;
}

void ws_subscriber_stop(struct ws_subscriber *s) {
  s->is_stopped = true;
  ws_loop_timer_stop(s->loop, &s->sweep);
  ws_loop_timer_stop(s->loop, &s->retry);
}

void ws_subscriber_free(struct ws_subscriber *s) {
  ws_channels_free(&s->channels);
  ws_buf_free(&s->words);
  ws_buf_free(&s->batches);
}
