/* view.c: views of a topic. The host makes a message of each publish, once
 * for all who have the view; it stands in the turn's log as if it had been
 * published to a topic of theirs. */
#include "engine/view.h"

/* A hole would not be noticed by who counts on there being none. */
static void cut_all(struct ws_topic *v) {
  struct ws_list *e, *next;
  for (e = v->members.next; e != &v->members; e = next) {
    next = e->next;
    ws_conn_cut(WS_LIST_ENTRY(e, struct ws_subscription, link)->member->conn,
                1006, "out of memory");
  }
}

static int64_t give(struct ws_topics *ts, const struct ws_left_out *out,
                    struct ws_topic *v, const struct ws_viewed *m) {
  int64_t n = 0;
  if (!out->is_foreign)
    n = ws_publish(ts, out->except, v, m->opcode, m->message);
  else if (!ws_publish_foreign(ts, out->ids, v, m->opcode, m->message))
    n = -1;
  if (n >= 0) return n;
  cut_all(v);
  return 0;
}

int64_t ws_view_publish(struct ws_topics *ts, const struct ws_left_out *out,
                        struct ws_topic *t, const struct ws_publication *p) {
  struct ws_host *host = ts->server->host;
  int64_t n = 0;
  ws_topics_pin(ts);
  for (struct ws_topic *v = t->facets->views; v; v = v->next) {
    struct ws_viewed m;
    if (v->n == 0) continue;
    if (!host->view(ts->server, v->view, p, &m)) continue;
    n += give(ts, out, v, &m);
    host->viewed(ts->server);
  }
  ws_topics_unpin(ts);
  return n;
}
