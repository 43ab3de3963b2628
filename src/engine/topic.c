/* topic.c: topics and who subscribes to them. A topic exists while somebody
 * does, and as long as the turn's log names it. */
#include "engine/topic.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"

#define BUCKETS_MIN 16

struct ws_topics *ws_topics_of(struct ws_server *s) {
  struct ws_topics *ts = s->topics;
  if (ts) return ts;
  if (!(ts = ws_mem_zero(sizeof *ts))) return NULL;
  struct ws_io *io = s->loop->io;
  if (io->ops->random(io, &ts->key, sizeof ts->key) < 0) {
    ws_mem_free(ts);
    return NULL;
  }
  ts->server = s;
  ts->epoch = 1;
  ts->late.run = ws_publish_late;
  ws_list_init(&ts->late.link);
  ws_list_init(&ts->slow);
  s->topics = ts;
  return ts;
}

/* ---- the table ---- */

static struct ws_topic **bucket(const struct ws_topics *ts, uint64_t hash) {
  return &ts->buckets[hash & (ts->n_buckets - 1)];
}

struct ws_topic *ws_topic_find(const struct ws_topics *ts,
                               struct ws_slice name) {
  if (!ts->n_buckets) return NULL;
  uint64_t hash = ws_hash(&ts->key, name.p, name.n);
  struct ws_topic *t = *bucket(ts, hash);
  for (; t; t = t->next) {
    struct ws_slice its = {t->name->text, t->name->len};
    if (t->hash == hash && ws_slice_equal(its, name)) return t;
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

static struct ws_topic *new_topic(void) {
  struct ws_topic *t = ws_mem_zero(sizeof *t);
  if (t) ws_list_init(&t->members);
  return t;
}

static struct ws_topic *add_topic(struct ws_topics *ts, struct ws_slice name) {
  struct ws_topic *t;
  if (ts->n >= ts->n_buckets && !grow(ts)) return NULL;
  if (!(t = new_topic())) return NULL;
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

static void remove_topic(struct ws_topics *ts, struct ws_topic *t) {
  struct ws_topic **at = bucket(ts, t->hash);
  while (*at != t) at = &(*at)->next;
  *at = t->next;
  ts->n--;
  ws_text_release(t->name);
  ws_mem_free(t);
}

/* Nobody subscribes any more. What the log names has to stay: the address of
 * a topic is what its entries know of it. */
static void left_empty(struct ws_topics *ts, struct ws_topic *t) {
  if (!t->name) return;
  if (ts->n_log == 0)
    remove_topic(ts, t);
  else
    ts->has_empty = true;
}

void ws_topics_sweep(struct ws_topics *ts) {
  struct ws_topic *t, *next;
  if (!ts->has_empty) return;
  ts->has_empty = false;
  for (size_t i = 0; i < ts->n_buckets; i++) {
    for (t = ts->buckets[i]; t; t = next) {
      next = t->next;
      if (t->n == 0) remove_topic(ts, t);
    }
  }
}

/* ---- members ---- */

static size_t place(const struct ws_member *m, const struct ws_topic *t) {
  size_t first = 0, end = m->n;
  while (first < end) {
    size_t middle = first + (end - first) / 2;
    if ((uintptr_t)m->list[middle]->topic < (uintptr_t)t)
      first = middle + 1;
    else
      end = middle;
  }
  return first;
}

struct ws_subscription *ws_topic_of_member(const struct ws_member *m,
                                           const struct ws_topic *t) {
  size_t at = place(m, t);
  return at < m->n && m->list[at]->topic == t ? m->list[at] : NULL;
}

static struct ws_member *member_of(struct ws_topics *ts, struct ws_conn *c) {
  struct ws_member *m = c->member;
  if (m) return m;
  if (!(m = ws_mem_zero(sizeof *m))) return NULL;
  m->conn = c;
  m->epoch = ts->epoch;
  m->at = ts->n_log;
  ws_list_init(&m->slow);
  ts->n_packed += c->protocol.extension.is_on;
  c->member = m;
  return m;
}

static bool make_room(struct ws_member *m) {
  size_t cap = m->cap ? m->cap * 2 : 1;
  struct ws_subscription **list;
  if (m->n < m->cap) return true;
  list = ws_mem_resize(m->list, cap * sizeof(void *));
  if (!list) return false;
  m->list = list;
  m->cap = cap;
  return true;
}

static void forget_member(struct ws_conn *c) {
  c->server->topics->n_packed -= c->protocol.extension.is_on;
  ws_list_remove(&c->member->slow);
  ws_mem_free(c->member->list);
  ws_mem_free(c->member);
  c->member = NULL;
}

static bool join(struct ws_topics *ts, struct ws_conn *c, struct ws_topic *t) {
  struct ws_member *m = member_of(ts, c);
  struct ws_subscription *sub = ws_mem_alloc(sizeof *sub);
  if (!m || !sub || !make_room(m)) {
    ws_mem_free(sub);
    if (m && m->n == 0) forget_member(c);
    return false;
  }
  size_t at = place(m, t);
  memmove(m->list + at + 1, m->list + at, (m->n - at) * sizeof(void *));
  m->list[at] = sub;
  m->n++;
  *sub = (struct ws_subscription){.topic = t, .member = m};
  ws_list_append(&t->members, &sub->link);
  t->n++;
  return true;
}

static void part(struct ws_topics *ts, struct ws_subscription *sub) {
  struct ws_topic *t = sub->topic;
  ws_list_remove(&sub->link);
  ws_mem_free(sub);
  if (--t->n == 0) left_empty(ts, t);
}

static bool can_get(const struct ws_conn *c) {
  return c->server && c->state == WS_CONN_OPEN && !c->is_close_sent;
}

enum ws_err ws_topic_subscribe(struct ws_conn *c, struct ws_slice name) {
  if (!can_get(c)) return WS_ERR_CLOSED;
  struct ws_topics *ts = ws_topics_of(c->server);
  if (!ts) return WS_ERR_MEMORY;
  struct ws_topic *t = ws_topic_find(ts, name);
  if (t && c->member && ws_topic_of_member(c->member, t)) return WS_OK;
  if (!t && !(t = add_topic(ts, name))) return WS_ERR_MEMORY;
  if (c->member) ws_topic_catch_up(c);
  if (can_get(c) && join(ts, c, t)) {
    ws_topic_note(c);
    return WS_OK;
  }
  if (t->n == 0) left_empty(ts, t);
  return can_get(c) ? WS_ERR_MEMORY : WS_ERR_CLOSED;
}

bool ws_topic_unsubscribe(struct ws_conn *c, struct ws_slice name) {
  struct ws_topics *ts = c->server ? c->server->topics : NULL;
  struct ws_topic *t = ts ? ws_topic_find(ts, name) : NULL;
  if (!t || !c->member || !ws_topic_of_member(c->member, t)) return false;
  ws_topic_catch_up(c);
  struct ws_member *m = c->member;
  if (!m) return false; /* that was its end */
  size_t at = place(m, t);
  part(ts, m->list[at]);
  m->n--;
  memmove(m->list + at, m->list + at + 1, (m->n - at) * sizeof(void *));
  return true;
}

void ws_topic_leave(struct ws_conn *c) {
  struct ws_member *m = c->member;
  for (size_t i = 0; i < m->n; i++) part(c->server->topics, m->list[i]);
  forget_member(c);
}

struct ws_slice ws_topic_name(const struct ws_conn *c, size_t *i) {
  const struct ws_member *m = c->member;
  while (m && *i < m->n) {
    const struct ws_text *name = m->list[(*i)++]->topic->name;
    if (name) return (struct ws_slice){name->text, name->len};
  }
  return (struct ws_slice){NULL, 0};
}

size_t ws_topic_count(const struct ws_server *s, struct ws_slice name) {
  struct ws_topic *t = s->topics ? ws_topic_find(s->topics, name) : NULL;
  return t ? t->n : 0;
}

/* ---- everybody ---- */

/* A topic that all open connections have subscribed to, made when something
 * is broadcast for the first time. */
struct ws_topic *ws_topic_everybody(struct ws_topics *ts) {
  struct ws_list *conns = &ts->server->conns, *e;
  if (ts->all) return ts->all;
  if (!(ts->all = new_topic())) return NULL;
  for (e = conns->next; e != conns; e = e->next)
    ws_topic_opened(WS_LIST_ENTRY(e, struct ws_conn, link));
  return ts->all;
}

void ws_topic_opened(struct ws_conn *c) {
  struct ws_topics *ts = c->server->topics;
  if (!ts || !ts->all || !can_get(c)) return;
  if (c->member) ws_topic_catch_up(c);
  if (!can_get(c)) return;
  if (join(ts, c, ts->all))
    ws_topic_note(c);
  else
    ws_conn_cut(c, 1006, "out of memory");
}

void ws_topics_free(struct ws_server *s) {
  struct ws_topics *ts = s->topics;
  if (!ts) return;
  ws_list_remove(&ts->late.link);
  ws_publish_free(ts);
  ts->has_empty = true;
  ws_topics_sweep(ts);
  ws_mem_free(ts->all);
  ws_mem_free(ts->buckets);
  ws_mem_free(ts);
  s->topics = NULL;
}
