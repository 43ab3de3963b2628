/* floor: the least that echoes WebSocket messages: epoll, one read, one write,
 * frames unmasked where they were read. It refuses nothing, checks nothing,
 * limits nothing and knows no ping: what a server can cost at least.
 *
 *   floor [PORT]    /echo, and /broadcast to everyone there; it prints its
 *                   port, any free one by default */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (512 * 1024)
#define HEAD_MAX 14
#define FDS 65536

struct conn {
  uint8_t *answer; /* to a frame that has not come whole */
  size_t len, need, room;
  uint8_t key[4];
  uint8_t rest[HEAD_MAX]; /* or of a frame's head */
  uint8_t rest_len;
  uint8_t *owed; /* that the kernel has refused */
  size_t owed_len;
  bool is_used, is_open, is_member;
};

static struct conn conns[FDS];
static int members[FDS], n_members;
static uint8_t buffer[ROOM], log_bytes[ROOM];
static size_t log_len; /* of what all members get at the end of a read */
static int ep;

static _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int fd, int op, uint32_t events) {
  struct epoll_event e = {.events = events, .data.fd = fd};
  if (epoll_ctl(ep, op, fd, &e) < 0) fail("epoll");
}

static void forget(int fd) {
  struct conn *c = &conns[fd];
  for (int i = 0; c->is_member && i < n_members; i++)
    if (members[i] == fd) members[i--] = members[--n_members];
  free(c->answer);
  free(c->owed);
  *c = (struct conn){0};
  close(fd);
}

static void keep_owed(int fd, const uint8_t *bytes, size_t n) {
  struct conn *c = &conns[fd];
  uint8_t *all = realloc(c->owed, c->owed_len + n);
  if (!all) fail("memory");
  memcpy(all + c->owed_len, bytes, n);
  if (!c->owed_len) watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
  c->owed = all;
  c->owed_len += n;
}

/* False: it is gone. */
static bool put(int fd, const uint8_t *bytes, size_t n) {
  struct conn *c = &conns[fd];
  ssize_t r = c->owed_len ? 0 : send(fd, bytes, n, MSG_NOSIGNAL);
  if (r < 0 && errno != EAGAIN) return false;
  if (r < 0) r = 0;
  if ((size_t)r < n) keep_owed(fd, bytes + r, n - (size_t)r);
  return true;
}

static void put_owed(int fd) {
  struct conn *c = &conns[fd];
  ssize_t r = send(fd, c->owed, c->owed_len, MSG_NOSIGNAL);
  if (r < 0 && errno == EAGAIN) return;
  if (r < 0) {
    forget(fd);
    return;
  }
  c->owed_len -= (size_t)r;
  memmove(c->owed, c->owed + r, c->owed_len);
  if (c->owed_len) return;
  free(c->owed);
  c->owed = NULL;
  watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

/* ---- frames ---- */

/* Unmasks n bytes and moves them forward. */
static void unmask(uint8_t *to, const uint8_t *from, size_t n,
                   const uint8_t key[4]) {
  uint64_t wide;
  memcpy(&wide, key, 4);
  memcpy((uint8_t *)&wide + 4, key, 4);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    memcpy(&word, from + i, 8);
    word ^= wide;
    memcpy(to + i, &word, 8);
  }
  for (; i < n; i++) to[i] = from[i] ^ key[i & 3];
}

/* Length of a masked frame's head, 0: it has not come whole. */
static size_t head_of(const uint8_t *b, size_t n, uint64_t *len) {
  if (n < 2) return 0;
  size_t more = (b[1] & 127) == 126 ? 2 : (b[1] & 127) == 127 ? 8 : 0;
  if (n < 2 + more + 4) return 0;
  *len = more ? 0 : b[1] & 127;
  for (size_t i = 0; i < more; i++) *len = *len << 8 | b[2 + i];
  return 2 + more + 4;
}

/* Turns all whole frames into answers, in place: an answer is four bytes
 * shorter. Returns how many bytes they are; *used: of the frames. */
static size_t answer(uint8_t *b, size_t n, size_t *used, bool *is_end) {
  size_t out = 0, at = 0, head;
  uint64_t len;
  while ((head = head_of(b + at, n - at, &len)) > 0 && n - at - head >= len) {
    uint8_t key[4];
    memcpy(key, b + at + head - 4, 4);
    if ((b[at] & 15) == 8) *is_end = true;
    memmove(b + out, b + at, head - 4);
    b[out + 1] &= 127;
    unmask(b + out + head - 4, b + at + head, len, key);
    out += head - 4 + len;
    at += head + len;
  }
  *used = at;
  return out;
}

/* What is left of a read begins an answer, or is a piece of a head. */
static void keep_rest(struct conn *c, const uint8_t *b, size_t n) {
  uint64_t len;
  size_t head = head_of(b, n, &len);
  if (head == 0) {
    memcpy(c->rest, b, n);
    c->rest_len = (uint8_t)n;
    return;
  }
  c->need = head - 4 + len;
  c->len = n - 4;
  if (c->need > c->room) {
    free(c->answer);
    c->answer = malloc(c->room = c->need);
    if (!c->answer) fail("memory");
  }
  memcpy(c->key, b + head - 4, 4);
  memcpy(c->answer, b, head - 4);
  c->answer[1] &= 127;
  unmask(c->answer + head - 4, b + head, n - head, c->key);
  for (size_t i = 0, k = n - head; i < 4; i++)
    c->key[i] = b[head - 4 + ((k + i) & 3)];
}

static void pass_on(int fd, const uint8_t *bytes, size_t n) {
  if (!conns[fd].is_member) {
    if (!put(fd, bytes, n)) forget(fd);
    return;
  }
  if (n > sizeof log_bytes) fail("a long broadcast");
  memcpy(log_bytes, bytes, n);
  log_len = n;
  for (int i = n_members - 1; i >= 0; i--) put(members[i], log_bytes, log_len);
}

/* ---- reading ---- */

static void upgrade(int fd, char *head) {
  struct conn *c = &conns[fd];
  char joined[128], out[512];
  uint8_t digest[SHA_DIGEST_LENGTH], accept[32];
  char *key = strcasestr(head, "\r\nSec-WebSocket-Key: ");
  if (!key || strlen(key) < 45) {
    forget(fd);
    return;
  }
  snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
           key + 21);
  SHA1((uint8_t *)joined, strlen(joined), digest);
  EVP_EncodeBlock(accept, digest, sizeof digest);
  int n = snprintf(out, sizeof out,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                   (char *)accept);
  c->is_open = true;
  c->is_member = strncmp(head, "GET /broadcast ", 15) == 0;
  if (c->is_member) members[n_members++] = fd;
  if (!put(fd, (uint8_t *)out, (size_t)n)) forget(fd);
}

/* 0: nothing came, or it is gone. */
static size_t take(int fd, uint8_t *to, size_t room) {
  ssize_t r = recv(fd, to, room, 0);
  if (r > 0) return (size_t)r;
  if (r == 0 || errno != EAGAIN) forget(fd);
  return 0;
}

/* More of a long frame, straight to where it is answered from. */
static void read_long(int fd) {
  struct conn *c = &conns[fd];
  uint8_t *to = c->answer + c->len, key[4];
  size_t n = take(fd, to, c->need - c->len);
  if (n == 0) return;
  unmask(to, to, n, c->key);
  c->len += n;
  memcpy(key, c->key, 4);
  for (size_t i = 0; i < 4; i++) c->key[i] = key[(n + i) & 3];
  if (c->len < c->need) return;
  n = c->need;
  c->need = 0;
  pass_on(fd, c->answer, n);
}

static void read_frames(int fd) {
  struct conn *c = &conns[fd];
  bool is_end = false;
  size_t have = c->rest_len, used;
  if (c->need > 0) {
    read_long(fd);
    return;
  }
  memcpy(buffer, c->rest, have);
  size_t r = take(fd, buffer + have, ROOM - have);
  if (r == 0) return;
  have += r;
  c->rest_len = 0;
  size_t n = answer(buffer, have, &used, &is_end);
  if (have > used) keep_rest(c, buffer + used, have - used);
  if (n > 0) pass_on(fd, buffer, n);
  if (is_end && c->is_used) forget(fd);
}

static void read_head(int fd) {
  char head[8192];
  size_t n = take(fd, (uint8_t *)head, sizeof head - 1);
  head[n] = 0;
  if (n > 0) upgrade(fd, head);
}

static void accept_all(int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    if (fd >= FDS) fail("too many connections");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conns[fd].is_used = true;
    watch(fd, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static int listen_on(const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct rlimit files;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  a.sin_port = htons((uint16_t)strtol(port, NULL, 10));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0)
    fail("listen");
  socklen_t size = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &size) < 0) fail("getsockname");
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv) {
  static struct epoll_event ready[1024];
  ep = epoll_create1(0);
  int listener = listen_on(argc > 1 ? argv[1] : "0");
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);
  for (;;) {
    int n = epoll_wait(ep, ready, 1024, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener)
        accept_all(fd);
      else if (!conns[fd].is_used)
        continue;
      else if (conns[fd].owed_len > 0)
        put_owed(fd);
      else if (conns[fd].is_open)
        read_frames(fd);
      else
        read_head(fd);
    }
  }
}
