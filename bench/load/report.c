/* report.c: what was measured, in one line of name=value. */
#include <stdio.h>

#include "load.h"

static void tell_latency(const struct histogram *h) {
  printf(" p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f",
         (double)histogram_at(h, 0.5) / 1e3,
         (double)histogram_at(h, 0.99) / 1e3,
         (double)histogram_at(h, 0.999) / 1e3, (double)h->most / 1e3);
}

static void tell_growth(const struct load *l, const struct measured *m) {
  double grown = (double)m->to.memory - (double)m->from.memory;
  printf(" memory=%llu bytes=%.0f\n", (unsigned long long)m->to.memory,
         grown / l->plan.conns);
}

void report(const struct load *l, const struct measured *m) {
  static const char *const modes[] = {"echo", "broadcast", "handshake", "idle"};
  const struct plan *p = &l->plan;
  double seconds = (double)(m->to.at - m->from.at) / 1e9;
  bool has_messages = p->mode == ECHO || p->mode == BROADCAST;
  uint64_t n = has_messages ? m->to.answered - m->from.answered
                            : m->to.opened - m->from.opened;
  double cpu = (double)(m->to.server - m->from.server) / 1e3;
  printf("mode=%s tls=%d deflate=%d conns=%u", modes[p->mode], p->is_tls,
         p->kind.is_deflated, p->conns);
  if (has_messages)
    printf(" size=%zu in_flight=%u", l->messages.kind.size, p->in_flight);
  printf(" seconds=%.3f n=%llu", seconds, (unsigned long long)n);
  if (p->mode == IDLE) {
    tell_growth(l, m);
    return;
  }
  printf(" per_second=%.0f", (double)n / seconds);
  if (p->steps == 0) tell_latency(&l->latency);
  if (p->server.n > 0)
    printf(" cpu_us=%.3f cpu_share=%.3f memory=%llu", n ? cpu / (double)n : 0,
           cpu / seconds / 1e6, (unsigned long long)m->to.memory);
  printf(" own_share=%.3f\n",
         (double)(m->to.own - m->from.own) / seconds / 1e9);
}
