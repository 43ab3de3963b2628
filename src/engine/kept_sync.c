/* kept_sync.c: the copy of a history that is kept elsewhere. */
#include "engine/kept_sync.h"

#include <string.h>

static struct ws_topic *topic_of(const struct ws_server *s,
                                 struct ws_slice name) {
  return s->topics ? ws_topics_find(s->topics, name) : NULL;
}

static struct ws_kept *kept_of(const struct ws_server *s,
                               struct ws_slice name) {
  const struct ws_topic *t = topic_of(s, name);
  struct ws_kept *k = t ? ws_topic_kept(t) : NULL;
  return k && k->is_remote ? k : NULL;
}

static void ask(struct ws_server *s, struct ws_kept *k, struct ws_slice name) {
  k->is_synced = false;
  if (s->carrier) s->carrier->calls->sync(s->carrier, s, name);
}

/* ---- giving on ---- */

static bool is_epoch(const struct ws_kept *k, struct ws_slice epoch) {
  return k->is_known && ws_slice_equal(epoch, ws_kept_epoch(k));
}

/* It is the next one. */
static void give(struct ws_server *s, struct ws_kept *k, struct ws_ids except,
                 const struct ws_publication *p) {
  struct ws_left_out out = {.ids = except, .is_foreign = true};
  struct ws_publication copy = *p;
  copy.is_kept = false; /* that is found here again */
  if (ws_topic_give(s->topics, &out, k->topic, &copy) < 0) k->is_short = true;
}

/* What came meanwhile, as far as nothing is missing before it. */
static void give_ahead(struct ws_server *s, struct ws_kept *k) {
  struct ws_ahead_message *m;
  while ((m = k->ahead) && is_epoch(k, m->what.epoch) &&
         m->what.offset <= k->top + 1) {
    ws_ahead_take(k);
    if (m->what.offset == k->top + 1)
      give(s, k, (struct ws_ids){m->ids, m->n_ids}, &m->what);
    ws_mem_free(m->ids);
    ws_mem_free(m);
  }
}

/* ---- live ---- */

static void put_off(struct ws_kept *k, struct ws_ids except,
                    const struct ws_publication *p) {
  if (!p->offset || !ws_ahead_add(k, p, except.list, except.n))
    k->is_short = true;
}

bool ws_sync_live(struct ws_server *s, struct ws_ids except,
                  const struct ws_publication *p) {
  struct ws_kept *k = kept_of(s, p->topic);
  if (!k) return ws_kept_rule_of(&s->kept, p->topic) != NULL;
  if (!ws_topic_is_wanted(k->topic)) return true;
  if (!k->is_synced) {
    put_off(k, except, p);
  } else if (!is_epoch(k, p->epoch) || p->offset > k->top + 1) {
    put_off(k, except, p);
    ask(s, k, p->topic);
  } else if (p->offset == k->top + 1) {
    ws_topics_pin(s->topics);
    give(s, k, except, p);
    if (k->is_short) ask(s, k, p->topic);
    ws_topics_unpin(s->topics);
  }
  return true;
}

void ws_sync_reach(struct ws_server *s, struct ws_slice name,
                   const struct ws_position *since) {
  struct ws_kept *k = kept_of(s, name);
  if (!k || since->offset <= k->top) return;
  if (k->is_known && since->epoch.n && !is_epoch(k, since->epoch)) return;
  if (k->is_synced)
    ask(s, k, name);
  else if (since->offset > k->told)
    k->told = since->offset;
}

/* ---- reading ---- */

struct ws_kept *ws_sync_copy(const struct ws_server *s, struct ws_slice name) {
  return s->is_gone ? NULL : kept_of(s, name);
}

bool ws_sync_is_new(const struct ws_server *s, struct ws_slice name) {
  const struct ws_kept *k = ws_sync_copy(s, name);
  return k && k->is_new && !k->is_asked && !k->is_refused && k->topic->n_far;
}

struct ws_kept *ws_sync_wants(struct ws_server *s, struct ws_slice name,
                              uint64_t number) {
  struct ws_kept *k = ws_sync_copy(s, name);
  if (!k) return NULL;
  k->is_due = false;
  if (!ws_topic_is_wanted(k->topic)) {
    k->is_refused = false; /* whoever comes asks anew */
    return NULL;
  }
  k->is_asked = true;
  if (!k->reading) k->reading = number;
  k->is_short = k->is_stuck = false;
  for (struct ws_ahead_message *m = k->ahead; m; m = m->next) m->is_old = true;
  return k;
}

bool ws_sync_is_read(const struct ws_server *s, struct ws_slice name,
                     uint64_t number) {
  const struct ws_kept *k = ws_sync_copy(s, name);
  return k && k->reading && k->reading <= number;
}

static void tell_reset(struct ws_server *s, struct ws_kept *k,
                       struct ws_slice name) {
  struct ws_publication p = {.topic = name,
                             .is_kept = true,
                             .is_reset = true,
                             .epoch = ws_kept_epoch(k)};
  struct ws_left_out nobody = {.is_foreign = true};
  struct ws_heard *heard =
    ws_topic_is_heard(k->topic) ? ws_hear_take(k->topic, &p) : NULL;
  if (heard) ws_hear_tell(s->topics, heard, &p);
  ws_view_publish(s->topics, &nobody, k->topic, &p);
}

/* What was there before anybody was here is nothing new for who came. */
static void set_before(struct ws_kept *k, bool is_same) {
  const struct ws_ahead_message *m = k->ahead;
  if (k->is_new)
    k->before = m && is_epoch(k, m->what.epoch) && m->what.offset <= k->sync_top
                  ? m->what.offset - 1
                  : k->sync_top;
  else if (!is_same)
    k->before = 0;
  k->is_new = false;
}

void ws_sync_begin(struct ws_server *s, struct ws_slice name,
                   struct ws_slice epoch, uint64_t top) {
  struct ws_kept *k = kept_of(s, name);
  if (!k || epoch.n != sizeof k->epoch) return;
  bool was_known = k->is_known, is_same = is_epoch(k, epoch);
  k->is_known = true;
  k->is_asked = k->is_refused = false;
  k->sync_top = top;
  if (!is_same) {
    ws_kept_clear(k);
    memcpy(k->epoch, epoch.p, sizeof k->epoch);
    k->top = 0;
  }
  set_before(k, is_same);
  if (is_same || !was_known) return;
  ws_topics_pin(s->topics);
  tell_reset(s, k, name);
  ws_topics_unpin(s->topics);
}

/* It is only kept: nobody was there when it was published. */
static void keep(struct ws_kept *k, const struct ws_publication *p) {
  struct ws_publication copy = *p;
  struct ws_part part = {.range = {NULL, 0, 0}};
  if (ws_kept_add(k, &copy, &part))
    ws_block_release(part.range.block);
  else
    k->is_short = true;
}

bool ws_sync_message(struct ws_server *s, struct ws_ids except,
                     const struct ws_publication *p) {
  struct ws_kept *k = kept_of(s, p->topic);
  if (!k || k->is_stuck || !is_epoch(k, p->epoch) || p->offset <= k->top)
    return false;
  if (p->offset > k->top + 1) { /* what is between is lost, or was never here */
    ws_kept_clear(k);
    k->top = p->offset - 1;
  }
  ws_topics_pin(s->topics);
  if (p->offset <= k->before)
    keep(k, p);
  else
    give(s, k, except, p);
  bool is_in = k->top == p->offset;
  k->is_stuck = !is_in;
  ws_topics_unpin(s->topics);
  return is_in;
}

/* What is told is read there at once: who claims to be further was no evws. */
static void drop_old(struct ws_kept *k) {
  while (k->ahead && k->ahead->is_old) {
    struct ws_ahead_message *m = ws_ahead_take(k);
    ws_mem_free(m->ids);
    ws_mem_free(m);
  }
}

/* What came ahead of another epoch is nothing any more. */
static void drop_others(struct ws_kept *k) {
  while (k->ahead && !is_epoch(k, k->ahead->what.epoch)) {
    struct ws_ahead_message *m = ws_ahead_take(k);
    ws_mem_free(m->ids);
    ws_mem_free(m);
    k->is_short = true;
  }
}

void ws_sync_end(struct ws_server *s, struct ws_slice name) {
  struct ws_kept *k = kept_of(s, name);
  if (!k || !k->is_known) return;
  if (k->is_stuck) { /* from there on once more */
    ask(s, k, name);
    return;
  }
  if (k->top < k->sync_top) { /* the last ones are not kept there any more */
    ws_kept_clear(k);
    k->top = k->sync_top;
  }
  ws_topics_pin(s->topics);
  drop_others(k);
  k->is_synced = true;
  k->used = ws_loop_now(s->loop);
  give_ahead(s, k);
  drop_old(k);
  bool is_behind = k->told > k->top; /* it was kept after that was read */
  k->told = 0;
  if (k->ahead || k->is_short || is_behind) ask(s, k, name);
  ws_topics_unpin(s->topics);
}

void ws_sync_refused(const struct ws_server *s, struct ws_slice name) {
  struct ws_kept *k = kept_of(s, name);
  if (!k) return;
  k->is_refused = true;
  k->is_asked = false;
}

bool ws_sync_is_refused(const struct ws_server *s, struct ws_slice name) {
  const struct ws_kept *k = kept_of(s, name);
  return k && k->is_refused;
}

/* ---- in step or not ---- */

void ws_sync_lost(struct ws_server *s,
                  bool (*is_it)(struct ws_slice name, void *arg), void *arg) {
  for (size_t i = 0; i < s->kept.n; i++) {
    struct ws_list *topics = &s->kept.list[i].topics, *e;
    for (e = topics->next; e != topics; e = e->next) {
      struct ws_kept *k = WS_LIST_ENTRY(e, struct ws_kept, link);
      const struct ws_text *name = k->topic->name;
      if (!is_it((struct ws_slice){name->text, name->len}, arg)) continue;
      k->is_synced = k->is_asked = false;
      ws_ahead_free(k);
    }
  }
}

bool ws_sync_is_due(const struct ws_server *s, struct ws_slice name) {
  if (!s->carrier || !ws_kept_rule_of(&s->kept, name)) return false;
  const struct ws_kept *k = kept_of(s, name);
  return !k || !k->is_synced;
}

bool ws_sync_hold(struct ws_server *s, struct ws_slice name) {
  struct ws_topics *ts = ws_topics_of(s);
  struct ws_topic *t = ts ? ws_history_topic(ts, name) : NULL;
  struct ws_facets *f = t ? ws_topic_facets(t) : NULL;
  if (f && ws_topic_want(ts, t)) {
    f->holds++;
    return true;
  }
  if (t) ws_topics_check_empty(ts, t);
  return false;
}

void ws_sync_release(struct ws_server *s, struct ws_slice name) {
  struct ws_topic *t = topic_of(s, name);
  if (!t || !t->facets || !t->facets->holds) return;
  t->facets->holds--;
  ws_topic_unwant(s->topics, t);
  ws_topics_check_empty(s->topics, t);
}
