/* standard.c: see standard.h. */
#include "transport/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FIRST 3 /* that is not one of them */

static int are_there(void) {
  for (int fd = 0; fd < FIRST; fd++)
    if (fcntl(fd, F_GETFD) < 0) return 0;
  return 1;
}

/* A new descriptor is the lowest there is. Children have them as well. */
void ws_standard_fill(void) {
  int error = errno, fd;
  if (!are_there()) {
    do {
      fd = open("/dev/null", O_RDWR | O_NOCTTY);
    } while (fd >= 0 && fd < FIRST);
    if (fd >= 0) close(fd);
  }
  errno = error;
}

int ws_standard_keep(int fd) {
  if (fd < 0 || fd >= FIRST) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
  if (moved < 0) return fd;
  close(fd);
  ws_standard_fill();
  return moved;
}

bool ws_standard_has_three(void) {
  int ends[2];
  if (pipe(ends) < 0) return false;
  int third = dup(ends[0]);
  close(ends[0]);
  close(ends[1]);
  if (third >= 0) close(third);
  return third >= 0;
}
