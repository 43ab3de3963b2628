/* topic.c: publish and subscribe, as connections and servers ask for it. */
#include "engine/topic.h"

#include "engine/share.h"
#include "engine/topic_log.h"
#include "transport/random.h"

struct ws_topics *ws_topics_of(struct ws_server *s) {
  struct ws_topics *ts = s->topics;
  if (ts) return ts;
  if (!(ts = ws_mem_zero(sizeof *ts))) return NULL;
  struct ws_io *io = s->loop->io;
  if (io->ops->random(io, &ts->key, sizeof ts->key) < 0 ||
      !ws_random_letters(s->loop, ts->node, WS_NODE_LEN)) {
    ws_mem_free(ts);
    return NULL;
  }
  ts->server = s;
  ts->epoch = 1;
  ts->late.run = ws_publish_late;
  ws_list_init(&ts->late.link);
  ws_list_init(&ts->slow);
  ws_hear_init(ts);
  ws_changes_init(&ts->changes, s);
  s->topics = ts;
  return ts;
}

/* ---- subscribing ---- */

static void leave(struct ws_conn *c);

static const struct ws_ahead_calls calls = {
  .catch_up = ws_publish_catch_up, .note = ws_publish_note, .leave = leave};

static struct ws_member *member_of(struct ws_topics *ts, struct ws_conn *c) {
  struct ws_member *m = ws_member_of(c);
  if (m) return m;
  if (!(m = ws_mem_zero(sizeof *m))) return NULL;
  m->ahead.calls = &calls;
  m->conn = c;
  m->epoch = ts->epoch;
  m->at = ts->n_log;
  ws_list_init(&m->slow);
  c->ahead = &m->ahead;
  return m;
}

static void forget_member(struct ws_conn *c) {
  struct ws_member *m = ws_member_of(c);
  struct ws_topics *ts = c->route->server->topics;
  if (ws_list_is_linked(&m->slow)) ts->n_slow--;
  ws_list_remove(&m->slow);
  ws_mem_free(m->slots);
  ws_mem_free(m);
  c->ahead = NULL;
}

static struct ws_text *name_at(const struct ws_member *m, size_t i) {
  return m->slots[i] ? m->slots[i]->topic->name : NULL;
}

/* Its topics can still be asked for when it is over. */
static void keep_names(struct ws_conn *c) {
  const struct ws_member *m = ws_member_of(c);
  struct ws_rare *r;
  size_t n = 0;
  for (size_t i = 0; i < m->cap; i++) n += name_at(m, i) != NULL;
  if (!n || c->is_freed || !(r = ws_conn_rare(c)) || r->topics) return;
  if (!(r->topics = ws_mem_alloc(n * sizeof *r->topics))) return;
  for (size_t i = 0; i < m->cap; i++) {
    struct ws_text *name = name_at(m, i);
    if (!name) continue;
    name->refs++;
    r->topics[r->n_topics++] = name;
  }
}

static void leave(struct ws_conn *c) {
  keep_names(c);
  ws_member_part_all(c->route->server->topics, ws_member_of(c));
  forget_member(c);
}

static bool join(struct ws_topics *ts, struct ws_conn *c, struct ws_topic *t,
                 bool is_here, bool is_present) {
  struct ws_member *m = member_of(ts, c);
  if (m && ws_member_join(m, t, is_here, is_present)) return true;
  if (m && m->n == 0) forget_member(c);
  return false;
}

static bool can_get(const struct ws_conn *c) {
  return c->route->server && c->state == WS_CONN_OPEN && !c->is_close_sent;
}

static struct ws_subscription *subscription(const struct ws_conn *c,
                                            const struct ws_topic *t) {
  return c->ahead ? ws_member_find_any(ws_member_of(c), t) : NULL;
}

static struct ws_topic *add_topic(struct ws_topics *ts, struct ws_slice name,
                                  int view) {
  struct ws_topic *t = ws_history_topic(ts, name), *v;
  const struct ws_kept *k = t ? ws_topic_kept(t) : NULL;
  if (view == WS_USUAL_VIEW) view = k ? k->rule->stamp : WS_NO_VIEW;
  if (!t || view == WS_NO_VIEW) return t;
  if (!(v = ws_topic_add_view(t, view))) ws_topics_check_empty(ts, t);
  return v;
}

/* It is present as somebody, in the place of who it was. */
static bool appear(struct ws_topics *ts, struct ws_subscription *sub,
                   const struct ws_arrival *who) {
  struct ws_topic *t = sub->topic->base ? sub->topic->base : sub->topic;
  struct ws_facets *f = ws_topic_facets(t);
  struct ws_present *before = sub->present[0], *now;
  if (!f || (!f->presence && !(f->presence = ws_presence_new(&ts->key))) ||
      !(now = ws_presence_join(f->presence, &ts->changes, who)))
    return false;
  sub->present[0] = now;
  if (before) ws_presence_leave(before, &ts->changes);
  return true;
}

static void disappear(struct ws_topics *ts, struct ws_subscription *sub) {
  if (!sub->is_present || !sub->present[0]) return;
  ws_presence_leave(sub->present[0], &ts->changes);
  sub->present[0] = NULL;
}

static bool begin(struct ws_topics *ts, struct ws_conn *c, struct ws_topic *t,
                  const struct ws_wish *wish) {
  if (!join(ts, c, t, wish->is_here, wish->who != NULL)) return false;
  struct ws_member *m = ws_member_of(c);
  if (!wish->who || appear(ts, ws_member_find(m, t), wish->who)) {
    ws_publish_note(c);
    return true;
  }
  ws_member_part(ts, m, t);
  if (m->n == 0) forget_member(c);
  return false;
}

/* It has the topic, and gets another view of it. */
static struct ws_subscription *move(struct ws_topics *ts, struct ws_conn *c,
                                    struct ws_subscription *sub,
                                    struct ws_topic *t, bool is_here) {
  struct ws_member *m = ws_member_of(c);
  if (!join(ts, c, t, is_here, sub->is_present)) return NULL;
  struct ws_subscription *next = ws_member_find(m, t);
  if (sub->is_present) next->present[0] = sub->present[0];
  sub->is_present = false;
  ws_member_part(ts, m, sub->topic);
  return next;
}

/* It has the topic already: in the same view, or from now on in this one. */
static enum ws_err change(struct ws_topics *ts, struct ws_conn *c,
                          struct ws_subscription *sub, struct ws_topic *t,
                          const struct ws_wish *wish) {
  if (sub->topic != t)
    sub = move(ts, c, sub, t, wish->is_here);
  else if (!wish->is_here && !ws_subscription_widen(sub))
    sub = NULL;
  if (sub && wish->who) sub = ws_member_extend(ws_member_of(c), sub);
  if (!sub || (wish->who && !appear(ts, sub, wish->who))) return WS_ERR_MEMORY;
  if (wish->is_absent) disappear(ts, sub);
  return WS_OK;
}

static void find(const struct ws_topic *t, struct ws_wish *wish) {
  ws_history_find(t, wish->is_back ? &wish->since : NULL, &wish->found);
}

/* It is there since a moment ago, and caught up. */
static void greet(struct ws_topics *ts, struct ws_conn *c, struct ws_topic *t,
                  struct ws_wish *wish) {
  find(t, wish);
  if (wish->joined)
    wish->joined(wish);
  else if (wish->found.is_recovered)
    ws_history_repeat(ts, c, t, &wish->found);
}

enum ws_err ws_topic_subscribe(struct ws_conn *c, struct ws_slice name,
                               struct ws_wish *wish) {
  if (!can_get(c)) return WS_ERR_CLOSED;
  struct ws_topics *ts = ws_topics_of(c->route->server);
  struct ws_topic *t = ts ? add_topic(ts, name, wish->view) : NULL;
  enum ws_err err = WS_ERR_MEMORY;
  if (!t) return err;
  ws_topics_pin(ts); /* it may leave again in here */
  if (c->ahead) ws_publish_catch_up(c);
  struct ws_subscription *sub = subscription(c, t->base ? t->base : t);
  if (!can_get(c)) {
    err = WS_ERR_CLOSED;
  } else if (sub) {
    err = change(ts, c, sub, t, wish);
  } else if (begin(ts, c, t, wish)) {
    err = WS_OK;
  }
  if (err == WS_OK && wish->is_asking) greet(ts, c, t, wish);
  ws_topics_check_empty(ts, t);
  ws_topics_unpin(ts);
  return err;
}

bool ws_topic_unsubscribe(struct ws_conn *c, struct ws_slice name) {
  struct ws_topics *ts = c->route->server ? c->route->server->topics : NULL;
  struct ws_topic *t = ts ? ws_topics_find(ts, name) : NULL;
  if (!t || !subscription(c, t)) return false;
  ws_publish_catch_up(c);
  if (!c->ahead) return false; /* that was its end */
  ws_member_part(ts, ws_member_of(c), subscription(c, t)->topic);
  return true;
}

enum ws_err ws_topic_hear(struct ws_server *s, struct ws_slice name,
                          struct ws_hearer *h, struct ws_wish *wish) {
  if (s->is_gone) return WS_ERR_CLOSED;
  struct ws_topics *ts = ws_topics_of(s);
  struct ws_topic *t = ts ? ws_history_topic(ts, name) : NULL;
  if (!t) return WS_ERR_MEMORY;
  h->is_here = wish->is_here;
  if (!ws_hear_start(ts, t, h)) {
    ws_topics_check_empty(ts, t);
    return WS_ERR_MEMORY;
  }
  find(t, wish);
  if (wish->joined) wish->joined(wish);
  return WS_OK;
}

static void stop(struct ws_topics *ts) {
  ws_changes_free(&ts->changes);
  ws_hear_free(ts);
  ws_history_stop(ts);
}

void ws_topics_stop(struct ws_server *s) {
  if (!s->topics) return;
  ws_changes_flush(&s->topics->changes);
  stop(s->topics);
}

struct ws_slice ws_topic_name(const struct ws_conn *c, size_t *i) {
  const struct ws_member *m = ws_member_of(c);
  const struct ws_text *name = NULL;
  while (m && !name && *i < m->cap) name = name_at(m, (*i)++);
  if (!m && c->rare && *i < c->rare->n_topics) name = c->rare->topics[(*i)++];
  return name ? (struct ws_slice){name->text, name->len}
              : (struct ws_slice){NULL, 0};
}

/* ---- everybody ---- */

/* A topic that all open connections have subscribed to, made when something
 * is broadcast for the first time. */
static struct ws_topic *everybody(struct ws_topics *ts) {
  struct ws_list *conns = &ts->server->conns, *e;
  if (ts->all) return ts->all;
  if (!(ts->all = ws_topics_new_topic())) return NULL;
  for (e = conns->next; e != conns; e = e->next)
    ws_topic_opened(WS_LIST_ENTRY(e, struct ws_conn, link));
  return ts->all;
}

void ws_topic_opened(struct ws_conn *c) {
  struct ws_topics *ts = c->route->server->topics;
  if (!ts || !ts->all || !can_get(c)) return;
  if (c->ahead) ws_publish_catch_up(c);
  if (!can_get(c)) return;
  if (join(ts, c, ts->all, false, false))
    ws_publish_note(c);
  else
    ws_conn_cut(c, 1006, "out of memory");
}

/* ---- publishing ---- */

int64_t ws_topic_give(struct ws_topics *ts, const struct ws_left_out *out,
                      struct ws_topic *t, struct ws_publication *p) {
  struct ws_heard *heard = NULL;
  struct ws_part part = {.range = {NULL, 0, 0}};
  struct ws_bytes bytes = {NULL, p->message, p->opcode};
  if (ws_topic_is_heard(t) && !(heard = ws_hear_take(t, p))) return -1;
  const struct ws_kept *k = ws_topic_kept(t);
  if (k && (!k->is_remote || p->offset)) bytes.ready = &part;
  int64_t n = -1;
  if (!bytes.ready || ws_history_add(t, p, &part))
    n = ws_view_give(ts, out, t, &bytes);
  ws_block_release(part.range.block);
  if (n < 0 && p->is_kept) { /* it has its place: nobody may miss it */
    ws_view_cut(t);
    n = 0;
  }
  if (n < 0) {
    ws_hear_drop(heard);
    return n;
  }
  if (heard) ws_hear_tell(ts, heard, p);
  return n + ws_view_publish(ts, out, t, p);
}

/* A key is one of its topic. What is kept as a history has no holes. */
static void set_fleet(struct ws_topics *ts, const struct ws_topic *t,
                      const struct ws_publication *p, struct ws_fleet *fleet) {
  if (!ws_fleet_may_go(&p->fleet) || ws_topic_kept(t)) return;
  *fleet = p->fleet;
  if (fleet->key.n) fleet->scope = ws_hash(&ts->key, p->topic.p, p->topic.n);
  ts->fleet = fleet;
}

/* And beyond. */
static int64_t carry(struct ws_server *s, struct ws_except except,
                     const struct ws_publication *p, int64_t n,
                     const char **far) {
  if (!far) return n;
  *far = NULL;
  if (s->carrier && n >= 0)
    *far = s->carrier->calls->publish(s->carrier, s,
                                      &(struct ws_outgoing){p, except});
  else if (s->share)
    ws_share_warn_alone(s);
  return n;
}

int64_t ws_topic_publish(struct ws_server *s, struct ws_except except,
                         struct ws_publication *p, const char **far) {
  struct ws_topics *ts = s->kept.n ? ws_topics_of(s) : s->topics;
  struct ws_topic *t = ts ? ws_topics_find(ts, p->topic) : NULL;
  const struct ws_kept_rule *rule =
    s->kept.n ? ws_kept_rule_of(&s->kept, p->topic) : NULL;
  struct ws_fleet fleet;
  int64_t n = 0;
  if (rule && s->carrier) {
    const char *why = s->carrier->calls->keep(
      s->carrier, &(struct ws_outgoing){p, except}, rule);
    if (far) *far = why;
    p->is_away = true;
    return 0;
  }
  if (rule) n = ts && (t = ws_history_topic(ts, p->topic)) ? 0 : -1;
  if (t) set_fleet(ts, t, p, &fleet);
  if (t && !t->facets)
    n = ws_publish(ts, except, t,
                   &(struct ws_bytes){NULL, p->message, p->opcode});
  else if (t)
    n = ws_topic_give(ts, &(struct ws_left_out){.except = except}, t, p);
  if (t) ts->fleet = NULL;
  return carry(s, except, p, n, far);
}

int64_t ws_topic_broadcast(struct ws_server *s, uint8_t opcode,
                           struct ws_slice message, const char **far) {
  struct ws_topics *ts = ws_topics_of(s);
  struct ws_topic *t = ts ? everybody(ts) : NULL;
  struct ws_except nobody = {NULL, 0};
  struct ws_publication p = {.message = message, .opcode = opcode};
  struct ws_bytes bytes = {NULL, message, opcode};
  int64_t n = t ? ws_publish(ts, nobody, t, &bytes) : -1;
  return carry(s, nobody, &p, n, far);
}

bool ws_topic_deliver(struct ws_server *s, struct ws_ids except,
                      const struct ws_publication *p) {
  struct ws_topics *ts = p->topic.p ? s->topics : ws_topics_of(s);
  struct ws_left_out out = {.ids = except, .is_foreign = true};
  struct ws_publication copy = *p;
  struct ws_topic *t;
  if (!ts) return p->topic.p;
  t = p->topic.p ? ws_topics_find(ts, p->topic) : everybody(ts);
  if (!t) return p->topic.p;
  struct ws_fleet fleet;
  if (p->topic.p) set_fleet(ts, t, p, &fleet);
  bool ok = ws_topic_give(ts, &out, t, &copy) >= 0;
  ts->fleet = NULL;
  return ok;
}

void ws_topics_leave(struct ws_server *s) {
  if (s->carrier) s->carrier->calls->left(s->carrier, s);
  s->carrier = NULL;
}

void ws_topics_free(struct ws_server *s) {
  struct ws_topics *ts = s->topics;
  ws_topics_leave(s);
  if (!ts) return;
  stop(ts);
  ws_list_remove(&ts->late.link);
  ws_topic_log_free(ts);
  ws_mem_free(ts->all);
  ws_mem_free(ts->buckets);
  ws_mem_free(ts);
  s->topics = NULL;
}
