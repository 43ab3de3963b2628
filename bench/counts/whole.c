/* whole: stands before libc in a server whose instructions are counted, so
 * that how the kernel cuts the bytes and when it hands them over makes no
 * difference. A connection is accepted when its peer has spoken; what is read
 * is the whole batch (WHOLE bytes, where they are more than the kernel brings
 * at once); what is written is taken whole. Time and random numbers, which
 * seed hash tables, are the same in each run. Its own instructions are left
 * out by the names of these functions. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS 65536
#define PIECES 1024
#define PATIENCE 20000 /* milliseconds */

static struct {
  bool has_spoken; /* what came first, the upgrade, is no batch */
  size_t received;
} conns[FDS];
static size_t whole; /* bytes of a batch; 0: as it comes */

__attribute__((constructor)) static void start(void) {
  const char *text = getenv("WHOLE");
  whole = text ? strtoul(text, NULL, 10) : 0;
}

static bool await(int fd, short what) {
  struct pollfd p = {.fd = fd, .events = what};
  return syscall(SYS_poll, &p, 1, PATIENCE) > 0;
}

/* Of n pieces, without the first bytes; returns how many are left. */
static size_t behind(struct iovec **v, size_t n, size_t bytes) {
  while (n > 0 && bytes >= (*v)->iov_len) {
    bytes -= (*v)->iov_len;
    (*v)++;
    n--;
  }
  if (n > 0) {
    (*v)->iov_base = (char *)(*v)->iov_base + bytes;
    (*v)->iov_len -= bytes;
  }
  return n;
}

int accept4(int fd, struct sockaddr *peer, socklen_t *len, int flags) {
  int got = (int)syscall(SYS_accept4, fd, peer, len, flags);
  if (got < 0 || got >= FDS) return got;
  await(got, POLLIN);
  conns[got].has_spoken = false;
  conns[got].received = 0;
  return got;
}

static ssize_t receive(int fd, struct iovec *v, size_t n) {
  ssize_t sum = 0;
  while (n > 0) {
    struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
    ssize_t r = syscall(SYS_recvmsg, fd, &m, 0);
    if (r < 0 && errno == EAGAIN && sum > 0 && await(fd, POLLIN)) continue;
    if (r <= 0) return sum > 0 ? sum : r;
    bool is_batch = conns[fd].has_spoken && whole > 0;
    conns[fd].has_spoken = true;
    if (!is_batch) return r;
    sum += r;
    conns[fd].received += (size_t)r;
    if (conns[fd].received % whole == 0) break;
    n = behind(&v, n, (size_t)r);
  }
  return sum;
}

ssize_t recv(int fd, void *to, size_t n, int flags) {
  struct iovec v = {to, n};
  if (flags & MSG_PEEK) return syscall(SYS_recvfrom, fd, to, n, flags, 0, 0);
  return receive(fd, &v, 1);
}

ssize_t readv(int fd, const struct iovec *pieces, int n) {
  struct iovec v[PIECES];
  memcpy(v, pieces, sizeof *v * (size_t)n);
  return receive(fd, v, (size_t)n);
}

static ssize_t pass(int fd, struct iovec *v, size_t n) {
  ssize_t sum = 0;
  while (n > 0) {
    struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
    ssize_t r = syscall(SYS_sendmsg, fd, &m, MSG_NOSIGNAL);
    if (r < 0 && errno == EAGAIN && await(fd, POLLOUT)) continue;
    if (r < 0) return sum > 0 ? sum : r;
    sum += r;
    n = behind(&v, n, (size_t)r);
  }
  return sum;
}

ssize_t send(int fd, const void *bytes, size_t n, int flags) {
  struct iovec v = {(void *)bytes, n};
  (void)flags;
  return pass(fd, &v, 1);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
  struct iovec v[PIECES];
  (void)flags;
  memcpy(v, m->msg_iov, sizeof *v * m->msg_iovlen);
  return pass(fd, v, m->msg_iovlen);
}

time_t time(time_t *to) {
  const time_t then = 1700000000;
  if (to) *to = then;
  return then;
}

ssize_t getrandom(void *to, size_t n, unsigned flags) {
  static uint8_t next;
  (void)flags;
  for (size_t i = 0; i < n; i++) ((uint8_t *)to)[i] = next = next * 5 + 113;
  return (ssize_t)n;
}
