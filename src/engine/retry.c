/* retry.c: when a lost client connects again, and with what. */
#include "engine/retry.h"

#include <string.h>

#include "engine/client.h"
#include "engine/conn.h"
#include "engine/conn_read.h"
#include "engine/route.h"

#define SLICES 12
#define ASKED_MAX 3600 /* seconds that a server may ask for */

struct ws_retry {
  struct ws_timer timer;
  struct ws_conn *conn;
  struct ws_client_request what; /* its slices point into text */
  double delay;                  /* the last one, before jitter; 0: none yet */
  double opened_at;
  bool was_ever_open;
  bool is_due; /* decided when the connection was lost */
  char text[];
};

static struct ws_retry *retry_of(const struct ws_conn *c) {
  return c->rare ? c->rare->retry : NULL;
}

/* All slices of a request, to be copied one by one. */
static void list_slices(struct ws_client_request *what,
                        struct ws_slice *list[SLICES]) {
  struct ws_slice *all[SLICES] = {
    &what->url.host,     &what->url.zone,    &what->url.authority,
    &what->url.socket,   &what->url.target,  &what->origin,
    &what->subprotocols, &what->fields,      &what->server_name,
    &what->proxy.host,   &what->proxy.login, &what->proxy.name};
  memcpy(list, all, sizeof all);
}

/* Copies `what`. False without memory. */
static bool init(struct ws_conn *c, const struct ws_client_request *what) {
  struct ws_rare *rare = ws_conn_rare(c);
  struct ws_client_request copy = *what;
  struct ws_slice *list[SLICES];
  size_t n = 0;
  list_slices(&copy, list);
  for (int i = 0; i < SLICES; i++) n += list[i]->n;
  struct ws_retry *r = rare ? ws_mem_zero(sizeof *r + n) : NULL;
  if (!r) return false;
  r->conn = c;
  r->what = *what;
  list_slices(&r->what, list);
  char *to = r->text;
  for (int i = 0; i < SLICES; i++) {
    if (!list[i]->n) continue;
    memcpy(to, list[i]->p, list[i]->n);
    list[i]->p = to;
    to += list[i]->n;
  }
  ws_tls_context_hold(r->what.tls);
  ws_tls_context_hold(r->what.proxy.tls);
  rare->retry = r;
  c->is_retrying = true;
  return true;
}

/* Would the same request be answered otherwise a little later? A proxy says
 * 404 or 5xx while the server behind it restarts; 408, 425 and 429 ask to
 * come back. */
static bool is_passing(int status) {
  return status >= 500 || status == 404 || status == 408 || status == 425 ||
         status == 429;
}

static bool is_final(const struct ws_conn *c, const struct ws_retry *r) {
  if (!c->is_retrying) return true;
  if (!r->was_ever_open && r->what.is_awaited) return true;
  if (c->rare->status) return !is_passing(c->rare->status);
  return c->code == 1000 || c->code == 1002 || c->code == 1008;
}

bool ws_retry_is_due(const struct ws_conn *c) {
  const struct ws_retry *r = retry_of(c);
  return r && r->is_due && c->is_retrying;
}

bool ws_retry_is_over(const struct ws_conn *c) {
  const struct ws_retry *r = retry_of(c);
  if (c->state != WS_CONN_CLOSED) return false;
  return !r || !c->is_retrying || (c->is_told && !r->is_due);
}

void ws_retry_end(struct ws_conn *c) {
  c->is_retrying = false;
}

/* ---- as its keeper ---- */

static void opened(struct ws_conn *c) {
  struct ws_retry *r = retry_of(c);
  if (!r) return;
  r->was_ever_open = true;
  r->opened_at = ws_loop_now(c->stream.watch.loop);
}

/* In pull mode the loss is put behind the messages that nobody has read. */
static void lost(struct ws_conn *c) {
  struct ws_retry *r = retry_of(c);
  if (!r || r->is_due) return;
  r->is_due = !is_final(c, r);
  if (!r->is_due || !c->was_opened || c->mode != WS_PULL) return;
  if (!ws_conn_mark_loss(c)) r->is_due = false;
}

/* RFC 9110 10.2.3, RFC 6585 4: not before that, within reason. */
static double asked_for(const struct ws_conn *c) {
  const struct ws_rare *r = c->rare;
  if (r->status != 429 && r->status != 503) return 0;
  return r->retry_after < ASKED_MAX ? r->retry_after : ASKED_MAX;
}

static double next_delay(struct ws_conn *c, struct ws_retry *r) {
  struct ws_loop *loop = c->stream.watch.loop;
  if (c->was_opened && ws_loop_now(loop) - r->opened_at > r->delay)
    r->delay = 0;
  double off = ws_backoff_next(loop, &r->what.reconnect, &r->delay);
  double asked = asked_for(c), delay = r->delay - off;
  return asked < delay ? delay : asked + off;
}

/* It may have ended in this very turn, before its time or behind it. */
static void on_time(struct ws_timer *t) {
  struct ws_retry *r = WS_LIST_ENTRY(t, struct ws_retry, timer);
  if (r->conn->state != WS_CONN_PENDING) return;
  r->is_due = false;
  ws_client_again(r->conn, &r->what);
}

/* In place of its being freed the wait begins. */
static bool keeps(struct ws_conn *c) {
  struct ws_retry *r = retry_of(c);
  if (!ws_retry_is_due(c)) return false;
  r->timer.fn = on_time;
  double delay = next_delay(c, r);
  if (!ws_loop_timer(c->stream.watch.loop, &r->timer, delay)) {
    c->is_retrying = false;
    return false;
  }
  ws_conn_renew(c);
  return true;
}

static void stop(struct ws_conn *c) {
  struct ws_retry *r = retry_of(c);
  if (r) ws_heap_clear(&c->stream.watch.loop->timers, &r->timer);
}

static void dispose(struct ws_conn *c) {
  struct ws_retry *r = retry_of(c);
  if (r) ws_tls_context_release(r->what.tls);
  if (r) ws_tls_context_release(r->what.proxy.tls);
  ws_mem_free(r);
  ws_route_free(c->route);
  ws_mem_free(c->route);
}

static void nothing(struct ws_conn *c) {
  (void)c;
}

static const struct ws_keeper keeper = {.opened = opened,
                                        .lost = lost,
                                        .told = nothing,
                                        .keeps = keeps,
                                        .stop = stop,
                                        .left = nothing,
                                        .dispose = dispose};

/* ---- starting ---- */

struct ws_route *ws_retry_prepare(struct ws_conn *c, struct ws_host *host) {
  struct ws_route *route = ws_mem_zero(sizeof *route);
  if (!route) return NULL;
  route->host = host;
  route->keeper = &keeper;
  c->protocol.is_client = true;
  return c->route = route;
}

bool ws_retry_start(struct ws_conn *c, struct ws_loop *loop, uint64_t id,
                    const struct ws_client_request *what) {
  if (what->reconnect.initial > 0 && !init(c, what)) return false;
  return ws_client_start(c, loop, c->route, id, what);
}
