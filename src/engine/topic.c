/* topic.c: publish and subscribe, as connections and servers ask for it. */
#include "engine/topic.h"

#include "engine/topic_log.h"

static struct ws_topics *topics_of(struct ws_server *s) {
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
  struct ws_topics *ts = c->server->topics;
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
  ws_member_part_all(c->server->topics, ws_member_of(c));
  forget_member(c);
}

static bool join(struct ws_topics *ts, struct ws_conn *c, struct ws_topic *t) {
  struct ws_member *m = member_of(ts, c);
  if (m && ws_member_join(m, t)) return true;
  if (m && m->n == 0) forget_member(c);
  return false;
}

static bool can_get(const struct ws_conn *c) {
  return c->server && c->state == WS_CONN_OPEN && !c->is_close_sent;
}

static bool has_joined(const struct ws_conn *c, const struct ws_topic *t) {
  return c->ahead && ws_member_find(ws_member_of(c), t);
}

enum ws_err ws_topic_subscribe(struct ws_conn *c, struct ws_slice name) {
  if (!can_get(c)) return WS_ERR_CLOSED;
  struct ws_topics *ts = topics_of(c->server);
  if (!ts) return WS_ERR_MEMORY;
  struct ws_topic *t = ws_topics_add(ts, name);
  if (!t) return WS_ERR_MEMORY;
  if (has_joined(c, t)) return WS_OK;
  if (c->ahead) ws_publish_catch_up(c);
  if (can_get(c) && join(ts, c, t)) {
    ws_publish_note(c);
    return WS_OK;
  }
  ws_topics_check_empty(ts, t);
  return can_get(c) ? WS_ERR_MEMORY : WS_ERR_CLOSED;
}

bool ws_topic_unsubscribe(struct ws_conn *c, struct ws_slice name) {
  struct ws_topics *ts = c->server ? c->server->topics : NULL;
  struct ws_topic *t = ts ? ws_topics_find(ts, name) : NULL;
  if (!t || !has_joined(c, t)) return false;
  ws_publish_catch_up(c);
  if (!c->ahead) return false; /* that was its end */
  ws_member_part(ts, ws_member_of(c), t);
  return true;
}

struct ws_slice ws_topic_name(const struct ws_conn *c, size_t *i) {
  const struct ws_member *m = ws_member_of(c);
  const struct ws_text *name = NULL;
  while (m && !name && *i < m->cap) name = name_at(m, (*i)++);
  if (!m && c->rare && *i < c->rare->n_topics) name = c->rare->topics[(*i)++];
  return name ? (struct ws_slice){name->text, name->len}
              : (struct ws_slice){NULL, 0};
}

void ws_topic_each(const struct ws_server *s, struct ws_slice name,
                   void (*each)(struct ws_conn *, void *), void *arg) {
  struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  struct ws_list *e;
  if (!t) return;
  for (e = t->members.next; e != &t->members; e = e->next)
    each(WS_LIST_ENTRY(e, struct ws_subscription, link)->member->conn, arg);
}

size_t ws_topic_count(const struct ws_server *s, struct ws_slice name) {
  struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  return t ? t->n : 0;
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
  struct ws_topics *ts = c->server->topics;
  if (!ts || !ts->all || !can_get(c)) return;
  if (c->ahead) ws_publish_catch_up(c);
  if (!can_get(c)) return;
  if (join(ts, c, ts->all))
    ws_publish_note(c);
  else
    ws_conn_cut(c, 1006, "out of memory");
}

/* ---- publishing ---- */

static const char *carry(struct ws_server *s, const struct ws_outgoing *out) {
  return s->carrier->calls->publish(s->carrier, s, out);
}

int64_t ws_topic_publish(struct ws_server *s, struct ws_except except,
                         struct ws_slice name, uint8_t opcode,
                         struct ws_slice message, const char **far) {
  struct ws_topic *t = s->topics ? ws_topics_find(s->topics, name) : NULL;
  int64_t n = t ? ws_publish(s->topics, except, t, opcode, message) : 0;
  if (!far) return n;
  *far = NULL;
  if (s->carrier && n >= 0)
    *far = carry(s, &(struct ws_outgoing){.name = name,
                                          .message = message,
                                          .except = except,
                                          .opcode = opcode});
  return n;
}

int64_t ws_topic_broadcast(struct ws_server *s, uint8_t opcode,
                           struct ws_slice message, const char **far) {
  struct ws_topics *ts = topics_of(s);
  struct ws_topic *t = ts ? everybody(ts) : NULL;
  struct ws_except nobody = {NULL, 0};
  int64_t n = t ? ws_publish(ts, nobody, t, opcode, message) : -1;
  if (!far) return n;
  *far = NULL;
  if (s->carrier && n >= 0)
    *far =
      carry(s, &(struct ws_outgoing){.message = message, .opcode = opcode});
  return n;
}

bool ws_topic_deliver(struct ws_server *s, struct ws_ids except,
                      struct ws_slice name, uint8_t opcode,
                      struct ws_slice message) {
  struct ws_topics *ts = name.p ? s->topics : topics_of(s);
  struct ws_topic *t;
  if (!ts) return name.p;
  t = name.p ? ws_topics_find(ts, name) : everybody(ts);
  if (!t) return name.p;
  return ws_publish_foreign(ts, except, t, opcode, message);
}

void ws_topics_free(struct ws_server *s) {
  struct ws_topics *ts = s->topics;
  if (s->carrier) s->carrier->calls->left(s->carrier, s);
  s->carrier = NULL;
  if (!ts) return;
  ws_list_remove(&ts->late.link);
  ws_topic_log_free(ts);
  ws_mem_free(ts->all);
  ws_mem_free(ts->buckets);
  ws_mem_free(ts);
  s->topics = NULL;
}
