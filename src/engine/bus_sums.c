/* bus_sums.c: several Redises as one. */
#include "engine/bus_sums.h"

#include "transport/parting.h"

enum ws_bus_state ws_bus_state_of(const struct ws_link *links, size_t n_links) {
  bool is_up = true, is_away = false;
  size_t n_closed = 0;
  for (size_t i = 0; i < n_links; i++) {
    const struct ws_link *l = &links[i];
    n_closed += l->state == WS_LINK_CLOSED;
    is_up = is_up && l->state == WS_LINK_UP;
    is_away = is_away || l->state == WS_LINK_AWAY;
  }
  if (n_closed == n_links) return WS_BUS_CLOSED;
  return is_up ? WS_BUS_UP : is_away ? WS_BUS_AWAY : WS_BUS_CONNECTING;
}

size_t ws_bus_pending(const struct ws_link *links, size_t n_links) {
  size_t n = 0;
  for (size_t i = 0; i < n_links; i++) n += ws_link_pending(&links[i]);
  return n;
}

void ws_bus_fence(struct ws_link *links, size_t n_links) {
  for (size_t i = 0; i < n_links; i++) ws_link_fence(&links[i]);
}

bool ws_bus_is_behind(struct ws_link *links, size_t n_links) {
  for (size_t i = 0; i < n_links; i++)
    if (ws_link_is_behind(&links[i])) return true;
  return false;
}

static void part(struct ws_link *l, bool may_wait) {
  double given;
  struct ws_slice first;
  bool is_up = l->state == WS_LINK_UP && l->cmd.state == WS_REDIS_READY;
  if (!is_up || ws_loop_is_forked(l->loop) || !(l->pending.n || l->cmd.loud))
    return;
  while ((first = ws_bus_pending_first(&l->pending, &given)).p) {
    ws_redis_write(&l->cmd, first.p, first.n);
    ws_bus_pending_shift(&l->pending);
  }
  ws_parting(&l->cmd.stream, may_wait ? l->redis.timeout : 0);
  ws_redis_stop(&l->cmd);
}

void ws_bus_part(struct ws_link *links, size_t n_links, bool may_wait) {
  for (size_t i = 0; i < n_links; i++) part(&links[i], may_wait);
}

size_t ws_bus_subscriptions(const struct ws_link *links, size_t n_links) {
  size_t n = 0;
  for (size_t i = 0; i < n_links; i++) n += links[i].subscriber.channels.n;
  return n;
}

size_t ws_bus_subscriptions_refused(const struct ws_link *links,
                                    size_t n_links) {
  size_t n = 0;
  for (size_t i = 0; i < n_links; i++)
    n += links[i].subscriber.channels.n_refused;
  return n;
}

double ws_bus_rtt(const struct ws_link *links, size_t n_links) {
  double most = 0;
  for (size_t i = 0; i < n_links; i++) {
    const struct ws_link *l = &links[i];
    if (l->cmd.rtt > most) most = l->cmd.rtt;
  }
  return most;
}
