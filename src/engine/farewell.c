/* farewell.c: the end of a server: everybody is told, a batch at a time, and
 * waited for, no longer than was asked. */
#include "engine/farewell.h"

#include <string.h>

#include "engine/answer.h"
#include "engine/conn.h"
#include "engine/listener.h"
#include "engine/pending.h"

static void cut_all(struct ws_server *s) {
  struct ws_list *e;
  for (e = s->conns.next; e != &s->conns; e = e->next) {
    struct ws_conn *c = WS_LIST_ENTRY(e, struct ws_conn, link);
    struct ws_pending *p = ws_pending_of(c);
    s->was_cut = true;
    if (p && c->state == WS_CONN_PENDING) p->why = WS_REFUSED_CLOSING;
    ws_conn_terminate(c, 1001, "server closed"); /* freed at the turn's end */
  }
}

static void on_limit(struct ws_timer *t) {
  cut_all(WS_LIST_ENTRY(t, struct ws_server, limit));
}

static struct ws_slice reason_of(const struct ws_farewell *f) {
  return (struct ws_slice){f->reason, f->reason_len};
}

/* The first ones of the list move to its end: whoever leaves meanwhile only
 * makes some be visited twice, which is harmless. */
static void tell(struct ws_server *s, uint64_t n) {
  struct ws_farewell *f = &s->farewell;
  for (; n && f->left && !ws_list_is_empty(&s->conns); f->left--) {
    struct ws_list *e = ws_list_shift(&s->conns);
    struct ws_conn *c = WS_LIST_ENTRY(e, struct ws_conn, link);
    ws_list_append(&s->conns, e);
    if (c->state != WS_CONN_OPEN && c->state != WS_CONN_CLOSING) continue;
    ws_conn_close(c, f->code, reason_of(f), "server closed");
    n--;
  }
}

static void tell_some(struct ws_server *s) {
  struct ws_timer *t = &s->farewell.timer;
  tell(s, WS_FAREWELL_BATCH);
  if (!s->farewell.left) return;
  if (!ws_loop_timer(s->loop, t, s->farewell.step)) tell(s, UINT64_MAX);
}

static void on_farewell(struct ws_timer *t) {
  struct ws_server *s = WS_LIST_ENTRY(t, struct ws_server, farewell.timer);
  if (s->is_leaving)
    tell_some(s);
  else
    ws_farewell_go(s);
}

void ws_farewell_init(struct ws_server *s) {
  s->limit.fn = on_limit;
  s->farewell.timer.fn = on_farewell;
}

/* Between two requests a connection may end (RFC 9112 9.3.1); whoever has not
 * asked yet is answered, with 503 to an upgrade, if it asks soon. */
static void hurry_pending(struct ws_server *s) {
  struct ws_list *e;
  for (e = s->conns.next; e != &s->conns; e = e->next) {
    struct ws_conn *c = WS_LIST_ENTRY(e, struct ws_conn, link);
    struct ws_pending *p = ws_pending_of(c);
    if (c->state != WS_CONN_PENDING || !p || p->step == WS_STEP_ASKED) continue;
    if (p->step == WS_STEP_STREAM) continue;
    if (p->is_idle && !p->n)
      ws_pending_cut(c, WS_REFUSED_CLOSING, "server closed");
    else
      ws_pending_hurry(c, WS_LISTENER_LATE);
  }
}

/* Who writes a body is told that it cannot go on. */
static void tell_streams(struct ws_server *s) {
  struct ws_list *e;
  for (e = s->conns.next; e != &s->conns; e = e->next) {
    struct ws_conn *c = WS_LIST_ENTRY(e, struct ws_conn, link);
    struct ws_pending *p = ws_pending_of(c);
    if (c->state == WS_CONN_PENDING && p && p->step == WS_STEP_STREAM)
      ws_answer_tell_gone(c);
  }
}

void ws_farewell_go(struct ws_server *s) {
  struct ws_farewell *f = &s->farewell;
  double batches = (double)s->n_conns / WS_FAREWELL_BATCH;
  if (s->is_gone || s->is_leaving) return;
  s->is_leaving = true;
  f->left = s->n_conns;
  f->step = WS_FAREWELL_STEP;
  if (batches * f->step > f->timeout / 4) f->step = f->timeout / 4 / batches;
  tell_streams(s);
  tell_some(s);
  ws_server_check_gone(s);
}

static void begin(struct ws_server *s, int code, struct ws_slice reason,
                  double timeout) {
  struct ws_farewell *f = &s->farewell;
  double first = timeout / 4;
  f->code = (uint16_t)code;
  f->timeout = timeout;
  f->reason_len = (uint8_t)reason.n;
  if (reason.n) memcpy(f->reason, reason.p, reason.n);
  hurry_pending(s);
  ws_listener_stop(s);
  bool is_asked = timeout > 0 && s->host->closing && s->host->closing(s, first);
  if (!is_asked || !ws_loop_timer(s->loop, &f->timer, first)) ws_farewell_go(s);
}

void ws_farewell_begin(struct ws_server *s, int code, struct ws_slice reason,
                       double timeout) {
  if (s->is_gone) return;
  if (!s->is_closing) {
    s->is_closing = true;
    begin(s, code, reason, timeout);
    if (s->is_gone) return; /* nobody was there: no timer outlives it */
  }
  if (timeout <= 0 || !ws_loop_timer(s->loop, &s->limit, timeout)) {
    ws_farewell_go(s);
    cut_all(s);
  }
  ws_server_check_gone(s);
}
