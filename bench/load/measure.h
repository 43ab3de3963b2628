/* measure.h: latencies, and what processes cost. */
#ifndef LOAD_MEASURE_H
#define LOAD_MEASURE_H

#include <stdint.h>

/* 128 linear steps for each power of two: an error below 0.8 %. */
#define HISTOGRAM_BITS 7

struct histogram {
  uint64_t n, most;
  uint64_t counts[(64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS];
};

void histogram_add(struct histogram *h, uint64_t ns, uint64_t n);
/* Nanoseconds that a share q of all did not exceed. */
uint64_t histogram_at(const struct histogram *h, double q);

#define PROCESSES_MAX 64

struct processes {
  int ids[PROCESSES_MAX];
  int n;
};

/* A moment, and what has been used up to it. */
struct sample {
  uint64_t at;     /* nanoseconds */
  uint64_t server; /* CPU time of the processes, nanoseconds */
  uint64_t own;    /* ours */
  uint64_t memory; /* resident bytes of the processes */
  uint64_t answered, opened;
};

struct measured {
  struct sample from, to;
};

uint64_t clock_now(void);

/* All but the last two. Fails where a process has gone. */
void sample_take(struct sample *s, const struct processes *p);

#endif
