/* sim_options.h: what can be set of a simulated network. */
#ifndef EVWS_SIM_OPTIONS_H
#define EVWS_SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The way between two ends. */
struct ws_sim_link {
  double delay, spread; /* seconds: each piece takes delay to delay + spread */
  double cut;           /* 0 to 1: so many reads and writes are short */
  double rate;          /* bytes a second; 0: no limit */
  size_t buffer;        /* bytes one way holds, those not yet read included */
};

struct ws_sim_options {
  struct ws_sim_link link;
  uint64_t seed;
  int64_t epoch; /* what the time of day is at first */
  double limit;  /* seconds; then nothing happens any more */
  bool has_trace;
};

#endif
