/* publish.c: how what is published in a turn reaches the subscribers.
 *
 * A subscriber that keeps up is not looked at when something is published: at
 * the end of the turn it takes, from where it was in the log, all that is its
 * own, which for a topic alone is one run of bytes. One whose bytes the kernel
 * refuses is slow: it is looked at each time, for its queue may be full, and
 * then the message is not for it. */
#include "engine/publish.h"

#include <stdlib.h>
#include <string.h>

#include "engine/conn_send.h"
#include "engine/topic_log.h"
#include "protocol/compression.h"

#define PUT_OFF (4 * WS_TURN_BYTES)
#define LOG_BYTES (256 * 1024) /* more is not kept back to the turn's end */
#define LOG_ENTRIES 4096

/* ---- to the subscribers ---- */

static size_t seen(const struct ws_topics *ts, const struct ws_member *m) {
  return m->epoch == ts->epoch ? m->at : 0;
}

static void set_seen(const struct ws_topics *ts, struct ws_member *m) {
  m->epoch = ts->epoch;
  m->at = ts->n_log;
}

static bool is_among(const struct ws_entry *e, uint64_t id) {
  size_t from = 0, to = e->n_others;
  while (from < to) {
    size_t mid = from + (to - from) / 2;
    if (e->others[mid] < id)
      from = mid + 1;
    else
      to = mid;
  }
  return from < e->n_others && e->others[from] == id;
}

static bool is_left_out(const struct ws_entry *e, uint64_t id) {
  return e->except == id || (e->others && is_among(e, id));
}

static void write_ranges(struct ws_conn *c, const struct ws_range *r, int n) {
  uint64_t most = c->route->options.max_queued;
  if (n == 0 || c->stream.error) return;
  if (most > PUT_OFF) most = PUT_OFF;
  if (!ws_stream_share(&c->stream, r, n, (size_t)most)) {
    ws_conn_cut(c, 1006, "out of memory");
    return;
  }
  if (c->stream.queued > c->route->options.high_water) c->was_high = true;
}

static void count_sent(struct ws_conn *c, const struct ws_part *p) {
  c->route->traffic.messages_out++;
  c->route->traffic.bytes_out += p->range.len - p->head;
}

/* Which form of the message it gets. The packed one was made without a window
 * of this connection: that suits any peer whose window is as long as the
 * message, and our own compressor has to start afresh, for the peer's window
 * moves on without it. */
static const struct ws_part *choose(struct ws_conn *c, struct ws_entry *e) {
  struct ws_protocol *p = &c->protocol;
  size_t len = e->plain.range.len - e->plain.head;
  if (!ws_compression_is_due(p, len) ||
      (p->extension.server_bits < WS_BITS_MAX &&
       len > (size_t)1 << p->extension.server_bits))
    return &e->plain;
  const struct ws_part *small =
    ws_topic_log_packed(c->route->server->topics, e, p->env);
  if (!small) return &e->plain;
  ws_compression_forget(p);
  return small;
}

static bool extend(struct ws_range *r, const struct ws_range *next) {
  if (r->block != next->block || r->off + r->len != next->off) return false;
  r->len += next->len;
  return true;
}

static void make_run(struct ws_topics *ts, const struct ws_member *m,
                     size_t from) {
  struct ws_run *r = &ts->run;
  size_t n_mine = ws_topic_log_gather(ts, m, from);
  *r = (struct ws_run){.topic = m->slots[0]->topic,
                       .epoch = ts->epoch,
                       .from = from,
                       .to = ts->n_log};
  for (size_t i = 0; i < n_mine && r->n >= 0; i++) {
    const struct ws_entry *e = &ts->log[ts->mine[i]];
    const struct ws_range *range = &e->plain.range;
    r->has_except = r->has_except || e->except || e->others;
    r->messages++;
    r->bytes += range->len - e->plain.head;
    if (r->n > 0 && extend(&r->ranges[r->n - 1], range)) continue;
    if (r->n == WS_RANGES_MAX)
      r->n = -1;
    else
      r->ranges[r->n++] = *range;
  }
}

static bool is_any_left_out(const struct ws_topics *ts, size_t from,
                            uint64_t id) {
  for (uint32_t k = ts->run.topic->last; k != WS_NO_ENTRY && k >= from;
       k = ts->log[k].before)
    if (is_left_out(&ts->log[k], id)) return true;
  return false;
}

/* A member of one topic, who does not compress: what it gets is what the one
 * before it got. False where it is not that simple. */
static bool take_run(struct ws_topics *ts, struct ws_conn *c,
                     const struct ws_member *m, size_t from) {
  struct ws_run *r = &ts->run;
  if (m->cap != 1 || m->n != 1 || c->protocol.extension.is_on) return false;
  if (r->topic != m->slots[0]->topic || r->epoch != ts->epoch ||
      r->from != from || r->to != ts->n_log)
    make_run(ts, m, from);
  if (r->n < 0 || (r->has_except && is_any_left_out(ts, from, c->id)))
    return false;
  c->route->traffic.messages_out += r->messages;
  c->route->traffic.bytes_out += r->bytes;
  write_ranges(c, r->ranges, r->n);
  if (c->ahead) ws_publish_note(c);
  return true;
}

void ws_publish_catch_up(struct ws_conn *c) {
  struct ws_topics *ts = c->route->server->topics;
  struct ws_member *m = ws_member_of(c);
  struct ws_range ranges[WS_RANGES_MAX];
  size_t from = seen(ts, m);
  int n = 0;
  if (from == ts->n_log) return;
  set_seen(ts, m); /* the writing below comes back here */
  if (take_run(ts, c, m, from)) return;
  size_t n_mine = ws_topic_log_gather(ts, m, from);
  for (size_t i = 0; i < n_mine && c->ahead && !c->stream.error; i++) {
    struct ws_entry *e = &ts->log[ts->mine[i]];
    if (is_left_out(e, c->id)) continue;
    const struct ws_part *p = choose(c, e);
    count_sent(c, p);
    if (n > 0 && extend(&ranges[n - 1], &p->range)) continue;
    if (n == WS_RANGES_MAX) {
      write_ranges(c, ranges, n);
      n = 0;
    }
    ranges[n++] = p->range;
  }
  write_ranges(c, ranges, n);
  if (c->ahead) ws_publish_note(c);
}

void ws_publish_note(struct ws_conn *c) {
  struct ws_topics *ts = c->route->server->topics;
  struct ws_member *m = ws_member_of(c);
  bool was_slow = ws_list_is_linked(&m->slow);
  if ((c->stream.is_blocked || ws_conn_has_behind(c)) == was_slow) return;
  if (was_slow) {
    ws_list_remove(&m->slow);
    ts->n_slow--;
    set_seen(ts, m); /* it was given what was its own at once */
  } else {
    ws_list_append(&ts->slow, &m->slow);
    ts->n_slow++;
    ws_publish_catch_up(c);
  }
}

static void flush(struct ws_topics *ts) {
  for (size_t i = 0; i < ts->n_log; i++) {
    struct ws_topic *t = ts->log[i].topic;
    struct ws_list *e, *next;
    if (t->flushed == ts->epoch) continue;
    t->flushed = ts->epoch;
    for (e = t->members.next; e != &t->members; e = next) {
      next = e->next;
      ws_publish_catch_up(
        WS_LIST_ENTRY(e, struct ws_subscription, link)->member->conn);
    }
  }
  ws_topic_log_clear(ts);
}

void ws_publish_late(struct ws_late *late) {
  flush(WS_LIST_ENTRY(late, struct ws_topics, late));
}

/* ---- publishing ---- */

/* It may go: it waits unframed. */
static enum ws_err give_fleeting(struct ws_conn *c, const struct ws_entry *e,
                                 const struct ws_fleet *how) {
  const struct ws_range *r = &e->plain.range;
  struct ws_slice message = {(char *)r->block->data + r->off + e->plain.head,
                             r->len - e->plain.head};
  return ws_conn_send_fleeting(c, e->plain.first, message, how);
}

static enum ws_err give(struct ws_topics *ts, struct ws_conn *c,
                        struct ws_entry *e) {
  if (ts->fleet) return give_fleeting(c, e, ts->fleet);
  const struct ws_part *p = choose(c, e);
  const struct ws_range *r = &p->range;
  if (c->stream.error) return WS_ERR_CLOSED;
  if (ws_conn_has_behind(c))
    return ws_conn_send_behind(c, p->first, r->block->data + r->off + p->head,
                               r->len - p->head);
  if (ws_conn_is_full(c, r->len)) return ws_conn_overflow(c);
  count_sent(c, p);
  write_ranges(c, r, 1);
  return c->ahead && !c->stream.error ? WS_OK : WS_ERR_CLOSED;
}

void ws_publish_give(struct ws_conn *c, const struct ws_part *p) {
  const struct ws_range *r = &p->range;
  const uint8_t *payload = r->block->data + r->off + p->head;
  if (c->stream.error) return;
  if (!ws_conn_has_behind(c)) {
    count_sent(c, p);
    write_ranges(c, r, 1);
  } else if (ws_conn_send_behind(c, p->first, payload, r->len - p->head) ==
             WS_ERR_FULL) {
    ws_conn_fail(c, 1008, "slow consumer");
  }
  if (c->ahead) ws_publish_note(c);
}

static void count_miss(struct ws_conn *c) {
  struct ws_rare *r = ws_conn_rare(c);
  if (r) r->missed++;
  c->route->traffic.dropped++;
}

/* Is the entry, which is the last, not for this slow one after all? */
static bool is_lost(struct ws_topics *ts, struct ws_member *m,
                    struct ws_entry *e) {
  struct ws_conn *c = m->conn;
  set_seen(ts, m);
  if (is_left_out(e, c->id)) return false;
  enum ws_err err = give(ts, c, e);
  if (err == WS_ERR_FULL) count_miss(c);
  return err != WS_OK;
}

/* How many slow ones lose it. Those of the topic are found among the slow or
 * among its members, whichever are fewer. */
static int64_t tell_slow(struct ws_topics *ts, struct ws_topic *t) {
  struct ws_entry *e = &ts->log[ts->n_log - 1];
  struct ws_list *l, *next;
  int64_t lost = 0;
  if (ts->n_slow <= t->n) {
    for (l = ts->slow.next; l != &ts->slow; l = next) {
      struct ws_member *m = WS_LIST_ENTRY(l, struct ws_member, slow);
      next = l->next;
      if (ws_member_find(m, t)) lost += is_lost(ts, m, e);
    }
    return lost;
  }
  for (l = t->members.next; l != &t->members; l = next) {
    struct ws_subscription *sub =
      WS_LIST_ENTRY(l, struct ws_subscription, link);
    next = l->next;
    if (ws_list_is_linked(&sub->member->slow))
      lost += is_lost(ts, sub->member, e);
  }
  return lost;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* The ids of those that have subscribed, sorted, each once. False without
 * memory. */
static bool leave_out(struct ws_except except, const struct ws_topic *t,
                      uint64_t **ids, size_t *n) {
  *ids = NULL;
  *n = 0;
  if (except.n == 0) return true;
  if (!(*ids = ws_mem_alloc(except.n * sizeof **ids))) return false;
  for (size_t i = 0; i < except.n; i++) {
    const struct ws_conn *c = except.conns[i];
    if (c->ahead && ws_member_find(ws_member_of(c), t)) (*ids)[(*n)++] = c->id;
  }
  qsort(*ids, *n, sizeof **ids, compare);
  size_t kept = 0;
  for (size_t i = 0; i < *n; i++)
    if (kept == 0 || (*ids)[kept - 1] != (*ids)[i]) (*ids)[kept++] = (*ids)[i];
  *n = kept;
  return true;
}

/* The last entry of the log is complete: how many slow ones lose it. */
static int64_t appended(struct ws_topics *ts, struct ws_topic *t) {
  int64_t lost = ts->n_slow ? tell_slow(ts, t) : 0;
  if (!ts->server->loop->in_turn || ts->log_bytes >= LOG_BYTES ||
      ts->n_log >= LOG_ENTRIES)
    flush(ts);
  else
    ws_loop_late(ts->server->loop, &ts->late);
  return lost;
}

int64_t ws_publish(struct ws_topics *ts, struct ws_except except,
                   struct ws_topic *t, const struct ws_bytes *bytes) {
  uint64_t one = 0, *ids = NULL;
  size_t n_ids = 0;
  if (except.n == 1) { /* the usual case needs no memory */
    const struct ws_conn *c = except.conns[0];
    n_ids = c->ahead && ws_member_find(ws_member_of(c), t);
    if (n_ids) one = c->id;
  } else if (!leave_out(except, t, &ids, &n_ids)) {
    return -1;
  }
  int64_t n = (int64_t)t->n - (int64_t)n_ids;
  struct ws_entry *e = n ? ws_topic_log_append(ts, t, bytes) : NULL;
  if (!e) {
    ws_mem_free(ids);
    return n ? -1 : 0;
  }
  e->others = ids;
  e->n_others = n_ids;
  e->except = one;
  return n - appended(ts, t);
}

bool ws_publish_foreign(struct ws_topics *ts, struct ws_ids except,
                        struct ws_topic *t, const struct ws_bytes *bytes) {
  uint64_t *ids = NULL;
  if (t->n == 0) return true;
  if (except.n > 1) {
    size_t size = except.n * sizeof *ids;
    if (!(ids = ws_mem_alloc(size))) return false;
    memcpy(ids, except.list, size);
  }
  struct ws_entry *e = ws_topic_log_append(ts, t, bytes);
  if (!e) {
    ws_mem_free(ids);
    return false;
  }
  e->others = ids;
  e->n_others = ids ? except.n : 0;
  if (except.n == 1) e->except = except.list[0];
  appended(ts, t);
  return true;
}
