/* publish.c: the log of what is published in a turn, and how it reaches the
 * subscribers.
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
#include "engine/topic_table.h"
#include "protocol/compression.h"
#include "protocol/frame.h"

#define BLOCK (64 * 1024)
#define LOG_BYTES (256 * 1024) /* more is not kept back to the turn's end */

/* ---- the log ---- */

/* Room for n bytes in the block that is being filled, or in a new one. Those
 * who hold the old one keep it. */
static uint8_t *make_room(struct ws_block **block, size_t n) {
  struct ws_block *c = *block;
  size_t cap = n > BLOCK ? n : BLOCK;
  if (!c || c->cap - c->len < n) {
    if (n > SIZE_MAX - sizeof *c) return NULL;
    if (!(c = ws_mem_alloc(sizeof *c + cap))) return NULL;
    *c = (struct ws_block){.refs = 1, .cap = cap};
    ws_block_release(*block);
    *block = c;
  }
  return c->data + c->len;
}

static void take_part(struct ws_part *part, struct ws_block *c, uint8_t first,
                      size_t head, size_t len) {
  *part = (struct ws_part){
    .range = {c, c->len, head + len}, .first = first, .head = (uint8_t)head};
  c->refs++;
  c->len += head + len;
}

static bool add_plain(struct ws_topics *ts, struct ws_part *part,
                      uint8_t opcode, struct ws_slice message) {
  uint8_t *to = make_room(&ts->plain, message.n + WS_FRAME_HEAD_MAX);
  if (!to) return false;
  size_t head = ws_frame_encode(to, opcode | WS_FIN, message.n, NULL);
  if (message.n) memcpy(to + head, message.p, message.n);
  take_part(part, ts->plain, opcode, head, message.n);
  return true;
}

/* Without memory, or where it does not get smaller, there is the plain one. */
static void add_packed(struct ws_topics *ts, struct ws_part *part,
                       uint8_t opcode, struct ws_slice message) {
  const struct ws_protocol_env *env = &ts->server->route.options.protocol;
  struct ws_deflate_pool *pool = &ts->server->loop->deflate;
  struct ws_deflater *d;
  uint8_t head[WS_FRAME_HEAD_MAX];
  uint8_t *to = make_room(&ts->packed, message.n + sizeof head);
  if (!to) return;
  d = ws_deflater_take(pool, &env->deflate_level, WS_BITS_MAX, message.n);
  if (!d) return;
  size_t n = ws_deflater_whole(d, message.p, message.n, to, message.n);
  ws_deflater_give(pool, d);
  if (n == 0) return;
  opcode |= WS_RSV1; /* RFC 7692 6.1 */
  size_t n_head = ws_frame_encode(head, opcode | WS_FIN, n, NULL);
  memmove(to + n_head, to, n);
  memcpy(to, head, n_head);
  take_part(part, ts->packed, opcode, n_head, n);
}

static bool make_entry(struct ws_topics *ts) {
  size_t cap = ts->cap_log ? ts->cap_log * 2 : 16;
  if (ts->n_log < ts->cap_log) return true;
  struct ws_entry *log = ws_mem_resize(ts->log, cap * sizeof *log);
  if (!log) return false;
  ts->log = log;
  ts->cap_log = cap;
  return true;
}

static struct ws_entry *append(struct ws_topics *ts, uint8_t opcode,
                               struct ws_slice message) {
  const struct ws_protocol_env *env = &ts->server->route.options.protocol;
  if (message.n > SIZE_MAX - WS_FRAME_HEAD_MAX || !make_entry(ts)) return NULL;
  struct ws_entry *e = &ts->log[ts->n_log];
  *e = (struct ws_entry){.except = 0, .others = NULL};
  if (!add_plain(ts, &e->plain, opcode, message)) return NULL;
  if (ts->n_packed && message.n >= env->deflate_threshold)
    add_packed(ts, &e->packed, opcode, message);
  ts->n_log++;
  ts->log_bytes += e->plain.range.len + e->packed.range.len;
  return e;
}

/* A block that nobody holds any more is filled again. */
static void reuse(struct ws_block **block) {
  struct ws_block *c = *block;
  if (!c) return;
  c->len = c->refs > 1 ? c->len : 0;
  if (c->refs == 1 && c->cap <= BLOCK) return;
  ws_block_release(c);
  *block = NULL;
}

static void clear(struct ws_topics *ts) {
  for (size_t i = 0; i < ts->n_log; i++) {
    ws_block_release(ts->log[i].plain.range.block);
    ws_block_release(ts->log[i].packed.range.block);
    ws_mem_free(ts->log[i].others);
  }
  ts->n_log = 0;
  ts->log_bytes = 0;
  ts->epoch++;
  reuse(&ts->plain);
  reuse(&ts->packed);
  ws_topics_sweep(ts);
}

void ws_publish_free(struct ws_topics *ts) {
  clear(ts);
  ws_block_release(ts->plain);
  ws_block_release(ts->packed);
  ws_mem_free(ts->log);
}

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

static bool is_for(const struct ws_member *m, const struct ws_entry *e) {
  uint64_t id = m->conn->id;
  if (e->except == id || (e->others && is_among(e, id))) return false;
  return ws_member_find(m, e->topic);
}

static void write_ranges(struct ws_conn *c, const struct ws_range *r, int n) {
  if (n == 0 || c->stream.error) return;
  if (!ws_stream_share(&c->stream, r, n)) {
    ws_conn_cut(c, 1006, "out of memory");
    return;
  }
  if (c->stream.queued > c->options->high_water) c->was_high = true;
}

static void count_sent(struct ws_conn *c, const struct ws_part *p) {
  c->route->traffic.messages_out++;
  c->route->traffic.bytes_out += p->range.len - p->head;
}

/* Which form of the message it gets. The packed one was made without a window
 * of this connection: that suits any peer whose window is as long as the
 * message, and our own compressor has to start afresh, for the peer's window
 * moves on without it. */
static const struct ws_part *choose(struct ws_conn *c,
                                    const struct ws_entry *e) {
  struct ws_protocol *p = &c->protocol;
  size_t len = e->plain.range.len - e->plain.head;
  if (!e->packed.range.block || !ws_compression_is_due(p, len) ||
      (p->extension.server_bits < WS_BITS_MAX &&
       len > (size_t)1 << p->extension.server_bits))
    return &e->plain;
  ws_compression_forget(p);
  return &e->packed;
}

static bool extend(struct ws_range *r, const struct ws_range *next) {
  if (r->block != next->block || r->off + r->len != next->off) return false;
  r->len += next->len;
  return true;
}

void ws_publish_catch_up(struct ws_conn *c) {
  struct ws_topics *ts = c->server->topics;
  struct ws_member *m = ws_member_of(c);
  struct ws_range ranges[WS_RANGES_MAX];
  size_t i = seen(ts, m);
  int n = 0;
  if (i == ts->n_log) return;
  set_seen(ts, m); /* the writing below comes back here */
  for (; i < ts->n_log && c->ahead && !c->stream.error; i++) {
    const struct ws_entry *e = &ts->log[i];
    if (!is_for(m, e)) continue;
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
  struct ws_member *m = ws_member_of(c);
  bool was_slow = ws_list_is_linked(&m->slow);
  if ((c->stream.is_blocked || c->has_writer) == was_slow) return;
  if (was_slow) {
    ws_list_remove(&m->slow);
  } else {
    ws_list_append(&c->server->topics->slow, &m->slow);
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
  clear(ts);
}

void ws_publish_late(struct ws_late *late) {
  flush(WS_LIST_ENTRY(late, struct ws_topics, late));
}

/* ---- publishing ---- */

static enum ws_err give(struct ws_conn *c, const struct ws_entry *e) {
  const struct ws_part *p = choose(c, e);
  const struct ws_range *r = &p->range;
  if (c->stream.error) return WS_ERR_CLOSED;
  if (c->has_writer)
    return ws_conn_send_behind(c, p->first, r->block->data + r->off + p->head,
                               r->len - p->head);
  if (ws_conn_is_full(c, r->len)) return ws_conn_overflow(c);
  count_sent(c, p);
  write_ranges(c, r, 1);
  return c->ahead && !c->stream.error ? WS_OK : WS_ERR_CLOSED;
}

static void count_miss(struct ws_conn *c) {
  struct ws_rare *r = ws_conn_rare(c);
  if (r) r->missed++;
  c->route->traffic.dropped++;
}

/* How many slow ones the entry, which is the last, is not for after all. */
static int64_t tell_slow(struct ws_topics *ts) {
  struct ws_list *l, *next;
  int64_t lost = 0;
  for (l = ts->slow.next; l != &ts->slow; l = next) {
    struct ws_member *m = WS_LIST_ENTRY(l, struct ws_member, slow);
    const struct ws_entry *e = &ts->log[ts->n_log - 1];
    next = l->next;
    bool is_its = is_for(m, e);
    set_seen(ts, m);
    struct ws_conn *c = m->conn;
    enum ws_err err = is_its ? give(c, e) : WS_OK;
    if (err == WS_ERR_FULL) count_miss(c);
    if (err != WS_OK) lost++;
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

int64_t ws_publish(struct ws_topics *ts, struct ws_except except,
                   struct ws_topic *t, uint8_t opcode,
                   struct ws_slice message) {
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
  struct ws_entry *e = n ? append(ts, opcode, message) : NULL;
  if (!e) {
    ws_mem_free(ids);
    return n ? -1 : 0;
  }
  e->topic = t;
  e->others = ids;
  e->n_others = n_ids;
  e->except = one;
  n -= tell_slow(ts);
  if (!ts->server->loop->in_turn || ts->log_bytes >= LOG_BYTES)
    flush(ts);
  else
    ws_loop_late(ts->server->loop, &ts->late);
  return n;
}
