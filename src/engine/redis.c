/* redis.c: one connection to Redis. */
#include "engine/redis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "protocol/redis_error.h"
#include "transport/linger.h"

#define GATHERED (256 * 1024) /* more is not kept back to the turn's end */

/* ---- its end ---- */

void ws_redis_fail_text(struct ws_redis *r, struct ws_slice why) {
  if (r->state == WS_REDIS_LOST || r->state == WS_REDIS_IDLE) return;
  if (why.n > WS_REDIS_WHY_MAX / 2) why.n = WS_REDIS_WHY_MAX / 2;
  ws_escape(r->why, sizeof r->why, why, WS_ESCAPE_TEXT);
  r->state = WS_REDIS_LOST;
  r->resp.is_over = true;
  ws_loop_job(r->loop, &r->end);
}

void ws_redis_fail(struct ws_redis *r, const char *why) {
  ws_redis_fail_text(r, (struct ws_slice){why, strlen(why)});
}

static void broken(struct ws_redis *r, int error) {
  char text[WS_STREAM_REASON_MAX];
  if (error != EPROTO) {
    ws_redis_fail(r, strerror(error));
    return;
  }
  ws_stream_why(&r->stream, text);
  ws_redis_fail(r, text);
}

static void on_end(struct ws_job *job) {
  struct ws_redis *r = WS_LIST_ENTRY(job, struct ws_redis, end);
  r->calls->lost(r);
}

static struct ws_asked_run *run_at(const struct ws_redis *r, size_t i) {
  return &r->line[(r->at + i) & (r->cap - 1)];
}

/* Its line is another one before anybody hears of it. */
static void forget_line(struct ws_redis *r) {
  struct ws_asked_run *line = r->line;
  size_t at = r->at, n = r->n, mask = r->cap - 1;
  r->line = NULL;
  r->settled += r->loud;
  r->at = r->n = r->cap = r->unanswered = r->loud = 0;
  for (size_t i = 0; i < n; i++) {
    struct ws_asked_run *run = &line[(at + i) & mask];
    if (run->who->lost) run->who->lost(run->who, run->n);
  }
  ws_mem_free(line);
}

static void stop(struct ws_redis *r) {
  r->state = WS_REDIS_IDLE;
  ws_dial_stop(&r->dial);
  ws_loop_timer_stop(r->loop, &r->timer);
  ws_list_remove(&r->end.link);
  ws_resp_free(&r->resp);
  forget_line(r);
}

void ws_redis_stop(struct ws_redis *r) {
  if (!r->loop || r->state == WS_REDIS_IDLE) return;
  ws_stream_close(&r->stream);
  stop(r);
}

/* Replies that nobody will read would make the kernel reset the connection. */
void ws_redis_leave(struct ws_redis *r) {
  if (r->state == WS_REDIS_READY && !ws_loop_is_forked(r->loop)) {
    if (!r->stream.error && ws_stream_farewell(&r->stream))
      ws_linger_start(r->loop, ws_stream_detach(&r->stream), WS_LINGER_FIRST);
  }
  ws_redis_stop(r);
}

/* ---- time ---- */

static bool is_waiting(const struct ws_redis *r) {
  return r->state != WS_REDIS_READY || r->unanswered;
}

static double due(const struct ws_redis *r) {
  double limit = r->progress + r->settings->timeout;
  double ping = r->pinged + r->settings->ping_interval;
  if (!is_waiting(r)) return ping;
  bool is_ping_next = r->state == WS_REDIS_READY && !r->is_pinged;
  return is_ping_next && ping < limit ? ping : limit;
}

static void set_timer(struct ws_redis *r) {
  double seconds = due(r) - ws_loop_now(r->loop);
  if (!ws_loop_timer(r->loop, &r->timer, seconds > 0 ? seconds : 0))
    ws_redis_fail(r, "out of memory");
}

static void be_loud(struct ws_redis *r) {
  ws_loop_timer_quiet(r->loop, &r->timer, r->loud == 0);
}

void ws_redis_await(struct ws_redis *r, size_t n) {
  bool was_idle = r->unanswered == 0;
  r->unanswered += n;
  if (!was_idle || r->state != WS_REDIS_READY) return;
  r->progress = ws_loop_now(r->loop);
  if (r->timer.at > r->progress + r->settings->timeout) set_timer(r);
}

void ws_redis_answered(struct ws_redis *r, size_t n) {
  r->unanswered -= n < r->unanswered ? n : r->unanswered;
}

/* ---- the line ---- */

static bool grow(struct ws_redis *r) {
  size_t cap = r->cap ? r->cap * 2 : 16;
  struct ws_asked_run *line = ws_mem_alloc(cap * sizeof *line);
  if (!line) return false;
  for (size_t i = 0; i < r->n; i++) line[i] = *run_at(r, i);
  ws_mem_free(r->line);
  r->line = line;
  r->cap = cap;
  r->at = 0;
  return true;
}

bool ws_redis_expect(struct ws_redis *r, struct ws_asked *who) {
  struct ws_asked_run *last = r->n ? run_at(r, r->n - 1) : NULL;
  if (last && last->who == who && last->n < UINT32_MAX) {
    last->n++;
  } else {
    if (r->n == r->cap && !grow(r)) return false;
    *run_at(r, r->n++) = (struct ws_asked_run){who, 1};
  }
  ws_redis_await(r, 1);
  if (who->is_loud && r->loud++ == 0) be_loud(r);
  return true;
}

static void on_done(struct ws_resp *resp) {
  struct ws_redis *r = WS_LIST_ENTRY(resp, struct ws_redis, resp);
  if (r->n == 0) return;
  struct ws_asked_run *run = run_at(r, 0);
  struct ws_asked *who = run->who;
  if (--run->n == 0) {
    r->at = (r->at + 1) & (r->cap - 1);
    r->n--;
  }
  ws_redis_answered(r, 1);
  r->settled += who->is_loud;
  if (who->is_loud && --r->loud == 0) be_loud(r);
  if (who->done) who->done(who, r);
}

/* An answer of somebody who lives, though it is a refusal. */
static bool is_no_pong(const struct ws_resp_item *item) {
  return item->type == WS_RESP_ERROR && ws_redis_error_is_of_ping(item->text);
}

/* Has it come to the ping of one who subscribes? An array, or a word where
 * there is no subscription. */
static bool is_pong(const struct ws_resp_item *item) {
  if (item->type == WS_RESP_STATUS || is_no_pong(item)) return item->depth == 0;
  return item->depth == 1 && item->index == 0 && item->text.n == 4 &&
         memcmp(item->text.p, "pong", 4) == 0;
}

static void took_ping(struct ws_redis *r) {
  r->is_pinged = false;
  r->rtt = ws_loop_now(r->loop) - r->pinged;
  set_timer(r); /* the next one may be due before a reply would have been */
}

static void on_item(struct ws_resp *resp, const struct ws_resp_item *item) {
  struct ws_redis *r = WS_LIST_ENTRY(resp, struct ws_redis, resp);
  if (r->n) {
    struct ws_asked *who = run_at(r, 0)->who;
    who->item(who, r, item);
  } else if (r->is_subscriber && r->is_pinged && is_pong(item)) {
    took_ping(r);
    ws_redis_answered(r, 1);
  } else if (r->is_subscriber) {
    r->calls->push(r, item);
  } else if (item->type == WS_RESP_ERROR && item->depth == 0) {
    ws_redis_fail_text(r, item->text);
  } else {
    ws_redis_fail(r, "a reply to nothing");
  }
}

/* ---- writing ---- */

char *ws_redis_reserve(struct ws_redis *r, size_t n) {
  uint8_t *to = ws_stream_reserve(&r->stream, n);
  if (!to) ws_redis_fail(r, "out of memory");
  return (char *)to;
}

static void check_stream(struct ws_redis *r) {
  if (r->stream.error) broken(r, r->stream.error);
}

void ws_redis_commit(struct ws_redis *r, size_t n) {
  ws_stream_commit(&r->stream, n);
  if (ws_stream_pending(&r->stream) >= GATHERED && !r->stream.is_blocked)
    ws_stream_flush(&r->stream);
  check_stream(r);
}

void ws_redis_write(struct ws_redis *r, const void *bytes, size_t n) {
  ws_stream_write(&r->stream, bytes, n, NULL, 0);
  check_stream(r);
}

static void say(struct ws_redis *r, struct ws_asked *who,
                const struct ws_slice *words, size_t n) {
  struct ws_buf b = {NULL, 0, 0, 0};
  if (!ws_resp_append(&b, words, n) || (who && !ws_redis_expect(r, who)))
    ws_redis_fail(r, "out of memory");
  else
    ws_redis_write(r, ws_buf_begin(&b), b.len);
  ws_buf_free(&b);
}

/* ---- the greeting, and how it is looked at ---- */

bool ws_redis_refused(struct ws_redis *r, struct ws_slice error) {
  bool is_over = ws_redis_error_is_over(error);
  if (is_over)
    ws_redis_fail_text(r, error);
  else
    r->calls->refused(r, error);
  return !is_over;
}

static void must_be_ok(struct ws_asked *who, struct ws_redis *r,
                       const struct ws_resp_item *item) {
  (void)who;
  if (item->type == WS_RESP_ERROR) ws_redis_fail_text(r, item->text);
}

static void must_be_pong(struct ws_asked *who, struct ws_redis *r,
                         const struct ws_resp_item *item) {
  if (!is_no_pong(item)) must_be_ok(who, r, item);
}

static void anything(struct ws_asked *who, struct ws_redis *r,
                     const struct ws_resp_item *item) {
  (void)who, (void)r, (void)item;
}

/* Who must not ask, or asks something that does not know, has to do without. */
static void on_role(struct ws_asked *who, struct ws_redis *r,
                    const struct ws_resp_item *item) {
  (void)who;
  if (item->type == WS_RESP_ERROR && item->depth == 0) {
    r->has_role = false;
    if (!ws_redis_error_is(item->text, "NOPERM") &&
        !ws_redis_error_is(item->text, "ERR unknown"))
      ws_redis_fail_text(r, item->text);
  } else if (item->depth == 1 && item->index == 0) {
    if (ws_redis_error_is(item->text, "slave"))
      ws_redis_fail(r, "it is a replica");
    else if (!ws_redis_error_is(item->text, "master"))
      ws_redis_fail(r, "it is no master");
  } else if (item->type != WS_RESP_ARRAY && item->depth == 0) {
    ws_redis_fail(r, "it does not speak as Redis does");
  }
}

static void role_done(struct ws_asked *who, struct ws_redis *r) {
  (void)who;
  if (r->state == WS_REDIS_READY) {
    if (r->is_pinged) took_ping(r);
    return;
  }
  if (r->state != WS_REDIS_GREETING) return;
  r->state = WS_REDIS_READY;
  r->pinged = r->progress;
  set_timer(r);
  r->calls->ready(r);
}

static void ping_done(struct ws_asked *who, struct ws_redis *r) {
  (void)who;
  took_ping(r);
}

static void ping(struct ws_redis *r) {
  static const struct ws_slice words[] = {{"PING", 4}, {"ROLE", 4}};
  r->pinged = ws_loop_now(r->loop);
  r->is_pinged = true;
  if (r->is_subscriber) {
    ws_redis_await(r, 1);
    say(r, NULL, &words[0], 1);
  } else if (r->has_role) {
    say(r, &r->role, &words[1], 1);
  } else {
    say(r, &r->ping, &words[0], 1);
  }
}

static void greet(struct ws_redis *r) {
  const struct ws_redis_settings *s = r->settings;
  char db[16];
  int n = snprintf(db, sizeof db, "%d", s->db);
  struct ws_slice auth[3] = {{"AUTH", 4}, s->username, s->password};
  struct ws_slice select[] = {{"SELECT", 6}, {db, (size_t)n}};
  struct ws_slice name[] = {{"CLIENT", 6}, {"SETNAME", 7}, s->name};
  struct ws_slice role[] = {{"ROLE", 4}};
  if (!s->username.n) auth[1] = s->password;
  if (s->username.n || s->password.n)
    say(r, &r->greeting, auth, s->username.n ? 3 : 2);
  if (s->db) say(r, &r->greeting, select, 2);
  say(r, &r->naming, name, 3);
  say(r, &r->role, role, 1);
}

/* ---- events ---- */

/* False: there was nothing. */
static bool read_some(struct ws_redis *r) {
  struct ws_loop *loop = r->loop;
  if (!ws_loop_prepare(loop)) {
    ws_redis_fail(r, "out of memory");
    return true;
  }
  struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
  ssize_t n = ws_stream_read(&r->stream, &iov, 1);
  if (n == -EAGAIN) return false;
  if (n == 0) {
    ws_redis_fail(r, "connection closed");
  } else if (n < 0) {
    broken(r, (int)-n);
  } else {
    r->progress = loop->now;
    const char *why = ws_resp_feed(&r->resp, loop->read_buffer, (size_t)n);
    if (why) ws_redis_fail(r, why);
    if (r->state == WS_REDIS_READY) r->calls->was_read(r);
  }
  return true;
}

static void check_drained(struct ws_redis *r) {
  if (!r->stream.is_blocked && r->state == WS_REDIS_READY) r->calls->drained(r);
}

static void on_ready(struct ws_watch *w) {
  struct ws_redis *r = WS_LIST_ENTRY(w, struct ws_redis, stream.watch);
  uint8_t got = w->got;
  w->got = 0;
  if (r->state == WS_REDIS_LOST) return;
  if (got & WS_DEAF) {
    broken(r, w->error);
    return;
  }
  if (got & WS_WRITE) {
    ws_stream_flush(&r->stream);
    check_stream(r);
    check_drained(r);
  }
  if (got & (WS_READ | WS_AGAIN) && r->state != WS_REDIS_LOST) read_some(r);
}

static void on_late(struct ws_late *late) {
  struct ws_redis *r = WS_LIST_ENTRY(late, struct ws_redis, stream.late);
  ws_stream_flush(&r->stream);
  check_stream(r);
  check_drained(r);
}

/* The loop may have been held up, and the reply is there. */
static void on_time(struct ws_timer *t) {
  struct ws_redis *r = WS_LIST_ENTRY(t, struct ws_redis, timer);
  if (r->state == WS_REDIS_LOST) return;
  if (r->loop->now < due(r)) {
    set_timer(r);
  } else if (r->state == WS_REDIS_DIALING) {
    ws_redis_fail(r, "timeout");
  } else if (is_waiting(r) &&
             r->loop->now >= r->progress + r->settings->timeout) {
    if (!read_some(r)) ws_redis_fail(r, "timeout");
    if (r->state != WS_REDIS_LOST && !r->timer.index) set_timer(r);
  } else {
    ping(r);
    if (r->state != WS_REDIS_LOST) set_timer(r);
  }
}

static void on_dialed(struct ws_dial *d, int fd) {
  struct ws_redis *r = WS_LIST_ENTRY(d, struct ws_redis, dial);
  const struct ws_redis_settings *s = r->settings;
  if (fd < 0) {
    ws_redis_fail(r, d->why);
    return;
  }
  ws_stream_init(&r->stream, r->loop, fd, on_ready, on_late);
  if (r->state == WS_REDIS_LOST) return;
  r->state = WS_REDIS_GREETING;
  ws_loop_watch(r->loop, &r->stream.watch, WS_READ | WS_QUIET);
  if (s->tls && !ws_stream_start_tls(&r->stream, s->tls, s->server_name))
    ws_redis_fail(r, "out of memory");
  else
    greet(r);
}

void ws_redis_start(struct ws_redis *r, struct ws_loop *loop,
                    const struct ws_redis_settings *settings,
                    const struct ws_redis_calls *calls, bool is_subscriber) {
  *r = (struct ws_redis){.loop = loop, .settled = r->settled};
  r->settings = settings;
  r->calls = calls;
  r->is_subscriber = is_subscriber;
  r->has_role = true;
  r->greeting = (struct ws_asked){.item = must_be_ok};
  r->naming = (struct ws_asked){.item = anything};
  r->ping = (struct ws_asked){.item = must_be_pong, .done = ping_done};
  r->role = (struct ws_asked){.item = on_role, .done = role_done};
  r->end.run = on_end;
  ws_list_init(&r->end.link);
  r->timer.fn = on_time;
  r->timer.is_quiet = true;
  r->resp.item = on_item;
  r->resp.done = on_done;
  r->dial.done = on_dialed;
  r->state = WS_REDIS_DIALING;
  r->progress = ws_loop_now(loop);
  if (!ws_resp_init(&r->resp, settings->max_reply)) {
    ws_redis_fail(r, "out of memory");
    return;
  }
  set_timer(r);
  ws_dial_start(&r->dial, loop, settings->host, settings->port, settings->path);
}
