/* signals.c: signals of the process as bytes of a pipe. */
#include "transport/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "transport/standard.h"

static int ends[2] = {-1, -1};

/* A pipe that is full has been readable for long: one more is not missed. */
static void on_signal(int signum) {
  int error = errno;
  unsigned char byte = (unsigned char)signum;
  ssize_t n = write(ends[1], &byte, 1);
  (void)n;
  errno = error;
}

static int open_ends(void) {
  if (ends[0] >= 0) return 0;
  if (pipe(ends) < 0) return -errno;
  for (int i = 0; i < 2; i++) {
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    ends[i] = ws_standard_keep(ends[i]);
    fcntl(ends[i], F_SETFL, fcntl(ends[i], F_GETFL) | O_NONBLOCK);
  }
  return 0;
}

int ws_signals_open(const int *signums, int n) {
  struct sigaction action;
  int r = open_ends();
  if (r < 0) return r;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (int i = 0; i < n; i++)
    if (sigaction(signums[i], &action, NULL) < 0) return -errno;
  return ends[0];
}
