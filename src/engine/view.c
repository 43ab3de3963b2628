/* view.c: views of a topic. The host makes a message of each publish, once
 * for all who have the view; it stands in the turn's log as if it had been
 * published to a topic of theirs. */
#include "engine/view.h"

void ws_view_cut(struct ws_topic *t) {
  struct ws_list *e, *next;
  for (e = t->members.next; e != &t->members; e = next) {
    next = e->next;
    ws_conn_cut(WS_LIST_ENTRY(e, struct ws_subscription, link)->member->conn,
                1006, "out of memory");
  }
}

int64_t ws_view_give(struct ws_topics *ts, const struct ws_left_out *out,
                     struct ws_topic *t, const struct ws_bytes *bytes) {
  if (!out->is_foreign) return ws_publish(ts, out->except, t, bytes);
  return ws_publish_foreign(ts, out->ids, t, bytes) ? 0 : -1;
}

int64_t ws_view_publish(struct ws_topics *ts, const struct ws_left_out *out,
                        struct ws_topic *t, const struct ws_publication *p) {
  struct ws_host *host = ts->server->host;
  int64_t sum = 0;
  ws_topics_pin(ts);
  for (struct ws_topic *v = ws_topic_views(t); v; v = v->next) {
    struct ws_viewed m;
    if (v->n == 0 || !host->view(ts->server, v->view, p, &m)) continue;
    struct ws_bytes bytes = {.message = m.message, .opcode = m.opcode};
    int64_t n = ws_view_give(ts, out, v, &bytes);
    host->viewed(ts->server);
    if (n >= 0)
      sum += n;
    else
      ws_view_cut(v);
  }
  ws_topics_unpin(ts);
  return sum;
}

/* The bytes of p are the part's, which is held for as long as it takes. */
void ws_view_repeat(struct ws_topics *ts, struct ws_conn *c,
                    const struct ws_topic *t, const struct ws_publication *p,
                    const struct ws_part *ready) {
  struct ws_host *host = ts->server->host;
  struct ws_part made = {.range = {NULL, 0, 0}};
  struct ws_viewed m;
  if (!t->base) {
    ws_publish_give(c, ready);
    return;
  }
  ready->range.block->refs++;
  if (host->view(ts->server, t->view, p, &m)) {
    bool is_made = ws_topic_log_frame(ts, &made, m.opcode, m.message);
    host->viewed(ts->server);
    if (!is_made)
      ws_conn_cut(c, 1006, "out of memory");
    else if (c->ahead)
      ws_publish_give(c, &made);
  }
  ws_block_release(made.range.block);
  ws_block_release(ready->range.block);
}
