/* bus_sums.c: several Redises as one. */
#include "engine/bus_sums.h"

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

bool ws_bus_is_busy(const struct ws_link *links, size_t n_links) {
  for (size_t i = 0; i < n_links; i++)
    if (ws_link_is_busy(&links[i])) return true;
  return false;
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
