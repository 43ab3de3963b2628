/* kept.c: the last messages of a topic, as frames in blocks of its own: its
 * live subscribers and those who come back are sent the same bytes.
 *
 * A block that others fill too would stay for as long as one message in it is
 * kept. So each topic has its own, a quarter of what it keeps long at most:
 * what is held in vain is at either end of the ring. */
#include "engine/kept.h"

#include <string.h>

#include "base/buf.h"
#include "protocol/frame.h"
#include "transport/random.h"

#define BLOCK_MAX (16 * 1024)
#define AHEAD_MAX (1024 * 1024) /* bytes of what came too early */
#define BESIDE (sizeof(struct ws_kept_message) + 24) /* bytes, of a message */

/* ---- rules ---- */

static bool matches(const struct ws_kept_rule *r, struct ws_slice name) {
  size_t n = r->pattern->len;
  return (r->is_prefix ? name.n >= n : name.n == n) &&
         memcmp(name.p, r->pattern->text, n) == 0;
}

static size_t rank(const struct ws_kept_rule *r) {
  return 2 * (size_t)r->pattern->len + !r->is_prefix;
}

struct ws_kept_rule *ws_kept_rule_of(const struct ws_kept_rules *rules,
                                     struct ws_slice name) {
  struct ws_kept_rule *best = NULL;
  if (name.p[0] == '\0') return NULL;
  for (size_t i = 0; i < rules->n; i++) {
    struct ws_kept_rule *r = &rules->list[i];
    if (matches(r, name) && (!best || rank(r) > rank(best))) best = r;
  }
  return best;
}

void ws_kept_rules_free(struct ws_kept_rules *rules) {
  for (size_t i = 0; i < rules->n; i++) ws_text_release(rules->list[i].pattern);
  ws_mem_free(rules->list);
  *rules = (struct ws_kept_rules){NULL, 0};
}

/* ---- forgetting ---- */

static struct ws_kept_message *nth(const struct ws_kept *k, uint32_t i) {
  uint32_t at = k->first + i;
  return &k->ring[at < k->cap ? at : at - k->cap];
}

static void drop_first(struct ws_kept *k) {
  struct ws_kept_message *m = nth(k, 0);
  size_t size = m->len + m->meta + BESIDE;
  ws_block_release(m->block);
  if (++k->first == k->cap) k->first = 0;
  k->n--;
  k->bytes -= size;
  k->rule->used -= size;
}

void ws_kept_clear(struct ws_kept *k) {
  while (k->n) drop_first(k);
  ws_block_release(k->block);
  k->block = NULL;
  ws_mem_free(k->ring);
  k->ring = NULL;
  k->cap = k->first = 0;
}

/* ---- what came too early ---- */

static struct ws_slice put(char **to, struct ws_slice bytes) {
  struct ws_slice copy = {*to, bytes.n};
  if (bytes.n) memcpy(*to, bytes.p, bytes.n);
  *to += bytes.n;
  return copy;
}

static size_t ahead_size(const struct ws_publication *p) {
  return sizeof(struct ws_ahead_message) + p->topic.n + p->epoch.n +
         p->message.n + p->meta.n;
}

bool ws_ahead_add(struct ws_kept *k, const struct ws_publication *p,
                  const uint64_t *ids, size_t n_ids) {
  size_t n = ahead_size(p);
  struct ws_ahead_message *m, **at = &k->ahead;
  if (k->ahead_bytes + n > AHEAD_MAX || !(m = ws_mem_zero(n))) return false;
  if (n_ids && !(m->ids = ws_mem_alloc(n_ids * sizeof *ids))) {
    ws_mem_free(m);
    return false;
  }
  char *to = m->data;
  m->what = *p;
  m->what.topic = put(&to, p->topic);
  m->what.epoch = put(&to, p->epoch);
  m->what.message = put(&to, p->message);
  m->what.meta = put(&to, p->meta);
  if (n_ids) memcpy(m->ids, ids, n_ids * sizeof *ids);
  m->n_ids = n_ids;
  while (*at) at = &(*at)->next;
  *at = m;
  k->ahead_bytes += n;
  return true;
}

struct ws_ahead_message *ws_ahead_take(struct ws_kept *k) {
  struct ws_ahead_message *m = k->ahead;
  if (!m) return NULL;
  k->ahead = m->next;
  k->ahead_bytes -= ahead_size(&m->what);
  return m;
}

void ws_ahead_free(struct ws_kept *k) {
  struct ws_ahead_message *m;
  while ((m = ws_ahead_take(k))) {
    ws_mem_free(m->ids);
    ws_mem_free(m);
  }
}

void ws_kept_free(struct ws_kept *k, struct ws_loop *loop) {
  if (!k) return;
  ws_kept_clear(k);
  ws_ahead_free(k);
  ws_list_remove(&k->link);
  k->rule->n--;
  ws_loop_timer_stop(loop, &k->timer);
  ws_mem_free(k);
}

bool ws_kept_renew(struct ws_kept *k, struct ws_loop *loop) {
  if (!ws_random_letters(loop, k->epoch, sizeof k->epoch)) return false;
  ws_kept_clear(k);
  k->top = 0;
  return true;
}

/* The rule's bytes are used up: those who were published to longest ago lose
 * what they have, this one its oldest. */
static void make_way(struct ws_kept *k, size_t size) {
  struct ws_kept_rule *r = k->rule;
  struct ws_list *e = r->topics.next;
  for (; r->used + size > r->bytes && e != &r->topics; e = e->next) {
    struct ws_kept *other = WS_LIST_ENTRY(e, struct ws_kept, link);
    if (other == k) break;
    ws_kept_clear(other);
  }
  while (k->n && r->used + size > r->bytes) drop_first(k);
}

/* ---- keeping ---- */

static bool grow(struct ws_kept *k) {
  uint32_t cap = k->cap ? k->cap * 2 : 4;
  if (k->n < k->cap) return true;
  if (cap > k->rule->size) cap = k->rule->size;
  if (cap <= k->n) return true; /* the oldest one goes */
  struct ws_kept_message *ring = ws_mem_alloc(cap * sizeof *ring);
  if (!ring) return false;
  for (uint32_t i = 0; i < k->n; i++) ring[i] = *nth(k, i);
  ws_mem_free(k->ring);
  k->ring = ring;
  k->cap = cap;
  k->first = 0;
  return true;
}

/* Room for n bytes in the block that is being filled, or in a new one. */
static struct ws_block *make_room(struct ws_kept *k, size_t n) {
  struct ws_block *b = k->block;
  size_t cap = k->bytes / 4;
  if (b && b->cap - b->len >= n) return b;
  if (cap > BLOCK_MAX) cap = BLOCK_MAX;
  if (cap < n) cap = n;
  if (!(b = ws_mem_alloc(sizeof *b + cap))) return NULL;
  *b = (struct ws_block){.refs = 1, .cap = cap};
  ws_block_release(k->block);
  k->block = b;
  return b;
}

static void take(struct ws_kept *k, struct ws_block *b,
                 const struct ws_publication *p, struct ws_part *part) {
  uint8_t *to = b->data + b->len;
  size_t head = ws_frame_encode(to, p->opcode | WS_FIN, p->message.n, NULL);
  size_t len = head + p->message.n;
  if (p->message.n) memcpy(to + head, p->message.p, p->message.n);
  if (p->meta.n) memcpy(to + len, p->meta.p, p->meta.n);
  *part = (struct ws_part){
    .range = {b, b->len, len}, .first = p->opcode, .head = (uint8_t)head};
  if (k->n == k->rule->size) drop_first(k);
  *nth(k, k->n) = (struct ws_kept_message){.block = b,
                                           .off = (uint32_t)b->len,
                                           .len = (uint32_t)len,
                                           .meta = (uint16_t)p->meta.n,
                                           .first = p->opcode,
                                           .head = (uint8_t)head};
  b->refs += 2; /* the ring's and the caller's */
  b->len += len + p->meta.n;
  k->n++;
  k->bytes += len + p->meta.n + BESIDE;
  k->rule->used += len + p->meta.n + BESIDE;
}

bool ws_kept_add(struct ws_kept *k, struct ws_publication *p,
                 struct ws_part *part) {
  struct ws_block *b;
  size_t n = WS_FRAME_HEAD_MAX + p->message.n + p->meta.n;
  if (p->message.n > UINT32_MAX / 2 || !grow(k) || !(b = make_room(k, n)))
    return false;
  make_way(k, n + BESIDE);
  take(k, b, p, part);
  if (k->rule->used > k->rule->bytes) drop_first(k); /* it alone is too long */
  p->is_kept = true;
  p->offset = ++k->top;
  p->epoch = ws_kept_epoch(k);
  ws_list_remove(&k->link);
  ws_list_append(&k->rule->topics, &k->link);
  return true;
}

bool ws_kept_at(const struct ws_kept *k, uint64_t offset,
                struct ws_publication *p, struct ws_part *part) {
  if (offset < ws_kept_first(k) || offset > k->top) return false;
  const struct ws_kept_message *m =
    nth(k, (uint32_t)(offset - ws_kept_first(k)));
  const char *frame = (const char *)m->block->data + m->off;
  *part = (struct ws_part){
    .range = {m->block, m->off, m->len}, .first = m->first, .head = m->head};
  *p = (struct ws_publication){.message = {frame + m->head, m->len - m->head},
                               .meta = {frame + m->len, m->meta},
                               .opcode = m->first,
                               .is_kept = true,
                               .offset = offset,
                               .epoch = ws_kept_epoch(k)};
  return true;
}
