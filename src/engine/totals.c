/* totals.c: what a server has counted, summed and as words. */
#include "engine/totals.h"

#include <string.h>

#include "engine/route.h"

#define MICROS 1e6

struct ws_totals ws_totals_of(const struct ws_server *s, uint64_t queued) {
  struct ws_loop *loop = s->loop;
  struct ws_totals t = {.stats = s->stats,
                        .traffic = ws_route_traffic(s),
                        .busy = loop->pace.busy,
                        .open = s->n_open,
                        .pending = s->n_conns - s->n_open,
                        .queued = queued,
                        .memory = ws_mem_used(),
                        .present = s->stats.joins - s->stats.leaves,
                        .lag = ws_pace_lag(&loop->pace, ws_loop_now(loop))};
  memcpy(t.turns, loop->pace.turns, sizeof t.turns);
  return t;
}

static void add_stats(struct ws_stats *sum, const struct ws_stats *s) {
  sum->accepted += s->accepted;
  sum->opened += s->opened;
  sum->requests += s->requests;
  sum->joins += s->joins;
  sum->leaves += s->leaves;
  for (int i = 0; i < WS_REFUSALS; i++) sum->refused[i] += s->refused[i];
  ws_closes_add(&sum->closed, &s->closed);
}

void ws_totals_add(struct ws_totals *sum, const struct ws_totals *t) {
  add_stats(&sum->stats, &t->stats);
  ws_traffic_add(&sum->traffic, &t->traffic);
  for (int i = 0; i <= WS_PACE_BOUNDS; i++) sum->turns[i] += t->turns[i];
  sum->busy += t->busy;
  sum->open += t->open;
  sum->pending += t->pending;
  sum->queued += t->queued;
  sum->memory += t->memory;
  sum->present += t->present;
  if (t->lag > sum->lag) sum->lag = t->lag;
}

/* ---- as words ---- */

static uint64_t *put(uint64_t *w, const uint64_t *from, size_t n) {
  memcpy(w, from, n * sizeof *w);
  return w + n;
}

static const uint64_t *get(const uint64_t *w, uint64_t *to, size_t n) {
  memcpy(to, w, n * sizeof *w);
  return w + n;
}

static uint64_t micros(double seconds) {
  return (uint64_t)(seconds * MICROS);
}

void ws_totals_pack(const struct ws_totals *t, uint64_t w[WS_TOTALS_WORDS]) {
  const struct ws_stats *s = &t->stats;
  const struct ws_traffic *r = &t->traffic;
  const uint64_t first[] = {s->accepted, s->opened, s->requests, s->joins,
                            s->leaves};
  const uint64_t traffic[] = {r->messages_in, r->bytes_in, r->messages_out,
                              r->bytes_out, r->dropped};
  const uint64_t last[] = {micros(t->busy), t->open,   t->pending,
                           t->queued,       t->memory, micros(t->lag),
                           t->present};
  w = put(w, first, 5);
  w = put(w, s->refused, WS_REFUSALS);
  w = put(w, s->closed.known, WS_CODES);
  for (int i = 0; i < WS_OWN_CODES; i++) {
    *w++ = s->closed.own[i].code;
    *w++ = s->closed.own[i].n;
  }
  *w++ = s->closed.others;
  w = put(w, traffic, 5);
  w = put(w, t->turns, WS_PACE_BOUNDS + 1);
  put(w, last, 7);
}

void ws_totals_unpack(struct ws_totals *t, const uint64_t w[WS_TOTALS_WORDS]) {
  struct ws_stats *s = &t->stats;
  uint64_t first[5], traffic[5], last[7];
  w = get(w, first, 5);
  w = get(w, s->refused, WS_REFUSALS);
  w = get(w, s->closed.known, WS_CODES);
  for (int i = 0; i < WS_OWN_CODES; i++) {
    s->closed.own[i].code = (uint16_t)*w++;
    s->closed.own[i].n = *w++;
  }
  s->closed.others = *w++;
  w = get(w, traffic, 5);
  w = get(w, t->turns, WS_PACE_BOUNDS + 1);
  get(w, last, 7);
  s->accepted = first[0];
  s->opened = first[1];
  s->requests = first[2];
  s->joins = first[3];
  s->leaves = first[4];
  t->traffic = (struct ws_traffic){traffic[0], traffic[1], traffic[2],
                                   traffic[3], traffic[4]};
  t->busy = (double)last[0] / MICROS;
  t->open = last[1];
  t->pending = last[2];
  t->queued = last[3];
  t->memory = last[4];
  t->lag = (double)last[5] / MICROS;
  t->present = last[6];
}
