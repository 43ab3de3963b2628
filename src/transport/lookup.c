/* lookup.c: host names to addresses, off the loop.
 *
 * A thread rather than c-ares: getaddrinfo honours everything the system is
 * configured with (hosts file, nsswitch, mDNS), which a resolver library
 * would have to imitate. The thread touches only a block of its own and ends
 * by closing its end of a pipe; whoever is last frees the block, so neither a
 * cancelled look-up nor a closed loop has to wait for a slow name server. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* pipe2 */
#endif
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "transport/lookup.h"

#define HOST_MAX 256

struct block {
  struct ws_watch watch; /* the loop's half: the pipe's reading end */
  struct ws_io *io;
  struct ws_lookup *lookup;
  int writing; /* the thread's half */
  int port;
  char host[HOST_MAX];
  struct ws_address list[WS_ADDRESS_MAX];
  int n;
  atomic_int refs;
};

static void release(struct block *b) {
  if (atomic_fetch_sub(&b->refs, 1) == 1) ws_mem_free(b);
}

static int count(const struct addrinfo *a, int family) {
  int n = 0;
  for (; a; a = a->ai_next) n += a->ai_family == family;
  return n;
}

/* How many addresses of a family are taken: where there are too many, neither
 * family crowds out the other. */
static int share(const struct addrinfo *all, int family) {
  int others = count(all, family == AF_INET ? AF_INET6 : AF_INET);
  if (others > WS_ADDRESS_MAX / 2) others = WS_ADDRESS_MAX / 2;
  return WS_ADDRESS_MAX - others;
}

static int resolve(const char *host, int port, int flags,
                   struct ws_address list[WS_ADDRESS_MAX]) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
  struct addrinfo *all, *a;
  char service[8];
  int n = 0;
  snprintf(service, sizeof service, "%d", port);
  if (getaddrinfo(host, service, &hints, &all)) return 0;
  int v4 = share(all, AF_INET), v6 = share(all, AF_INET6);
  for (a = all; a && n < WS_ADDRESS_MAX; a = a->ai_next) {
    bool is_v4 = a->ai_family == AF_INET, is_v6 = a->ai_family == AF_INET6;
    if (!(is_v4 && v4-- > 0) && !(is_v6 && v6-- > 0)) continue;
    memcpy(&list[n].any, a->ai_addr, a->ai_addrlen);
    list[n++].len = a->ai_addrlen;
  }
  freeaddrinfo(all);
  return n;
}

static void *work(void *arg) {
  struct block *b = arg;
  b->n = resolve(b->host, b->port, 0, b->list);
  atomic_thread_fence(memory_order_release);
  close(b->writing); /* the reading end sees the end of the pipe */
  release(b);
  return NULL;
}

static void on_end(struct ws_watch *w) {
  struct block *b = WS_LIST_ENTRY(w, struct block, watch);
  struct ws_lookup *l = b->lookup;
  atomic_thread_fence(memory_order_acquire);
  memcpy(l->list, b->list, sizeof l->list);
  l->n = b->n;
  if (!l->n) l->error = "host name not found";
  ws_lookup_cancel(b->io, l);
  l->done(l);
}

void ws_lookup_cancel(struct ws_io *io, struct ws_lookup *l) {
  struct block *b = l->slot;
  if (!b) return;
  l->slot = NULL;
  io->ops->watch(io, &b->watch, 0);
  ws_list_remove(&b->watch.ready);
  close(b->watch.fd);
  release(b);
}

/* Signals belong to the threads of the application. */
static int start_thread(struct block *b) {
  sigset_t all, before;
  pthread_attr_t attr;
  pthread_t id;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  int r = pthread_create(&id, &attr, work, b);
  pthread_attr_destroy(&attr);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return r;
}

static int open_pipe(int ends[2]) {
#ifdef __linux__
  return pipe2(ends, O_CLOEXEC);
#else
  if (pipe(ends) < 0) return -1;
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
  return 0;
#endif
}

/* RFC 6761 6.3: localhost never leaves the machine. */
static int known(const char *host, int port,
                 struct ws_address list[WS_ADDRESS_MAX]) {
  if (strcasecmp(host, "localhost") != 0)
    return resolve(host, port, AI_NUMERICHOST | AI_NUMERICSERV, list);
  int n = resolve("127.0.0.1", port, AI_NUMERICHOST, list);
  return n + resolve("::1", port, AI_NUMERICHOST, list + n);
}

int ws_lookup_now(struct ws_io *io, const char *host, int port,
                  struct ws_address list[WS_ADDRESS_MAX]) {
  int n = known(host, port, list);
  (void)io;
  return n ? n : resolve(host, port, 0, list);
}

bool ws_lookup_start(struct ws_io *io, struct ws_lookup *l, const char *host,
                     int port) {
  int ends[2];
  l->slot = NULL;
  l->error = NULL;
  l->n = known(host, port, l->list);
  if (l->n) return true;
  l->error = "host name not found";
  if (strlen(host) >= HOST_MAX) return true;
  struct block *b = ws_mem_zero(sizeof *b);
  l->error = "no thread for the name look-up";
  if (!b || open_pipe(ends) < 0) {
    ws_mem_free(b);
    return true;
  }
  memcpy(b->host, host, strlen(host) + 1);
  b->io = io;
  b->lookup = l;
  b->port = port;
  b->watch.fd = ends[0];
  b->watch.fn = on_end;
  ws_list_init(&b->watch.ready);
  b->writing = ends[1];
  atomic_init(&b->refs, 2);
  if (start_thread(b)) {
    close(ends[0]);
    close(ends[1]);
    ws_mem_free(b);
    return true;
  }
  l->slot = b;
  io->ops->watch(io, &b->watch, WS_READ);
  return false;
}
