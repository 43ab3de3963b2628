/* probe_faults.h: calls that fail when they are told to, by being preloaded.
 * Each stands in front of the one of its name. */
#ifndef EVWS_PROBE_FAULTS_H
#define EVWS_PROBE_FAULTS_H

#include <dlfcn.h>
#include <stdbool.h>

enum probe_kind {
  ACCEPT,
  BIND,
  CONNECT,
  GETSOCKNAME,
  LISTEN,
  READV,
  RECV,
  SEND,
  SENDMSG,
  SETSOCKOPT,
  SOCKET,
  RANDOM,
  DEFLATE_INIT,
  DEFLATE,
  INFLATE_INIT,
  INFLATE,
  SSL_MAKE,
  SSL_HANDSHAKE,
  SSL_RECEIVE,
  SSL_SEND,
  RARE,
  CHMOD = RARE,
  DUP,
  EPOLL_CREATE,
  FCNTL,
  FSTAT,
  FTRUNCATE,
  GETSOCKOPT,
  LSTAT,
  MEMFD,
  OPENAT,
  OPENAT2,
  PIPE,
  PIPE2,
  POLL,
  PREAD,
  SPAWN,
  THREAD,
  RECVMSG,
  REPLY,
  REPLY_FEED,
  REPLY_READER,
  SOCKETPAIR,
  TIMERFD,
  UNLINK,
  FOPEN,
  KILL,
  MMAP,
  OPEN,
  PWRITE,
  SIGACTION,
  WAITPID,
  SPAWN_ACTIONS,
  SPAWN_DUP,
  SPAWN_ATTRIBUTES,
  EV_LOOP,
  EV_BACKEND,
  BIO_MAKE,
  BIO_METHOD_MAKE,
  SSL_CONTEXT,
  SSL_CHAIN,
  SSL_CA_NAMES,
  SSL_NAME,
  SSL_EXPECTED,
  SSL_SUBJECT,
  EPOLL_WATCH,
  KINDS
};

/* Is it the turn of this one? Then errno is set. */
bool probe_fails(enum probe_kind kind);

/* The same, with an entry in OpenSSL's queue; error 0: without. */
bool probe_fails_in_ssl(enum probe_kind kind);

#define SHOWN __attribute__((visibility("default")))

#define NEXT(name, ...) \
  static __typeof__(name) *next; \
  if (!next) *(void **)&next = dlsym(RTLD_NEXT, #name); \
  return next(__VA_ARGS__)

#endif
