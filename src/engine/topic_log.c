/* topic_log.c: what is published in a turn, framed once, and compressed once
 * for each kind of route that wants it so. */
#include "engine/topic_log.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/frame.h"

#define BLOCK_MIN (4 * 1024)
#define BLOCK (64 * 1024)
#define LOG_KEPT 512 /* entries that have room between turns */

/* Room for n bytes in the block that is being filled, or in a new one, as
 * large as what the turn has published so far. Those who hold the old one keep
 * it: each slow subscriber may hold one of which it takes little. */
static uint8_t *make_room(const struct ws_topics *ts, struct ws_block **block,
                          size_t n) {
  struct ws_block *c = *block;
  size_t cap = ts->log_bytes < BLOCK ? ts->log_bytes : BLOCK;
  if (cap < BLOCK_MIN) cap = BLOCK_MIN;
  if (cap < n) cap = n;
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

bool ws_topic_log_frame(struct ws_topics *ts, struct ws_part *part,
                        uint8_t opcode, struct ws_slice message) {
  if (message.n > SIZE_MAX - WS_FRAME_HEAD_MAX) return false;
  uint8_t *to = make_room(ts, &ts->plain, message.n + WS_FRAME_HEAD_MAX);
  if (!to) return false;
  size_t head = ws_frame_encode(to, opcode | WS_FIN, message.n, NULL);
  if (message.n) memcpy(to + head, message.p, message.n);
  take_part(part, ts->plain, opcode, head, message.n);
  return true;
}

/* Into `part`, which stays empty where it does not get smaller. */
static void pack(struct ws_topics *ts, struct ws_part *part,
                 const struct ws_part *plain,
                 const struct ws_deflate_level *level) {
  struct ws_deflate_pool *pool = &ts->server->loop->deflate;
  const uint8_t *data =
    plain->range.block->data + plain->range.off + plain->head;
  size_t len = plain->range.len - plain->head;
  uint8_t head[WS_FRAME_HEAD_MAX];
  uint8_t *to = make_room(ts, &ts->packed, len + sizeof head);
  if (!to) return;
  struct ws_deflater *d = ws_deflater_take(pool, level, WS_BITS_MAX, len);
  if (!d) return;
  size_t n = ws_deflater_whole(d, data, len, to, len);
  ws_deflater_give(pool, d);
  if (n == 0) return;
  uint8_t opcode = plain->first | WS_RSV1; /* RFC 7692 6.1 */
  size_t n_head = ws_frame_encode(head, opcode | WS_FIN, n, NULL);
  memmove(to + n_head, to, n);
  memcpy(to, head, n_head);
  take_part(part, ts->packed, opcode, n_head, n);
}

const struct ws_part *ws_topic_log_packed(struct ws_topics *ts,
                                          struct ws_entry *e,
                                          const struct ws_protocol_env *env) {
  const struct ws_deflate_level *l = &env->deflate_level;
  struct ws_packed *p = e->packed;
  while (p && (p->level.level != l->level || p->level.memory != l->memory))
    p = p->next;
  if (!p) {
    if (!(p = ws_mem_zero(sizeof *p))) return NULL;
    p->level = *l;
    p->next = e->packed;
    e->packed = p;
    pack(ts, &p->part, &e->plain, l);
  }
  return p->part.range.block ? &p->part : NULL;
}

static bool make_entry(struct ws_topics *ts) {
  size_t cap = ts->cap_log ? ts->cap_log * 2 : 16;
  if (ts->n_log < ts->cap_log) return true;
  struct ws_entry *log = ws_mem_resize(ts->log, cap * sizeof *log);
  if (!log) return false;
  ts->log = log;
  uint32_t *mine = ws_mem_resize(ts->mine, cap * sizeof *mine);
  if (!mine) return false;
  ts->mine = mine;
  ts->cap_log = cap;
  return true;
}

struct ws_entry *ws_topic_log_append(struct ws_topics *ts, struct ws_topic *t,
                                     const struct ws_bytes *bytes) {
  if (!make_entry(ts)) return NULL;
  struct ws_entry *e = &ts->log[ts->n_log];
  *e = (struct ws_entry){.topic = t, .before = WS_NO_ENTRY};
  if (bytes->ready) {
    e->plain = *bytes->ready;
    e->plain.range.block->refs++;
  } else if (!ws_topic_log_frame(ts, &e->plain, bytes->opcode,
                                 bytes->message)) {
    return NULL;
  }
  if (t->epoch == ts->epoch) e->before = t->last;
  t->epoch = ts->epoch;
  t->last = (uint32_t)ts->n_log++;
  ts->log_bytes += e->plain.range.len;
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

static void free_entry(struct ws_entry *e) {
  ws_mem_free(e->others);
  ws_block_release(e->plain.range.block);
  while (e->packed) {
    struct ws_packed *p = e->packed;
    e->packed = p->next;
    ws_block_release(p->part.range.block);
    ws_mem_free(p);
  }
}

static void free_log(struct ws_topics *ts) {
  ws_mem_free(ts->log);
  ws_mem_free(ts->mine);
  ts->log = NULL;
  ts->mine = NULL;
  ts->cap_log = 0;
}

void ws_topic_log_clear(struct ws_topics *ts) {
  for (size_t i = 0; i < ts->n_log; i++) free_entry(&ts->log[i]);
  ts->n_log = 0;
  ts->log_bytes = 0;
  ts->epoch++;
  if (ts->cap_log > LOG_KEPT) free_log(ts);
  reuse(&ts->plain);
  reuse(&ts->packed);
  ws_topics_sweep(ts);
}

void ws_topic_log_free(struct ws_topics *ts) {
  ws_topic_log_clear(ts);
  ws_block_release(ts->plain);
  ws_block_release(ts->packed);
  free_log(ts);
}

static int by_number(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* By way of its topics or of the log, whichever is shorter: neither many
 * topics nor many messages to others cost it much. */
size_t ws_topic_log_gather(struct ws_topics *ts, const struct ws_member *m,
                           size_t from) {
  size_t n = 0, n_topics = 0;
  if (ts->n_log - from <= m->cap) {
    for (size_t i = from; i < ts->n_log; i++)
      if (ws_member_find(m, ts->log[i].topic)) ts->mine[n++] = (uint32_t)i;
    return n;
  }
  for (size_t i = 0; i < m->cap; i++) {
    const struct ws_topic *t = m->slots[i] ? m->slots[i]->topic : NULL;
    if (!t || t->epoch != ts->epoch || t->last < from) continue;
    n_topics++;
    uint32_t k = t->last;
    for (; k != WS_NO_ENTRY && k >= from; k = ts->log[k].before)
      ts->mine[n++] = k;
  }
  if (n_topics > 1) {
    qsort(ts->mine, n, sizeof *ts->mine, by_number);
    return n;
  }
  for (size_t i = 0; i < n / 2; i++) {
    uint32_t k = ts->mine[i];
    ts->mine[i] = ts->mine[n - 1 - i];
    ts->mine[n - 1 - i] = k;
  }
  return n;
}
