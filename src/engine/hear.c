/* hear.c: functions that get what is published to a topic.
 *
 * They are not called by who publishes: a function that publishes in its turn
 * would come between a message and those who have not heard it yet. What is
 * published is copied into a list, which a job goes through. Who began to hear
 * after a message was published is not told of it: messages have numbers. */
#include "engine/hear.h"

#include <string.h>

#include "engine/carrier.h"

#define AGAIN 0.1 /* seconds, until there may be memory */

struct ws_heard {
  struct ws_heard *next;
  struct ws_text *name;
  uint64_t number;
  struct ws_publication what;
  char epoch[WS_EPOCH_LEN];
  char data[]; /* message, meta */
};

static struct ws_slice put(char **to, struct ws_slice bytes) {
  struct ws_slice copy = {*to, bytes.n};
  if (bytes.n) memcpy(*to, bytes.p, bytes.n);
  *to += bytes.n;
  return copy;
}

struct ws_heard *ws_hear_take(const struct ws_topic *t,
                              const struct ws_publication *p) {
  size_t n = p->meta.n + sizeof(struct ws_heard);
  struct ws_heard *m =
    p->message.n > SIZE_MAX - n ? NULL : ws_mem_alloc(n + p->message.n);
  if (!m) return NULL;
  char *to = m->data;
  *m = (struct ws_heard){.name = t->name, .what = *p};
  m->name->refs++;
  m->what.topic = (struct ws_slice){t->name->text, t->name->len};
  m->what.message = put(&to, p->message);
  m->what.meta = put(&to, p->meta);
  return m;
}

void ws_hear_drop(struct ws_heard *m) {
  if (!m) return;
  ws_text_release(m->name);
  ws_mem_free(m);
}

void ws_hear_tell(struct ws_topics *ts, struct ws_heard *m,
                  const struct ws_publication *p) {
  if (p->is_kept) {
    memcpy(m->epoch, p->epoch.p, sizeof m->epoch);
    m->what.is_kept = true;
    m->what.offset = p->offset;
    m->what.epoch = (struct ws_slice){m->epoch, sizeof m->epoch};
  }
  m->number = ++ts->n_heard;
  if (ts->heard)
    ts->last_heard->next = m;
  else
    ts->heard = m;
  ts->last_heard = m;
  ws_loop_job(ts->server->loop, &ts->hear);
}

/* ---- telling ---- */

static size_t count(const struct ws_list *hearers) {
  size_t n = 0;
  for (const struct ws_list *e = hearers->next; e != hearers; e = e->next) n++;
  return n;
}

/* Those who are told go to the end of the list, where new ones come too. False
 * without memory: who was not told is told again. */
static bool tell_all(struct ws_list *hearers, const struct ws_heard *m) {
  for (size_t n = count(hearers); n && !ws_list_is_empty(hearers); n--) {
    struct ws_hearer *h = WS_LIST_ENTRY(hearers->next, struct ws_hearer, link);
    uint64_t before = h->heard;
    ws_list_remove(&h->link);
    ws_list_append(hearers, &h->link);
    if (before >= m->number) continue;
    h->heard = m->number;
    if (h->server->host->heard(h, &m->what)) continue;
    if (hearers->prev == &h->link) h->heard = before; /* it is still there */
    return false;
  }
  return true;
}

static bool tell(struct ws_topics *ts, const struct ws_heard *m) {
  struct ws_topic *t = ws_topics_find(ts, m->what.topic);
  if (!t || !t->facets) return true;
  ws_topics_pin(ts);
  bool is_told = tell_all(&t->facets->hearers, m);
  ws_topics_unpin(ts);
  return is_told;
}

static void put_back(struct ws_topics *ts, struct ws_heard *m) {
  m->next = ts->heard;
  if (!ts->heard) ts->last_heard = m;
  ts->heard = m;
  ws_loop_timer(ts->server->loop, &ts->hear_again, AGAIN);
}

static void go_on(struct ws_topics *ts) {
  uint64_t last = ts->n_heard; /* what they publish is for the next turn */
  while (ts->heard && ts->heard->number <= last) {
    struct ws_heard *m = ts->heard;
    ts->heard = m->next; /* the rest may be dropped meanwhile */
    if (!tell(ts, m)) {
      put_back(ts, m);
      return;
    }
    ws_hear_drop(m);
  }
  if (ts->heard) ws_loop_job(ts->server->loop, &ts->hear);
}

static void on_job(struct ws_job *job) {
  go_on(WS_LIST_ENTRY(job, struct ws_topics, hear));
}

static void on_timer(struct ws_timer *timer) {
  go_on(WS_LIST_ENTRY(timer, struct ws_topics, hear_again));
}

/* ---- hearing ---- */

bool ws_hear_start(struct ws_topics *ts, struct ws_topic *t,
                   struct ws_hearer *h) {
  struct ws_facets *f = ws_topic_facets(t);
  if (!f || (!h->is_here && !ws_topic_want(ts, t))) return false;
  h->server = ts->server;
  h->topic = t;
  h->heard = ts->n_heard;
  ws_list_append(&f->hearers, &h->link);
  return true;
}

void ws_hear_stop(struct ws_hearer *h) {
  struct ws_topic *t = h->topic;
  if (!t) return;
  struct ws_topics *ts = h->server->topics;
  ws_list_remove(&h->link);
  h->topic = NULL;
  if (!h->is_here) ws_topic_unwant(ts, t);
  ws_topics_check_empty(ts, t);
}

void ws_hear_init(struct ws_topics *ts) {
  ws_list_init(&ts->hear.link);
  ts->hear.run = on_job;
  ts->hear_again.fn = on_timer;
}

static struct ws_hearer *any_hearer(const struct ws_topics *ts) {
  for (size_t i = 0; i < ts->n_buckets; i++)
    for (struct ws_topic *t = ts->buckets[i]; t; t = t->next)
      if (t->facets && !ws_list_is_empty(&t->facets->hearers))
        return WS_LIST_ENTRY(t->facets->hearers.next, struct ws_hearer, link);
  return NULL;
}

void ws_hear_free(struct ws_topics *ts) {
  struct ws_hearer *h;
  while ((h = any_hearer(ts))) {
    ws_hear_stop(h);
    ts->server->host->deaf(h);
  }
  while (ts->heard) {
    struct ws_heard *m = ts->heard;
    ts->heard = m->next;
    ws_hear_drop(m);
  }
  ws_list_remove(&ts->hear.link);
  ws_loop_timer_stop(ts->server->loop, &ts->hear_again);
}
