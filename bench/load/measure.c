/* measure.c: a histogram, and what /proc tells. */
#include "measure.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

/* ---- latencies ---- */

static unsigned step_of(uint64_t ns) {
  const unsigned linear = 1u << HISTOGRAM_BITS;
  if (ns < linear) return (unsigned)ns;
  unsigned e = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
  return ((e + 1) << HISTOGRAM_BITS) + ((ns >> e) & (linear - 1));
}

static uint64_t value_of(unsigned step) {
  const unsigned linear = 1u << HISTOGRAM_BITS;
  if (step < linear) return step;
  unsigned e = (step >> HISTOGRAM_BITS) - 1;
  return (uint64_t)(linear + (step & (linear - 1))) << e;
}

void histogram_add(struct histogram *h, uint64_t ns, uint64_t n) {
  h->counts[step_of(ns)] += n;
  h->n += n;
  if (ns > h->most) h->most = ns;
}

uint64_t histogram_at(const struct histogram *h, double q) {
  uint64_t wanted = (uint64_t)(q * (double)h->n), have = 0;
  unsigned steps = sizeof h->counts / sizeof *h->counts;
  for (unsigned i = 0; i < steps; i++) {
    have += h->counts[i];
    if (have > wanted) return value_of(i);
  }
  return h->most;
}

/* ---- processes ---- */

uint64_t clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The text of a file of a process; false: there is none. */
static bool read_text(const char *path, char *text, size_t room) {
  FILE *f = fopen(path, "r");
  if (!f) return false;
  text[fread(text, 1, room - 1, f)] = 0;
  fclose(f);
  return true;
}

/* The n-th number or word of a text, 1 and up, as a number. */
static uint64_t number_at(const char *text, int n) {
  for (int i = 1; i < n; i++) {
    text += strcspn(text, " ");
    text += strspn(text, " ");
  }
  return strtoull(text, NULL, 10);
}

/* To the nanosecond, of all its threads; where the kernel does not count so,
 * 0. */
static uint64_t scheduled_time(int id) {
  char path[320], text[256];
  uint64_t sum = 0;
  snprintf(path, sizeof path, "/proc/%d/task", id);
  DIR *d = opendir(path);
  if (!d) fail("there is no process %d", id);
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", id, e->d_name);
    if (read_text(path, text, sizeof text)) sum += number_at(text, 1);
  }
  closedir(d);
  return sum;
}

/* In ticks of the system, mostly a hundredth of a second. */
static uint64_t ticked_time(int id) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", id);
  if (!read_text(path, text, sizeof text)) fail("there is no process %d", id);
  const char *behind_name = strrchr(text, ')');
  if (!behind_name) fail("cannot read %s", path);
  uint64_t ticks = number_at(behind_name, 13) + number_at(behind_name, 14);
  return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t resident(int id) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/%d/statm", id);
  if (!read_text(path, text, sizeof text)) fail("there is no process %d", id);
  return number_at(text, 2) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t in_ns(struct timeval t) {
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

void sample_take(struct sample *s, const struct processes *p) {
  struct rusage own;
  *s = (struct sample){.at = clock_now()};
  for (int i = 0; i < p->n; i++) {
    uint64_t time = scheduled_time(p->ids[i]);
    s->server += time ? time : ticked_time(p->ids[i]);
    s->memory += resident(p->ids[i]);
  }
  getrusage(RUSAGE_SELF, &own);
  s->own = in_ns(own.ru_utime) + in_ns(own.ru_stime);
}
