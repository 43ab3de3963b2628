/* pace.h: how long turns take and how late they come. */
#ifndef EVWS_PACE_H
#define EVWS_PACE_H

#include <stdint.h>

#define WS_PACE_BOUNDS 4    /* 1 ms, 10 ms, 100 ms, 1 s; longer ones behind */
#define WS_PACE_WINDOW 30.0 /* seconds */

extern const double ws_pace_bounds[WS_PACE_BOUNDS];

struct ws_pace {
  uint64_t turns[WS_PACE_BOUNDS + 1]; /* by the first bound not exceeded */
  double busy;                        /* seconds in all of them */
  double late[2]; /* the most in this window, and in the one before */
  double window;  /* when this one began */
};

/* A turn took so many seconds. */
void ws_pace_turn(struct ws_pace *p, double seconds);

/* What was due came so many seconds late. */
void ws_pace_late(struct ws_pace *p, double now, double seconds);

/* The most, of the last 30 to 60 seconds. */
double ws_pace_lag(const struct ws_pace *p, double now);

#endif
