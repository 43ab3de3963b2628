/* console.c: see console.h.
 *
 * Standard error is shared with others, so it stays as it is, which may be
 * blocking. A socket can be told for one call not to block; a pipe or a
 * terminal is opened once more (Linux), as what it is, but not blocking. Where
 * that cannot be, it is asked whether there is room first, which leaves a
 * small gap: whoever writes meanwhile. A record and the note before it are
 * written at once, and a pipe takes as much as a whole (PIPE_BUF). */
#include "transport/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#define NOTE_MAX 96

static atomic_ulong lost;   /* records, since one was written */
static atomic_bool is_torn; /* the last one has no end */

static bool has_room(void) {
  struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
  return poll(&p, 1, 0) == 1;
}

static ssize_t write_at_once(const char *bytes, size_t n) {
  struct stat st;
  if (fstat(STDERR_FILENO, &st) < 0) return -1;
  if (S_ISSOCK(st.st_mode))
    return send(STDERR_FILENO, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
    return write(STDERR_FILENO, bytes, n);
#ifdef __linux__
  int fd =
    open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0) {
    ssize_t r = write(fd, bytes, n);
    close(fd);
    return r;
  }
#endif
  return has_room() ? write(STDERR_FILENO, bytes, n) : -1;
}

/* The signals that writing may raise in this thread: SIGPIPE where the reader
 * is gone, SIGXFSZ where a file may grow no more. Those that wait already are
 * somebody else's. */
static void block(sigset_t *ours, sigset_t *before) {
  sigset_t pending;
  sigemptyset(ours);
  sigaddset(ours, SIGPIPE);
  sigaddset(ours, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, ours, before);
  sigpending(&pending);
  if (sigismember(&pending, SIGPIPE)) sigdelset(ours, SIGPIPE);
  if (sigismember(&pending, SIGXFSZ)) sigdelset(ours, SIGXFSZ);
}

static void take_back(const sigset_t *ours, int signum) {
  sigset_t pending, one;
  int got;
  sigpending(&pending);
  if (!sigismember(ours, signum) || !sigismember(&pending, signum)) return;
  sigemptyset(&one);
  sigaddset(&one, signum);
  sigwait(&one, &got);
}

static bool write_quietly(const char *bytes, size_t n) {
  sigset_t ours, before;
  block(&ours, &before);
  ssize_t r = write_at_once(bytes, n);
  take_back(&ours, SIGPIPE);
  take_back(&ours, SIGXFSZ);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (r > 0) atomic_store(&is_torn, (size_t)r < n);
  return r > 0;
}

void ws_console_write(const char *record, size_t n) {
  char all[NOTE_MAX + WS_CONSOLE_MAX];
  unsigned long missing = atomic_load(&lost);
  int error = errno, at = 0;
  if (n > WS_CONSOLE_MAX) n = WS_CONSOLE_MAX;
  if (atomic_load(&is_torn)) all[at++] = '\n';
  if (missing)
    at += snprintf(all + at, NOTE_MAX - 1,
                   "evws: %lu lines are missing here: they could not be "
                   "written\n",
                   missing);
  memcpy(all + at, record, n);
  all[at + (int)n - 1] = '\n';
  if (write_quietly(all, (size_t)at + n))
    atomic_fetch_sub(&lost, missing);
  else
    atomic_fetch_add(&lost, 1);
  errno = error;
}
