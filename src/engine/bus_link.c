/* bus_link.c: one Redis, by two connections. */
#include "engine/bus_link.h"

#include <string.h>

#include "engine/bus_command.h"
#include "protocol/redis_error.h"

#define NEVER 1e8 /* seconds */

enum kind { OTHER, MESSAGE, SUBSCRIBED };

static struct ws_link *link_of(struct ws_redis *r) {
  return r->is_subscriber ? WS_LIST_ENTRY(r, struct ws_link, sub)
                          : WS_LIST_ENTRY(r, struct ws_link, cmd);
}

static void drop(struct ws_link *l, enum ws_bus_drop why, size_t n) {
  l->stats->dropped[why] += n;
}

/* ---- publishing ---- */

/* Nothing waits, and the kernel takes bytes. */
static bool is_open(const struct ws_link *l) {
  return l->state == WS_LINK_UP && l->cmd.state == WS_REDIS_READY &&
         !l->cmd.stream.is_blocked;
}

static void set_expiry(struct ws_link *l) {
  double given;
  if (!ws_bus_pending_first(&l->pending, &given).p) {
    ws_loop_timer_stop(l->loop, &l->expiry);
    return;
  }
  double seconds = given + l->settings->pending_timeout - ws_loop_now(l->loop);
  if (!l->expiry.index)
    ws_loop_timer(l->loop, &l->expiry, seconds > 0 ? seconds : 0);
}

static void drain(struct ws_link *l) {
  double given;
  struct ws_slice first;
  if (!l->pending.n) return;
  while (is_open(l) && (first = ws_bus_pending_first(&l->pending, &given)).p) {
    char *to;
    if (!ws_redis_expect(&l->cmd, &l->publishing)) break;
    if (first.n > WS_REDIS_COMMAND_MAX) {
      ws_redis_write(&l->cmd, first.p, first.n);
    } else if ((to = ws_redis_reserve(&l->cmd, first.n))) {
      memcpy(to, first.p, first.n);
      ws_redis_commit(&l->cmd, first.n);
    }
    ws_bus_pending_shift(&l->pending);
  }
  set_expiry(l);
}

size_t ws_link_pending(const struct ws_link *l) {
  size_t n = l->pending.bytes.len;
  if (l->cmd.state == WS_REDIS_READY) n += ws_stream_pending(&l->cmd.stream);
  return n;
}

void ws_link_fence(struct ws_link *l) {
  l->fence =
    (struct ws_link_fence){.pending = l->pending.shifted + l->pending.n};
  ws_link_is_behind(l);
}

bool ws_link_is_behind(struct ws_link *l) {
  struct ws_link_fence *f = &l->fence;
  bool is_coming = l->state == WS_LINK_CONNECTING;
  bool is_up = l->state == WS_LINK_UP && l->cmd.state == WS_REDIS_READY;
  if (l->pending.shifted < f->pending) return is_coming || is_up;
  if (!f->is_written) f->written = l->cmd.settled + l->cmd.loud;
  f->is_written = true;
  return is_up && l->cmd.settled < f->written;
}

/* One that is to close does so when nothing waits any more, or cannot leave:
 * a connection that ends before Redis has written its replies takes with it
 * what Redis has not read by then. */
static void check_finished(struct ws_link *l) {
  if (l->is_closing && !ws_link_is_behind(l)) ws_loop_job(l->loop, &l->finish);
}

static void on_expiry(struct ws_timer *t) {
  struct ws_link *l = WS_LIST_ENTRY(t, struct ws_link, expiry);
  double given, limit = l->loop->now - l->settings->pending_timeout;
  while (ws_bus_pending_first(&l->pending, &given).p && given <= limit) {
    ws_bus_pending_shift(&l->pending);
    drop(l, WS_DROP_TIMEOUT, 1);
  }
  set_expiry(l);
  check_finished(l);
}

static const char *wait_for_it(struct ws_link *l, struct ws_slice name,
                               const struct ws_carried *what, size_t most) {
  char *to = ws_bus_pending_reserve(&l->pending, most);
  if (!to) {
    drop(l, WS_DROP_MEMORY, 1);
    return "out of memory";
  }
  struct ws_slice prefix = l->settings->prefix;
  size_t n = (size_t)(ws_bus_publish_put(to, prefix, name, what) - to);
  ws_bus_pending_commit(&l->pending, n, ws_loop_now(l->loop));
  drain(l);
  if (l->pending.n) set_expiry(l);
  return NULL;
}

const char *ws_link_publish(struct ws_link *l, struct ws_slice name,
                            const struct ws_carried *what) {
  struct ws_slice prefix = l->settings->prefix;
  size_t most = ws_bus_publish_max(prefix, name, what);
  if (ws_link_pending(l) + most > l->settings->max_queued) {
    drop(l, WS_DROP_FULL, 1);
    return "backplane full";
  }
  l->stats->published++;
  if (l->pending.n || !is_open(l) || most > WS_REDIS_COMMAND_MAX ||
      !ws_redis_expect(&l->cmd, &l->publishing))
    return wait_for_it(l, name, what, most);
  char *to = ws_redis_reserve(&l->cmd, most);
  if (to)
    ws_redis_commit(&l->cmd,
                    (size_t)(ws_bus_publish_put(to, prefix, name, what) - to));
  return NULL;
}

bool ws_link_ask(struct ws_link *l, struct ws_asked *who,
                 struct ws_slice command) {
  bool is_up = l->state == WS_LINK_UP && l->cmd.state == WS_REDIS_READY;
  if (!is_up || !ws_redis_expect(&l->cmd, who)) return false;
  ws_redis_write(&l->cmd, command.p, command.n);
  return true;
}

const char *ws_link_command(struct ws_link *l, struct ws_asked *who,
                            struct ws_slice command) {
  if (l->state == WS_LINK_CLOSED) return "backplane closed";
  if (ws_link_pending(l) + command.n > l->settings->max_queued) {
    drop(l, WS_DROP_FULL, 1);
    return "backplane full";
  }
  if (!ws_link_ask(l, who, command)) return "backplane away";
  l->stats->published++;
  return NULL;
}

/* How many processes have it; without a right to publish there is no use in
 * going on. */
static void on_published(struct ws_asked *who, struct ws_redis *r,
                         const struct ws_resp_item *item) {
  struct ws_link *l = WS_LIST_ENTRY(who, struct ws_link, publishing);
  if (item->type == WS_RESP_ERROR && ws_redis_error_is_of_command(item->text))
    ws_redis_fail_text(r, item->text);
  else if (item->type == WS_RESP_ERROR)
    drop(l, WS_DROP_REFUSED, ws_redis_refused(r, item->text));
  else if (item->type != WS_RESP_INTEGER)
    ws_redis_fail(r, "it does not speak as Redis does");
}

static void on_unpublished(struct ws_asked *who, size_t n) {
  drop(WS_LIST_ENTRY(who, struct ws_link, publishing), WS_DROP_LOST, n);
}

/* ---- subscriptions ---- */

static bool make_key(struct ws_link *l, struct ws_slice name,
                     struct ws_slice *key) {
  l->key.len = l->key.off = 0;
  if (!ws_buf_reserve(&l->key, ws_bus_channel_len(name))) return false;
  char *from = (char *)l->key.data;
  *key =
    (struct ws_slice){from, (size_t)(ws_bus_channel_put(from, name) - from)};
  return true;
}

bool ws_link_want(struct ws_link *l, struct ws_slice name) {
  struct ws_slice key;
  struct ws_channels *cs = &l->subscriber.channels;
  if (!make_key(l, name, &key) || !ws_channels_want(cs, key)) return false;
  bool is_fresh = !ws_list_is_empty(&cs->fresh);
  if (is_fresh && l->state != WS_LINK_CLOSED) ws_loop_late(l->loop, &l->fresh);
  return true;
}

void ws_link_let_go(struct ws_link *l, struct ws_slice name) {
  struct ws_slice key;
  if (!make_key(l, name, &key)) return; /* there was room when it was wanted */
  if (ws_subscriber_let_go(&l->subscriber, key)) l->calls->changed(l);
}

static const struct ws_channel *find(struct ws_link *l, struct ws_slice name) {
  struct ws_slice key;
  if (l->state != WS_LINK_UP || !make_key(l, name, &key)) return NULL;
  return ws_channels_find(&l->subscriber.channels, key);
}

bool ws_link_is_there(struct ws_link *l, struct ws_slice name) {
  const struct ws_channel *c = find(l, name);
  return c && c->is_there;
}

bool ws_link_is_refused(struct ws_link *l, struct ws_slice name) {
  const struct ws_channel *c = find(l, name);
  return c && c->is_refused;
}

bool ws_link_is_wanted(struct ws_link *l, struct ws_slice name) {
  struct ws_slice key;
  return !make_key(l, name, &key) ||
         ws_channels_is_wanted(&l->subscriber.channels, key);
}

double ws_link_silence(const struct ws_link *l) {
  if (l->state == WS_LINK_AWAY) return ws_loop_now(l->loop) - l->away_at;
  return ws_subscriber_silence(&l->subscriber);
}

/* ---- what comes in ---- */

static void check_up(struct ws_link *l) {
  if (l->state == WS_LINK_UP) return;
  if (l->cmd.state != WS_REDIS_READY || l->sub.state != WS_REDIS_READY ||
      !ws_subscriber_is_settled(&l->subscriber))
    return;
  l->state = WS_LINK_UP;
  l->up_at = ws_loop_now(l->loop);
  if (l->was_up) l->stats->reconnects++;
  l->was_up = l->has_news = true;
  drain(l);
}

static enum kind kind_of(struct ws_slice word) {
  if (ws_slice_equal(word, WS_SLICE("message"))) return MESSAGE;
  return ws_slice_equal(word, WS_SLICE("subscribe")) ? SUBSCRIBED : OTHER;
}

static bool without_prefix(const struct ws_link *l, struct ws_slice *channel) {
  struct ws_slice prefix = l->settings->prefix;
  channel->p = (char *)l->channel.data;
  channel->n = l->channel.len;
  if (channel->n < prefix.n || memcmp(channel->p, prefix.p, prefix.n) != 0)
    return false;
  channel->p += prefix.n;
  channel->n -= prefix.n;
  return true;
}

static void confirmed(struct ws_link *l, struct ws_slice channel) {
  if (!ws_subscriber_confirmed(&l->subscriber, channel)) return;
  l->has_news = true;
  l->calls->confirmed(l, channel);
}

/* The text of Redis does not say which one it was. */
static void on_denied(struct ws_subscriber *s, struct ws_slice channel,
                      struct ws_slice why) {
  struct ws_link *l = WS_LIST_ENTRY(s, struct ws_link, subscriber);
  struct ws_buf *to = &l->words;
  to->len = to->off = 0;
  if (ws_buf_append(to, why.p, why.n) && ws_buf_append(to, " (", 2) &&
      ws_buf_append(to, s->prefix.p, s->prefix.n) &&
      ws_buf_append(to, channel.p, channel.n) && ws_buf_append(to, ")", 1))
    why = (struct ws_slice){(const char *)ws_buf_begin(to), to->len};
  l->has_news = true;
  l->calls->refused(l, why);
  l->calls->denied(l, channel);
  ws_buf_free(to);
}

static void on_error(struct ws_link *l, struct ws_slice error) {
  if (!ws_subscriber_refused(&l->subscriber, error))
    ws_redis_fail_text(&l->sub, error);
}

static void on_push(struct ws_redis *r, const struct ws_resp_item *item) {
  struct ws_link *l = link_of(r);
  struct ws_slice channel;
  if (item->depth == 0 && item->type == WS_RESP_ERROR) {
    on_error(l, item->text);
  } else if (item->depth != 1) {
    l->kind = OTHER;
  } else if (item->index == 0) {
    l->kind = (uint8_t)kind_of(item->text);
  } else if (item->index == 1) {
    l->channel.len = l->channel.off = 0;
    if (!ws_buf_append(&l->channel, item->text.p, item->text.n))
      ws_redis_fail(r, "out of memory");
  } else if (item->index == 2 && without_prefix(l, &channel)) {
    if (l->kind == MESSAGE && item->type == WS_RESP_STRING)
      l->calls->message(l, channel, item->text);
    else if (l->kind == SUBSCRIBED)
      confirmed(l, channel);
  }
}

static void look(struct ws_link *l) {
  check_up(l);
  if (!l->has_news) return;
  l->has_news = false;
  l->calls->changed(l);
}

static void on_read(struct ws_redis *r) {
  look(link_of(r));
  check_finished(link_of(r));
}

/* Those it was to be asked for may have been let go by now, and nothing else
 * is to come. */
static void on_fresh(struct ws_late *late) {
  struct ws_link *l = WS_LIST_ENTRY(late, struct ws_link, fresh);
  ws_subscriber_send(&l->subscriber);
  look(l);
}

static void on_drained(struct ws_redis *r) {
  struct ws_link *l = link_of(r);
  if (r->is_subscriber) return;
  drain(l);
  check_finished(l);
}

/* ---- its life ---- */

static void on_ready(struct ws_redis *r) {
  if (r->is_subscriber) ws_subscriber_send(&link_of(r)->subscriber);
}

static void wait_to_come(struct ws_link *l) {
  double off;
  if (l->state == WS_LINK_UP && ws_loop_now(l->loop) - l->up_at > l->delay)
    l->delay = 0;
  off = ws_backoff_next(l->loop, &l->settings->reconnect, &l->delay);
  ws_loop_timer(l->loop, &l->again, l->delay - off);
}

static void end_both(struct ws_link *l) {
  ws_redis_stop(&l->cmd);
  ws_redis_stop(&l->sub);
  ws_subscriber_renew(&l->subscriber);
  l->kind = OTHER;
  l->has_news = false;
}

static void on_lost(struct ws_redis *r) {
  struct ws_link *l = link_of(r);
  char why[WS_REDIS_WHY_MAX];
  memcpy(why, r->why, sizeof why);
  l->away_at = ws_loop_now(l->loop) - ws_link_silence(l);
  end_both(l);
  if (!l->is_closing) wait_to_come(l);
  l->state = WS_LINK_AWAY;
  check_finished(l);
  l->calls->lost(l, why);
  l->calls->changed(l);
}

static void on_refused(struct ws_redis *r, struct ws_slice why) {
  struct ws_link *l = link_of(r);
  l->calls->refused(l, why);
}

static const struct ws_redis_calls calls = {.ready = on_ready,
                                            .refused = on_refused,
                                            .lost = on_lost,
                                            .push = on_push,
                                            .drained = on_drained,
                                            .was_read = on_read};

static void connect_both(struct ws_link *l) {
  ws_redis_start(&l->cmd, l->loop, &l->redis, &calls, false);
  ws_redis_start(&l->sub, l->loop, &l->redis, &calls, true);
}

/* It is always set, for a day that does not come: so there is room for it
 * when it is needed, whatever memory there is then. */
static bool keep_place(struct ws_link *l) {
  return ws_loop_timer(l->loop, &l->again, NEVER);
}

static void on_again(struct ws_timer *t) {
  struct ws_link *l = WS_LIST_ENTRY(t, struct ws_link, again);
  keep_place(l);
  if (l->state != WS_LINK_UP && l->cmd.state == WS_REDIS_IDLE) connect_both(l);
}

static void on_finish(struct ws_job *job) {
  struct ws_link *l = WS_LIST_ENTRY(job, struct ws_link, finish);
  ws_link_stop(l);
  l->calls->changed(l);
}

bool ws_link_start(struct ws_link *l, struct ws_loop *loop,
                   struct ws_hash_key key) {
  l->loop = loop;
  l->warned.at = l->warned_refused.at = -1;
  l->subscriber.redis = &l->sub;
  l->subscriber.prefix = l->settings->prefix;
  l->subscriber.retry_seconds = l->settings->reconnect.maximum;
  l->subscriber.refused = on_denied;
  ws_subscriber_start(&l->subscriber, loop, key);
  l->again.fn = on_again;
  l->expiry.fn = on_expiry;
  l->again.is_quiet = true;
  l->fresh.run = on_fresh;
  ws_list_init(&l->fresh.link);
  l->finish.run = on_finish;
  ws_list_init(&l->finish.link);
  l->publishing = (struct ws_asked){
    .item = on_published, .lost = on_unpublished, .is_loud = true};
  if (!keep_place(l)) return false;
  connect_both(l);
  return true;
}

void ws_link_close(struct ws_link *l) {
  l->is_closing = true;
  ws_link_fence(l);
  check_finished(l);
}

void ws_link_stop(struct ws_link *l) {
  if (l->state == WS_LINK_CLOSED || !l->loop) return;
  drain(l);
  l->state = WS_LINK_CLOSED;
  ws_redis_leave(&l->cmd);
  ws_redis_stop(&l->sub);
  ws_loop_timer_stop(l->loop, &l->again);
  ws_loop_timer_stop(l->loop, &l->expiry);
  ws_subscriber_stop(&l->subscriber);
  ws_list_remove(&l->fresh.link);
  ws_list_remove(&l->finish.link);
  drop(l, WS_DROP_LOST, l->pending.n);
  ws_bus_pending_free(&l->pending);
}

void ws_link_free(struct ws_link *l) {
  ws_link_stop(l);
  ws_subscriber_free(&l->subscriber);
  ws_buf_free(&l->key);
  ws_buf_free(&l->channel);
  ws_buf_free(&l->words);
}
