/* pace.c: how long turns take and how late they come. */
#include "transport/pace.h"

const double ws_pace_bounds[WS_PACE_BOUNDS] = {0.001, 0.01, 0.1, 1};

void ws_pace_turn(struct ws_pace *p, double seconds) {
  int i = 0;
  while (i < WS_PACE_BOUNDS && seconds > ws_pace_bounds[i]) i++;
  p->turns[i]++;
  p->busy += seconds;
}

void ws_pace_late(struct ws_pace *p, double now, double seconds) {
  double age = now - p->window;
  if (age >= WS_PACE_WINDOW) {
    p->late[1] = age < 2 * WS_PACE_WINDOW ? p->late[0] : 0;
    p->late[0] = 0;
    p->window = now;
  }
  if (seconds > p->late[0]) p->late[0] = seconds;
}

double ws_pace_lag(const struct ws_pace *p, double now) {
  double age = now - p->window;
  if (age >= 2 * WS_PACE_WINDOW) return 0;
  if (age >= WS_PACE_WINDOW || p->late[0] > p->late[1]) return p->late[0];
  return p->late[1];
}
