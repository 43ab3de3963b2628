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
