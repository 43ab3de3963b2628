/* topic_ask.c: what is asked of a topic, by its name. */
#include "engine/topic_ask.h"

#include <assert.h>
#include <string.h>

void ws_topic_each(const struct ws_server *s, struct ws_slice name,
                   void (*each)(struct ws_conn *, void *), void *arg) {
  struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  for (; t; t = t->base ? t->next : ws_topic_views(t))
    for (struct ws_list *e = t->members.next; e != &t->members; e = e->next)
      each(WS_LIST_ENTRY(e, struct ws_subscription, link)->member->conn, arg);
}

size_t ws_topic_count(const struct ws_server *s, struct ws_slice name) {
  struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  size_t n = 0;
  for (; t; t = t->base ? t->next : ws_topic_views(t)) n += t->n;
  return n;
}

/* ---- presence ---- */

const char *ws_topic_node(struct ws_server *s) {
  const struct ws_topics *ts = ws_topics_of(s);
  return ts ? ts->node : NULL;
}

void ws_topic_settle_presence(struct ws_server *s) {
  if (s->topics) ws_changes_flush(&s->topics->changes);
}

bool ws_topic_hear_of(struct ws_server *s, const struct ws_rumour *what) {
  struct ws_topics *ts = ws_topics_of(s);
  return ts && ws_changes_hear(&ts->changes, what);
}

const struct ws_presence *ws_topic_presence(const struct ws_server *s,
                                            struct ws_slice name) {
  const struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  return t && t->facets ? t->facets->presence : NULL;
}

bool ws_topic_has_audience(const struct ws_server *s, struct ws_slice name) {
  const struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  return s->carrier || (t && ws_topic_is_wanted(t));
}

/* ---- history ---- */

bool ws_topic_position(struct ws_server *s, struct ws_slice name,
                       struct ws_found *found) {
  struct ws_topics *ts = ws_topics_of(s);
  struct ws_topic *t = ts ? ws_history_topic(ts, name) : NULL;
  if (!t) return false;
  ws_history_find(t, NULL, found);
  const struct ws_kept *k = ws_topic_kept(t);
  assert(k || !found->is_kept);
  if (found->is_kept) found->from = ws_kept_first(k);
  ws_topics_check_empty(ts, t);
  return true;
}

bool ws_topic_message(const struct ws_server *s, struct ws_slice name,
                      const struct ws_found *found, uint64_t offset,
                      struct ws_publication *p) {
  const struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  const struct ws_kept *k = t ? ws_topic_kept(t) : NULL;
  struct ws_part part;
  return k && memcmp(k->epoch, found->epoch, sizeof k->epoch) == 0 &&
         ws_kept_at(k, offset, p, &part);
}

enum ws_err ws_topic_reset(struct ws_server *s, struct ws_slice name) {
  struct ws_topics *ts = ws_topics_of(s);
  struct ws_topic *t = ts ? ws_history_topic(ts, name) : NULL;
  struct ws_publication p = {.topic = name, .is_kept = true, .is_reset = true};
  struct ws_left_out nobody = {.is_foreign = false};
  if (!t) return WS_ERR_MEMORY;
  struct ws_heard *heard = ws_topic_is_heard(t) ? ws_hear_take(t, &p) : NULL;
  if ((ws_topic_is_heard(t) && !heard) || !ws_history_reset(ts, t)) {
    ws_hear_drop(heard);
    return WS_ERR_MEMORY;
  }
  p.epoch = ws_kept_epoch(ws_topic_kept(t));
  if (heard) ws_hear_tell(ts, heard, &p);
  ws_view_publish(ts, &nobody, t, &p);
  return WS_OK;
}

const char *ws_topic_reset_far(struct ws_server *s, struct ws_slice name) {
  return s->carrier->calls->reset(s->carrier, name,
                                  ws_kept_rule_of(&s->kept, name));
}
