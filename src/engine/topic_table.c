/* topic_table.c: topics by their names, and who subscribes to them. A topic
 * exists while somebody does, and as long as the turn's log names it. */
#include "engine/topic_table.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "engine/carrier.h"

#define BUCKETS_MIN 16

/* ---- by name ---- */

static struct ws_topic **bucket(const struct ws_topics *ts, uint64_t hash) {
  return &ts->buckets[hash & (ts->n_buckets - 1)];
}

static struct ws_slice name_of(const struct ws_topic *t) {
  return (struct ws_slice){t->name->text, t->name->len};
}

struct ws_topic *ws_topics_find(const struct ws_topics *ts,
                                struct ws_slice name) {
  if (!ts->n_buckets) return NULL;
  uint64_t hash = ws_hash(&ts->key, name.p, name.n);
  struct ws_topic *t = *bucket(ts, hash);
  for (; t; t = t->next) {
    if (t->hash == hash && ws_slice_equal(name_of(t), name)) return t;
  }
  return NULL;
}

/* Twice the buckets; without memory the chains grow instead. */
static bool grow(struct ws_topics *ts) {
  size_t n = ts->n_buckets ? ts->n_buckets * 2 : BUCKETS_MIN;
  struct ws_topic **old = ts->buckets, *t, *next;
  size_t n_old = ts->n_buckets;
  struct ws_topic **list = ws_mem_zero(n * sizeof(void *));
  if (!list) return n_old > 0;
  ts->buckets = list;
  ts->n_buckets = n;
  for (size_t i = 0; i < n_old; i++) {
    for (t = old[i]; t; t = next) {
      struct ws_topic **to = bucket(ts, t->hash);
      next = t->next;
      t->next = *to;
      *to = t;
    }
  }
  ws_mem_free(old);
  return true;
}

struct ws_topic *ws_topics_new_topic(void) {
  struct ws_topic *t = ws_mem_zero(sizeof *t);
  if (t) ws_list_init(&t->members);
  return t;
}

struct ws_topic *ws_topics_add(struct ws_topics *ts, struct ws_slice name) {
  assert(!ws_topics_find(ts, name));
  struct ws_topic *t;
  if (ts->n >= ts->n_buckets && !grow(ts)) return NULL;
  if (!(t = ws_topics_new_topic())) return NULL;
  if (!(t->name = ws_text_new(name))) {
    ws_mem_free(t);
    return NULL;
  }
  t->hash = ws_hash(&ts->key, name.p, name.n);
  t->next = *bucket(ts, t->hash);
  *bucket(ts, t->hash) = t;
  ts->n++;
  return t;
}

bool ws_topic_is_wanted(const struct ws_topic *t) {
  return t->n || ws_topic_views(t) || ws_topic_is_heard(t) ||
         (t->facets && t->facets->holds);
}

static bool is_needed(const struct ws_topic *t) {
  const struct ws_kept *k = ws_topic_kept(t);
  return ws_topic_is_wanted(t) || (k && k->is_held);
}

static void remove_topic(struct ws_topics *ts, struct ws_topic *t) {
  struct ws_topic *base = t->base;
  struct ws_topic **at = base ? &base->facets->views : bucket(ts, t->hash);
  while (*at != t) at = &(*at)->next;
  *at = t->next;
  if (!base) ts->n--;
  ws_text_release(t->name);
  if (t->facets) ws_kept_free(t->facets->kept, ts->server->loop);
  if (t->facets) ws_presence_free(t->facets->presence);
  ws_mem_free(t->facets);
  ws_mem_free(t);
  if (base) ws_topics_check_empty(ts, base);
}

/* What the log names has to stay: the address of a topic is what its entries
 * know of it. */
void ws_topics_check_empty(struct ws_topics *ts, struct ws_topic *t) {
  if (is_needed(t) || !t->name || t->is_leaving) return;
  if (ts->n_log == 0 && ts->pins == 0) {
    remove_topic(ts, t);
    return;
  }
  t->is_leaving = true;
  t->leaving = ts->leaving;
  ts->leaving = t;
}

void ws_topics_sweep(struct ws_topics *ts) {
  while (ts->leaving && ts->pins == 0) {
    struct ws_topic *t = ts->leaving;
    ts->leaving = t->leaving;
    t->is_leaving = false;
    if (!is_needed(t)) remove_topic(ts, t);
  }
}

void ws_topics_pin(struct ws_topics *ts) {
  ts->pins++;
}

void ws_topics_unpin(struct ws_topics *ts) {
  if (--ts->pins == 0 && ts->n_log == 0) ws_topics_sweep(ts);
}

/* ---- facets ---- */

struct ws_facets *ws_topic_facets(struct ws_topic *t) {
  if (t->facets || !(t->facets = ws_mem_zero(sizeof *t->facets)))
    return t->facets;
  ws_list_init(&t->facets->hearers);
  return t->facets;
}

struct ws_topic *ws_topic_view(const struct ws_topic *t, int view) {
  struct ws_topic *v = ws_topic_views(t);
  while (v && v->view != view) v = v->next;
  return v;
}

struct ws_topic *ws_topic_add_view(struct ws_topic *t, int view) {
  struct ws_topic *v = ws_topic_view(t, view);
  if (v || !ws_topic_facets(t) || !(v = ws_topics_new_topic())) return v;
  v->name = t->name;
  v->name->refs++;
  v->hash = t->hash + (uint64_t)(unsigned)view * 0x9e3779b97f4a7c15u;
  v->base = t;
  v->view = view;
  v->next = t->facets->views;
  t->facets->views = v;
  return v;
}

/* ---- what is published elsewhere ---- */

bool ws_topic_want(struct ws_topics *ts, struct ws_topic *t) {
  struct ws_server *s = ts->server;
  struct ws_carrier *carrier = s->carrier;
  struct ws_topic *base = t->base ? t->base : t;
  if (carrier && base->n_far == 0 && base->name &&
      !carrier->calls->want(carrier, s, name_of(base)))
    return false;
  base->n_far++;
  return true;
}

void ws_topic_unwant(struct ws_topics *ts, struct ws_topic *t) {
  struct ws_server *s = ts->server;
  struct ws_carrier *carrier = s->carrier;
  struct ws_topic *base = t->base ? t->base : t;
  if (--base->n_far || !carrier || !base->name) return;
  struct ws_kept *k = ws_topic_kept(base);
  if (k) {
    k->is_synced = k->is_asked = k->is_refused = false;
    k->is_new = true;
    k->reading = 0;
    ws_ahead_free(k);
  }
  carrier->calls->unwant(carrier, s, name_of(base));
}

/* ---- members ---- */

/* The slot of a topic, or an empty one where it would be; cap where all are
 * others'. */
static size_t place(const struct ws_member *m, const struct ws_topic *t) {
  size_t mask = m->cap - 1, at = (size_t)t->hash & mask;
  for (size_t i = 0; i < m->cap; i++, at = (at + 1) & mask)
    if (!m->slots[at] || m->slots[at]->topic == t) return at;
  return m->cap;
}

struct ws_subscription *ws_member_find(const struct ws_member *m,
                                       const struct ws_topic *t) {
  size_t at = place(m, t);
  return at < m->cap ? m->slots[at] : NULL;
}

/* Few fill their slots, many leave a quarter of them empty. */
static bool make_room(struct ws_member *m) {
  struct ws_subscription **old = m->slots;
  size_t n_old = m->cap, cap = n_old ? n_old * 2 : 1;
  if (m->n < (n_old < 4 ? n_old : n_old / 4 * 3)) return true;
  struct ws_subscription **slots = ws_mem_zero(cap * sizeof(void *));
  if (!slots) return false;
  m->slots = slots;
  m->cap = cap;
  for (size_t i = 0; i < n_old; i++)
    if (old[i]) slots[place(m, old[i]->topic)] = old[i];
  ws_mem_free(old);
  return true;
}

struct ws_subscription *ws_member_find_any(const struct ws_member *m,
                                           const struct ws_topic *t) {
  struct ws_subscription *sub = ws_member_find(m, t);
  const struct ws_topic *v = ws_topic_views(t);
  for (; v && !sub; v = v->next) sub = ws_member_find(m, v);
  return sub;
}

static struct ws_subscription *new_subscription(bool is_present) {
  size_t beside = is_present ? sizeof(struct ws_present *) : 0;
  struct ws_subscription *sub =
    ws_mem_alloc(sizeof(struct ws_subscription) + beside);
  if (sub && is_present) sub->present[0] = NULL;
  return sub;
}

struct ws_subscription *ws_member_extend(struct ws_member *m,
                                         struct ws_subscription *sub) {
  if (sub->is_present) return sub;
  struct ws_subscription *longer = new_subscription(true);
  if (!longer) return NULL;
  *longer = *sub;
  longer->is_present = true;
  longer->link.prev->next = longer->link.next->prev = &longer->link;
  m->slots[place(m, sub->topic)] = longer;
  ws_mem_free(sub);
  return longer;
}

bool ws_member_join(struct ws_member *m, struct ws_topic *t, bool is_here,
                    bool is_present) {
  struct ws_topics *ts = m->conn->route->server->topics;
  struct ws_subscription *sub = new_subscription(is_present);
  if (!sub || !make_room(m) || (!is_here && !ws_topic_want(ts, t))) {
    ws_mem_free(sub);
    return false;
  }
  m->slots[place(m, t)] = sub;
  m->n++;
  *sub = (struct ws_subscription){
    .topic = t, .member = m, .is_here = is_here, .is_present = is_present};
  ws_list_append(&t->members, &sub->link);
  t->n++;
  return true;
}

bool ws_subscription_widen(struct ws_subscription *sub) {
  struct ws_topics *ts = sub->member->conn->route->server->topics;
  if (sub->is_here && !ws_topic_want(ts, sub->topic)) return false;
  sub->is_here = false;
  return true;
}

static void end(struct ws_topics *ts, struct ws_subscription *sub) {
  struct ws_topic *t = sub->topic;
  if (sub->is_present && sub->present[0])
    ws_presence_leave(sub->present[0], &ts->changes);
  if (!sub->is_here) ws_topic_unwant(ts, t);
  ws_list_remove(&sub->link);
  ws_mem_free(sub);
  t->n--;
  ws_topics_check_empty(ts, t);
}

/* Those behind an empty slot that are not where they would be first move up,
 * so that nobody is looked for in vain. */
static void close_gap(struct ws_member *m, size_t gap) {
  size_t mask = m->cap - 1, at = gap;
  for (size_t i = 1; i < m->cap; i++) {
    at = (at + 1) & mask;
    struct ws_subscription *sub = m->slots[at];
    if (!sub) return;
    size_t first = (size_t)sub->topic->hash & mask;
    if (((at - first) & mask) < ((at - gap) & mask)) continue;
    m->slots[gap] = sub;
    m->slots[at] = NULL;
    gap = at;
  }
}

void ws_member_part(struct ws_topics *ts, struct ws_member *m,
                    const struct ws_topic *t) {
  size_t at = place(m, t);
  struct ws_subscription *sub = m->slots[at];
  m->slots[at] = NULL;
  m->n--;
  close_gap(m, at);
  end(ts, sub);
}

void ws_member_part_all(struct ws_topics *ts, struct ws_member *m) {
  for (size_t i = 0; i < m->cap; i++)
    if (m->slots[i]) end(ts, m->slots[i]);
  ws_mem_free(m->slots);
  m->slots = NULL;
  m->n = m->cap = 0;
}
