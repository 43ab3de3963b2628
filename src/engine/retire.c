/* retire.c: a server that goes while others go on listening on its sockets. */
#include "engine/retire.h"

#include <math.h>

#include "engine/conn.h"
#include "engine/farewell.h"
#include "engine/listener.h"
#include "engine/pending.h"

#define LOOK_AGAIN 0.02  /* seconds, while somebody is on the way */
#define LOOK_RARELY 0.25 /* while it lingers: the last one may have gone */

static struct ws_pending *pending_of(struct ws_list *e) {
  struct ws_conn *c = WS_LIST_ENTRY(e, struct ws_conn, link);
  return c->state == WS_CONN_PENDING ? ws_pending_of(c) : NULL;
}

/* Between two requests a connection may end (RFC 9112 9.3.1); whoever has not
 * asked yet has a little while for it. */
static void hurry(struct ws_server *s) {
  for (struct ws_list *e = s->conns.next; e != &s->conns; e = e->next) {
    struct ws_pending *p = pending_of(e);
    if (!p || p->step == WS_STEP_ASKED || p->step == WS_STEP_STREAM) continue;
    if (p->is_idle && !p->n)
      ws_pending_cut(p->conn, WS_REFUSED_CLOSING, "server closed");
    else
      ws_pending_hurry(p->conn, WS_LISTENER_LATE);
  }
}

/* A plain request that is thought about may take long, as polls do: it is told
 * of the end by on_closing, and answered all the same. */
static bool is_on_its_way(const struct ws_pending *p) {
  if (p->step == WS_STEP_ASKED) return p->is_refusing; /* an upgrade */
  return p->step != WS_STEP_STREAM && p->step != WS_STEP_ANSWERED;
}

/* Somebody who would be refused once it closes. */
static bool has_pending(const struct ws_server *s) {
  for (struct ws_list *e = s->conns.next; e != &s->conns; e = e->next) {
    const struct ws_pending *p = pending_of(e);
    if (p && is_on_its_way(p)) return true;
  }
  return false;
}

static void look(struct ws_server *s) {
  struct ws_retiring *r = &s->retiring;
  double now = ws_loop_now(s->loop);
  if (s->is_gone || s->is_closing) return;
  double due = 0;
  if (now < r->linger && s->n_conns)
    due = fmin(r->linger - now, LOOK_RARELY);
  else if (now < r->most && (now < r->expects || has_pending(s)))
    due = LOOK_AGAIN;
  if (due > 0 && ws_loop_timer(s->loop, &r->timer, due)) return;
  ws_farewell_begin(s, r->code, (struct ws_slice){"", 0}, r->grace);
}

static void on_timer(struct ws_timer *t) {
  look(WS_LIST_ENTRY(t, struct ws_server, retiring.timer));
}

void ws_retire_begin(struct ws_server *s, double linger, int code,
                     double grace) {
  struct ws_retiring *r = &s->retiring;
  double now = ws_loop_now(s->loop);
  if (s->is_gone || s->is_closing) return;
  bool was_on = r->is_on;
  r->linger = was_on ? fmin(r->linger, now + linger) : now + linger;
  r->most = r->linger + fmax(2 * WS_LISTENER_LATE, grace / 4);
  r->grace = was_on ? fmin(r->grace, grace) : grace;
  r->code = code;
  r->is_on = true;
  r->timer.fn = on_timer;
  if (!was_on) {
    ws_listener_stop(s);
    hurry(s);
  }
  look(s);
}
