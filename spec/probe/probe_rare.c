/* probe_rare.c: calls that are made when something begins, and fail as those
 * of probe_faults.c do. */
#define _GNU_SOURCE
#include "probe_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
#ifdef WS_HIREDIS
#include <hiredis/read.h>
#endif

SHOWN int chmod(const char *path, mode_t mode) {
  if (probe_fails(CHMOD)) return -1;
  NEXT(chmod, path, mode);
}

SHOWN int dup(int fd) {
  if (probe_fails(DUP)) return -1;
  NEXT(dup, fd);
}

SHOWN int epoll_create1(int flags) {
  if (probe_fails(EPOLL_CREATE)) return -1;
  NEXT(epoll_create1, flags);
}

/* All that is called here takes an int or a pointer. */
SHOWN int fcntl(int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  void *arg = va_arg(args, void *);
  va_end(args);
  if (probe_fails(FCNTL)) return -1;
  NEXT(fcntl, fd, command, arg);
}

SHOWN int fstat(int fd, struct stat *st) {
  if (probe_fails(FSTAT)) return -1;
  NEXT(fstat, fd, st);
}

/* As file.c calls it, with offsets of 64 bits. */
SHOWN int fstat64(int fd, struct stat64 *st) {
  if (probe_fails(FSTAT)) return -1;
  NEXT(fstat64, fd, st);
}

SHOWN int ftruncate(int fd, off_t n) {
  if (probe_fails(FTRUNCATE)) return -1;
  NEXT(ftruncate, fd, n);
}

SHOWN int getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
  if (probe_fails(GETSOCKOPT)) return -1;
  NEXT(getsockopt, fd, level, name, value, len);
}

SHOWN int lstat(const char *path, struct stat *st) {
  if (probe_fails(LSTAT)) return -1;
  NEXT(lstat, path, st);
}

SHOWN int memfd_create(const char *name, unsigned flags) {
  if (probe_fails(MEMFD)) return -1;
  NEXT(memfd_create, name, flags);
}

SHOWN int openat64(int dir, const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
  va_end(args);
  if (probe_fails(OPENAT)) return -1;
  NEXT(openat64, dir, path, flags, mode);
}

/* As it is called where functions are fortified. */
SHOWN int openat_checked(int dir, const char *path,
                         int flags) __asm__("__openat64_2");

int openat_checked(int dir, const char *path, int flags) {
  return openat64(dir, path, flags, 0);
}

/* openat2, which glibc has no function for; others pass. */
SHOWN long syscall(long number, ...) {
  long a[6];
  va_list args;
  va_start(args, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
  va_end(args);
#ifdef SYS_openat2
  if (number == SYS_openat2 && probe_fails(OPENAT2)) return -1;
#endif
  NEXT(syscall, number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

SHOWN int pipe(int ends[2]) {
  if (probe_fails(PIPE)) return -1;
  NEXT(pipe, ends);
}

SHOWN int pipe2(int ends[2], int flags) {
  if (probe_fails(PIPE2)) return -1;
  NEXT(pipe2, ends, flags);
}

SHOWN int poll(struct pollfd *fds, nfds_t n, int timeout) {
  if (probe_fails(POLL)) return -1;
  NEXT(poll, fds, n, timeout);
}

SHOWN ssize_t pread64(int fd, void *to, size_t n, off64_t at) {
  if (probe_fails(PREAD)) return -1;
  NEXT(pread64, fd, to, n, at);
}

SHOWN int posix_spawnp(pid_t *pid, const char *file,
                       const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[],
                       char *const env[]) {
  if (probe_fails(SPAWN)) return errno;
  NEXT(posix_spawnp, pid, file, actions, attributes, argv, env);
}

SHOWN int pthread_create(pthread_t *id, const pthread_attr_t *attributes,
                         void *(*run)(void *), void *arg) {
  if (probe_fails(THREAD)) return errno;
  NEXT(pthread_create, id, attributes, run, arg);
}

SHOWN ssize_t recvmsg(int fd, struct msghdr *m, int flags) {
  if (probe_fails(RECVMSG)) return -1;
  NEXT(recvmsg, fd, m, flags);
}

SHOWN int socketpair(int domain, int type, int protocol, int fds[2]) {
  if (probe_fails(SOCKETPAIR)) return -1;
  NEXT(socketpair, domain, type, protocol, fds);
}

SHOWN int timerfd_create(clockid_t clock, int flags) {
  if (probe_fails(TIMERFD)) return -1;
  NEXT(timerfd_create, clock, flags);
}

SHOWN int unlink(const char *path) {
  if (probe_fails(UNLINK)) return -1;
  NEXT(unlink, path);
}

/* ---- hiredis, without memory ---- */

#ifdef WS_HIREDIS
SHOWN redisReader *
redisReaderCreateWithFunctions(redisReplyObjectFunctions *functions) {
  if (probe_fails(REPLY_READER)) return NULL;
  NEXT(redisReaderCreateWithFunctions, functions);
}

SHOWN int redisReaderFeed(redisReader *reader, const char *bytes, size_t n) {
  if (probe_fails(REPLY_FEED)) return REDIS_ERR;
  NEXT(redisReaderFeed, reader, bytes, n);
}

SHOWN int redisReaderGetReply(redisReader *reader, void **reply) {
  if (probe_fails(REPLY)) {
    reader->err = REDIS_ERR_OOM;
    return REDIS_ERR;
  }
  NEXT(redisReaderGetReply, reader, reply);
}
#endif
