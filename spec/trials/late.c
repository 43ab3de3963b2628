/* late.c: a kernel that tells of things late. Preloaded (make late) into Lua,
 * now and then a turn of the loop hears of nothing yet, or only of some of
 * what is there, in another order. Events are level-triggered, so whatever was
 * left out is told of next time: a spec that holds only where all comes at
 * once fails.
 *
 * EVWS_LATE: of a hundred calls so many are late; EVWS_SEED: which ones. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define A_MOMENT 20 /* ms: a wait that can be over before anything comes */

typedef int waiting(int, struct epoll_event *, int, int);

static waiting *next;
static uint64_t state;
static unsigned percent;

/* Other programs that a spec starts may be told of edges: they are spared. */
__attribute__((constructor)) static void begin(void) {
  const char *late = getenv("EVWS_LATE"), *seed = getenv("EVWS_SEED");
  *(void **)&next = dlsym(RTLD_NEXT, "epoll_wait");
  if (late && strncmp(program_invocation_short_name, "lua", 3) == 0)
    percent = (unsigned)strtoul(late, NULL, 10);
  state =
    (seed ? strtoull(seed, NULL, 10) : 1) * 2654435761 + 88172645463325252;
}

static unsigned below(unsigned n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)((state >> 11) % n);
}

static void swap(struct epoll_event *a, struct epoll_event *b) {
  struct epoll_event it = *a;
  *a = *b;
  *b = it;
}

__attribute__((visibility("default"))) int
epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
  if (percent && below(100) < percent) {
    struct timespec pause = {0, 20000};
    if (timeout) nanosleep(&pause, NULL);
    if (timeout >= 0 && timeout <= A_MOMENT) return 0;
  }
  int n = next(fd, events, most, timeout);
  if (!percent || n < 2 || below(100) >= 2 * percent) return n;
  for (int i = n - 1; i > 0; i--)
    swap(&events[i], &events[below((unsigned)i + 1)]);
  return 1 + (int)below((unsigned)n);
}
