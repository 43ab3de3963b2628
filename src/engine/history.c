/* history.c: topics that keep their last messages, in this process.
 *
 * What a topic keeps is forgotten `ttl` after its last message; where it is
 * stays ten times as long, so that who was away in a quiet hour is told that
 * nothing was missed. Whoever comes later finds another epoch. */
#include "engine/history.h"

#include <string.h>

#include "base/buf.h"

#define POSITION_TTL 10 /* times the ttl */
#define EMPTY_TTL 2     /* of one to which nothing was published */

/* ---- the end of what is kept ---- */

static void let_go(struct ws_kept *k) {
  k->is_held = false;
  ws_topics_check_empty(k->topics, k->topic);
}

static void set(struct ws_kept *k, double seconds) {
  if (ws_loop_timer(k->topics->server->loop, &k->timer, seconds)) return;
  ws_kept_clear(k);
  let_go(k);
}

static void on_timer(struct ws_timer *timer) {
  struct ws_kept *k = WS_LIST_ENTRY(timer, struct ws_kept, timer);
  double now = ws_loop_now(k->topics->server->loop), ttl = k->rule->ttl;
  if (k->n && now >= k->used + ttl) ws_kept_clear(k);
  if (ws_topic_is_wanted(k->topic) && !k->n) k->used = now;
  double until = k->used + ttl * (k->n ? 1 : k->top ? POSITION_TTL : EMPTY_TTL);
  if (now >= until)
    let_go(k);
  else
    set(k, until - now < ttl ? until - now : ttl);
}

/* More topics than may be: one that nobody wants goes, of those that were
 * published to longest ago. */
static void make_way(struct ws_kept_rule *r) {
  struct ws_list *e = r->topics.next, *next;
  for (int i = 0; i < 8 && e != &r->topics; i++, e = next) {
    struct ws_kept *k = WS_LIST_ENTRY(e, struct ws_kept, link);
    next = e->next;
    if (ws_topic_is_wanted(k->topic)) {
      ws_list_remove(&k->link);
      ws_list_append(&r->topics, &k->link);
    } else {
      let_go(k);
      return;
    }
  }
}

/* ---- its beginning ---- */

static struct ws_kept *new_kept(struct ws_topics *ts, struct ws_topic *t,
                                struct ws_kept_rule *r) {
  struct ws_loop *loop = ts->server->loop;
  struct ws_kept *k = ws_mem_zero(sizeof *k);
  if (!k) return NULL;
  k->rule = r;
  k->topics = ts;
  k->topic = t;
  k->is_remote = ts->server->carrier != NULL;
  k->timer.fn = on_timer;
  k->timer.is_quiet = true;
  k->used = ws_loop_now(loop);
  k->is_new = true;
  if (!ws_kept_renew(k, loop) || !ws_loop_timer(loop, &k->timer, r->ttl)) {
    ws_mem_free(k);
    return NULL;
  }
  if (r->n >= WS_KEPT_TOPICS_MAX) make_way(r);
  ws_list_append(&r->topics, &k->link);
  r->n++;
  k->is_held = true;
  return k;
}

struct ws_topic *ws_history_topic(struct ws_topics *ts, struct ws_slice name) {
  struct ws_topic *t = ws_topics_find(ts, name);
  struct ws_kept_rules *rules = &ts->server->kept;
  struct ws_kept *k = t ? ws_topic_kept(t) : NULL;
  if (k && !k->is_held) { /* it was about to go */
    k->is_held = true;
    set(k, k->rule->ttl);
  }
  if (t || !(t = ws_topics_add(ts, name)) || !rules->n) return t;
  struct ws_kept_rule *r = ws_kept_rule_of(rules, name);
  if (!r) return t;
  struct ws_facets *f = ws_topic_facets(t);
  if (f && (f->kept = new_kept(ts, t, r))) return t;
  ws_topics_check_empty(ts, t);
  return NULL;
}

bool ws_history_add(struct ws_topic *t, struct ws_publication *p,
                    struct ws_part *part) {
  struct ws_kept *k = t->facets->kept;
  if (!ws_kept_add(k, p, part)) return false;
  k->used = ws_loop_now(k->topics->server->loop);
  return true;
}

/* ---- coming back ---- */

void ws_history_find(const struct ws_topic *t, const struct ws_position *since,
                     struct ws_found *found) {
  const struct ws_kept *k = ws_topic_kept(t->base ? t->base : t);
  *found = (struct ws_found){.is_kept = k != NULL};
  if (!k) return;
  memcpy(found->epoch, k->epoch, sizeof k->epoch);
  found->top = k->top;
  found->from = k->top + 1;
  if (!since || since->offset > k->top ||
      (since->epoch.n && !ws_slice_equal(since->epoch, ws_kept_epoch(k))) ||
      since->offset + 1 < ws_kept_first(k))
    return;
  found->is_recovered = true;
  found->from = since->offset + 1;
}

void ws_history_repeat(struct ws_topics *ts, struct ws_conn *c,
                       const struct ws_topic *t, const struct ws_found *found) {
  const struct ws_kept *k = ws_topic_kept(t->base ? t->base : t);
  struct ws_publication p;
  struct ws_part part;
  ws_topics_pin(ts);
  for (uint64_t i = found->from; i <= found->top && c->ahead; i++) {
    if (!ws_kept_at(k, i, &p, &part)) break;
    p.topic = (struct ws_slice){t->name->text, t->name->len};
    ws_view_repeat(ts, c, t, &p, &part);
  }
  ws_topics_unpin(ts);
}

/* ---- resetting ---- */

bool ws_history_reset(struct ws_topics *ts, struct ws_topic *t) {
  struct ws_kept *k = t->facets->kept;
  if (!ws_kept_renew(k, ts->server->loop)) return false;
  k->used = ws_loop_now(ts->server->loop);
  return true;
}

void ws_history_stop(struct ws_topics *ts) {
  struct ws_kept_rules *rules = &ts->server->kept;
  for (size_t i = 0; i < rules->n; i++) {
    struct ws_kept_rule *r = &rules->list[i];
    while (!ws_list_is_empty(&r->topics)) {
      struct ws_kept *k = WS_LIST_ENTRY(r->topics.next, struct ws_kept, link);
      ws_loop_timer_stop(ts->server->loop, &k->timer);
      ws_list_remove(&k->link);
      ws_kept_clear(k);
      let_go(k);
    }
  }
}
