/* pidfile.c: a file with the number of a process that runs. */
#include "transport/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100 /* that somebody takes it away in between */

static bool is_still(const char *path, int fd) {
  struct stat here, there;
  return fstat(fd, &here) == 0 && stat(path, &there) == 0 &&
         here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

static int lock(int fd, long *holder) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(fd, F_SETLK, &lock) == 0) return 0;
  if (errno != EAGAIN && errno != EACCES) return -errno;
  if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
    *holder = (long)lock.l_pid;
  return -EAGAIN;
}

/* A number, or nothing: no file of another kind is written over. */
static int check(int fd) {
  char text[32];
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n < 0) return -errno;
  for (ssize_t i = 0; i < n; i++)
    if (!memchr("0123456789 \r\n", text[i], 13)) return -EINVAL;
  return n == sizeof text ? -EINVAL : 0;
}

static int write_number(int fd) {
  char text[32];
  int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  errno = 0; /* where less is written there is no reason */
  if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
    return errno ? -errno : -EIO;
  return 0;
}

/* 1: it is another file by now. */
static int take(const char *path, int fd, long *holder) {
  int r = check(fd);
  if (r == 0) r = lock(fd, holder);
  if (r == 0 && !is_still(path, fd)) return 1;
  return r == 0 ? write_number(fd) : r;
}

int ws_pidfile_take(const char *path, long *holder) {
  *holder = 0;
  for (int i = 0; i < TRIES; i++) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0) return -errno;
    int r = take(path, fd, holder);
    if (r == 0) return fd;
    close(fd);
    if (r < 0) return r;
  }
  return -EBUSY;
}

void ws_pidfile_leave(const char *path, int fd) {
  if (is_still(path, fd)) unlink(path);
  close(fd);
}
