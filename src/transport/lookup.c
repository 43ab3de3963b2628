/* lookup.c: host names to addresses, off the loop.
 *
 * Threads rather than c-ares: getaddrinfo honours everything the system is
 * configured with (hosts file, nsswitch, mDNS), which a resolver library
 * would have to imitate. A few threads serve the whole process; other names
 * wait, and whoever asks for a name that is being asked for waits for the same
 * answer. What they share stands under one lock, which nobody holds for long;
 * a thread that is stuck in getaddrinfo holds up neither a look-up that is
 * cancelled nor a loop that is closed.
 *
 * A loop hears of answers through a channel, which is there while it waits for
 * any. Each answer is written into it: the end of a pipe would not be seen
 * while a forked child has its other end too. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* pipe2 */
#endif
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "transport/lookup.h"
#include "transport/standard.h"

#define HOST_MAX 256
#define THREADS 4   /* for names that somebody waits for */
#define ABANDONED 4 /* more, while so many are stuck for nobody */

/* The answers' way to a loop. */
struct channel {
  struct ws_watch watch; /* of ends[0] */
  struct ws_list link;
  struct ws_list asked, answered; /* its look-ups */
  struct ws_io *io;
  int ends[2];
  bool is_deaf; /* it could not be watched */
};

/* A name that is looked up. */
struct query {
  struct ws_list link;   /* in waiting or running, until it is done */
  struct ws_list askers; /* struct ws_lookup */
  struct ws_address *list;
  int n;
  const char *error;
  bool is_running, is_done;
  char host[HOST_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ws_list waiting = {&waiting, &waiting};
static struct ws_list running = {&running, &running};
static struct ws_list channels = {&channels, &channels};
static int threads, abandoned;

/* ---- the system's answer ---- */

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

static int resolve(const char *host, int flags,
                   struct ws_address list[WS_ADDRESS_MAX]) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
  struct addrinfo *all, *a;
  int n = 0;
  if (getaddrinfo(host, NULL, &hints, &all)) return 0;
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

/* RFC 6761 6.3: localhost and what ends in .localhost never leave the
 * machine. */
static bool is_localhost(const char *host) {
  static const char name[] = "localhost";
  size_t n = strlen(host), own = sizeof name - 1;
  if (n && host[n - 1] == '.') n--;
  if (n < own || n == own + 1) return false;
  return strncasecmp(host + n - own, name, own) == 0 &&
         (n == own || host[n - own - 1] == '.');
}

/* An address, and what needs no look-up. */
static int known(const char *host, struct ws_address list[WS_ADDRESS_MAX]) {
  if (!is_localhost(host)) return resolve(host, AI_NUMERICHOST, list);
  int n = resolve("127.0.0.1", AI_NUMERICHOST, list);
  return n + resolve("::1", AI_NUMERICHOST, list + n);
}

/* Why it is not looked up, or NULL: no name has a colon, so that what is no
 * address with one is none with a zone of this machine (RFC 4007 11.2), or
 * none at all. */
static const char *refusal(const char *host) {
  const char *zone = strchr(host, '%');
  if (!strchr(host, ':'))
    return strlen(host) < HOST_MAX ? NULL : "host name not found";
  return zone && !if_nametoindex(zone + 1) ? "no such network interface"
                                           : "host name not found";
}

static void set_ports(struct ws_address *list, int n, int port) {
  for (int i = 0; i < n; i++) {
    struct sockaddr_in *v4 = (void *)&list[i].any;
    v4->sin_port = htons((uint16_t)port); /* it stands there in IPv6 too */
  }
}

/* Takes a copy of an answer, or of none. why: there is none. */
static int copy(struct ws_address **to, const struct ws_address *list, int n,
                const char **why) {
  size_t size = (size_t)n * sizeof *list;
  *to = n ? ws_mem_alloc(size) : NULL;
  if (*to) {
    memcpy(*to, list, size);
    *why = NULL;
    return n;
  }
  *why = n ? "not enough memory" : "host name not found";
  return 0;
}

/* ---- threads ---- */

static int allowed(void) {
  return THREADS + (abandoned < ABANDONED ? abandoned : ABANDONED);
}

static void free_query(struct query *q) {
  ws_list_remove(&q->link);
  ws_mem_free(q->list);
  ws_mem_free(q);
}

static void tell(struct ws_lookup *l) {
  struct channel *c = l->slot[1];
  bool is_told = !ws_list_is_empty(&c->answered);
  ws_list_remove(&l->own);
  ws_list_append(&c->answered, &l->own);
  /* it has room: one byte a time that the loop looks */
  if (!is_told && write(c->ends[1], "", 1) < 0) return;
}

static void finish(struct query *q, const struct ws_address *list, int n) {
  q->is_done = true;
  q->n = copy(&q->list, list, n, &q->error);
  ws_list_remove(&q->link);
  for (struct ws_list *e = q->askers.next; e != &q->askers; e = e->next)
    tell(WS_LIST_ENTRY(e, struct ws_lookup, link));
  if (!ws_list_is_empty(&q->askers)) return;
  abandoned--;
  free_query(q);
}

static void *work(void *arg) {
  struct ws_address list[WS_ADDRESS_MAX];
  struct ws_list *e;
  (void)arg;
  pthread_mutex_lock(&lock);
  while (threads <= allowed() && (e = ws_list_shift(&waiting))) {
    struct query *q = WS_LIST_ENTRY(e, struct query, link);
    ws_list_append(&running, &q->link);
    q->is_running = true;
    pthread_mutex_unlock(&lock);
    int n = resolve(q->host, 0, list);
    pthread_mutex_lock(&lock);
    finish(q, list, n);
  }
  threads--;
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* Signals belong to the threads of the application. */
static bool start_thread(void) {
  sigset_t all, before;
  pthread_attr_t attr;
  pthread_t id;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  bool ok = pthread_create(&id, &attr, work, NULL) == 0;
  pthread_attr_destroy(&attr);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  threads += ok;
  return ok;
}

/* False when there is none, and none can be had. */
static bool have_thread(void) {
  if (ws_list_is_empty(&waiting) || threads >= allowed()) return true;
  return start_thread() || threads > 0;
}

/* ---- forking ---- */

static void before_fork(void) {
  pthread_mutex_lock(&lock);
}

static void in_parent(void) {
  pthread_mutex_unlock(&lock);
}

static void forget(struct ws_list *queries) {
  struct ws_list *e, *asker;
  while ((e = ws_list_shift(queries))) {
    struct query *q = WS_LIST_ENTRY(e, struct query, link);
    while ((asker = ws_list_shift(&q->askers)))
      WS_LIST_ENTRY(asker, struct ws_lookup, link)->slot[0] = NULL;
    free_query(q);
  }
}

/* The threads are the parent's: nobody will answer here. */
static void in_child(void) {
  forget(&waiting);
  forget(&running);
  threads = abandoned = 0;
  pthread_mutex_unlock(&lock);
}

static void watch_forks(void) {
  pthread_atfork(before_fork, in_parent, in_child);
}

/* ---- channels ---- */

static struct channel *find_channel(const struct ws_io *io) {
  for (struct ws_list *e = channels.next; e != &channels; e = e->next) {
    struct channel *c = WS_LIST_ENTRY(e, struct channel, link);
    if (c->io == io) return c;
  }
  return NULL;
}

static bool open_pipe(int ends[2]) {
#ifdef __linux__
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return false;
#else
  if (pipe(ends) < 0) return false;
  for (int i = 0; i < 2; i++) {
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
#endif
  for (int i = 0; i < 2; i++) ends[i] = ws_standard_keep(ends[i]);
  return true;
}

static void on_answers(struct ws_watch *w);

static struct channel *open_channel(struct ws_io *io) {
  struct channel *c = find_channel(io);
  if (c) return c;
  if (!(c = ws_mem_zero(sizeof *c))) return NULL;
  if (!open_pipe(c->ends)) {
    ws_mem_free(c);
    return NULL;
  }
  c->io = io;
  c->watch.fd = c->ends[0];
  c->watch.fn = on_answers;
  ws_list_init(&c->watch.ready);
  ws_list_init(&c->asked);
  ws_list_init(&c->answered);
  ws_list_append(&channels, &c->link);
  io->ops->watch(io, &c->watch, WS_READ);
  return c;
}

/* When nothing is to be heard by it any more. */
static void close_channel(struct channel *c) {
  if (!ws_list_is_empty(&c->asked) || !ws_list_is_empty(&c->answered)) return;
  c->io->ops->watch(c->io, &c->watch, 0);
  ws_list_remove(&c->watch.ready);
  ws_list_remove(&c->link);
  for (int i = 0; i < 2; i++) close(c->ends[i]);
  ws_mem_free(c);
}

/* ---- asking ---- */

static struct query *find_query(const struct ws_list *in, const char *host) {
  for (struct ws_list *e = in->next; e != in; e = e->next) {
    struct query *q = WS_LIST_ENTRY(e, struct query, link);
    if (strcasecmp(q->host, host) == 0) return q;
  }
  return NULL;
}

static struct query *query_for(const char *host) {
  struct query *q = find_query(&running, host);
  if (!q) q = find_query(&waiting, host);
  if (q) {
    abandoned -= ws_list_is_empty(&q->askers);
    return q;
  }
  if (!(q = ws_mem_zero(sizeof *q))) return NULL;
  memcpy(q->host, host, strlen(host) + 1);
  ws_list_init(&q->askers);
  ws_list_append(&waiting, &q->link);
  if (have_thread()) return q;
  free_query(q);
  return NULL;
}

/* Takes it out of everything; what nobody asks for any more goes, unless a
 * thread is at it. */
static void leave(struct ws_lookup *l) {
  struct query *q = l->slot[0];
  l->slot[0] = NULL;
  ws_list_remove(&l->link);
  ws_list_remove(&l->own);
  if (!q || !ws_list_is_empty(&q->askers)) return;
  if (!q->is_running || q->is_done) {
    free_query(q);
    return;
  }
  abandoned++;
  have_thread();
}

static bool ask(struct ws_io *io, struct ws_lookup *l, const char *host) {
  struct channel *c = open_channel(io);
  struct query *q = c ? query_for(host) : NULL;
  if (!q) {
    if (c) close_channel(c);
    return false;
  }
  ws_list_append(&q->askers, &l->link);
  ws_list_append(&c->asked, &l->own);
  l->slot[0] = q;
  l->slot[1] = c;
  return true;
}

/* The next look-up that has its answer. What was called for the last one may
 * have cancelled any, and so have closed the channel, or opened another. */
static struct ws_lookup *next_answer(struct ws_io *io) {
  struct channel *c = find_channel(io);
  struct ws_list *e = c ? ws_list_shift(&c->answered) : NULL;
  if (!e) return NULL;
  struct ws_lookup *l = WS_LIST_ENTRY(e, struct ws_lookup, own);
  const struct query *q = l->slot[0];
  l->n = copy(&l->list, q->list, q->n, &l->error);
  if (!q->n) l->error = q->error;
  set_ports(l->list, l->n, l->port);
  leave(l);
  l->slot[1] = NULL;
  close_channel(c);
  return l;
}

/* Nothing will be heard by the channel: all that it was for have failed. */
static struct ws_lookup *next_failed(struct ws_io *io) {
  struct channel *c = find_channel(io);
  struct ws_list *e = c && c->is_deaf ? ws_list_shift(&c->asked) : NULL;
  if (!e) return NULL;
  struct ws_lookup *l = WS_LIST_ENTRY(e, struct ws_lookup, own);
  l->error = "the name look-up cannot be watched";
  leave(l);
  l->slot[1] = NULL;
  close_channel(c);
  return l;
}

static void on_answers(struct ws_watch *w) {
  struct channel *c = WS_LIST_ENTRY(w, struct channel, watch);
  struct ws_io *io = c->io;
  struct ws_lookup *l;
  char bytes[64];
  c->is_deaf = w->got & WS_DEAF;
  w->got = 0;
  while (read(w->fd, bytes, sizeof bytes) == sizeof bytes) continue;
  do {
    pthread_mutex_lock(&lock);
    l = next_answer(io);
    if (!l) l = next_failed(io);
    pthread_mutex_unlock(&lock);
    if (l) l->done(l);
  } while (l);
}

void ws_lookup_cancel(struct ws_io *io, struct ws_lookup *l) {
  struct channel *c = l->slot[1];
  (void)io;
  if (!c) return;
  pthread_mutex_lock(&lock);
  leave(l);
  close_channel(c);
  pthread_mutex_unlock(&lock);
  l->slot[1] = NULL;
}

int ws_lookup_now(struct ws_io *io, const char *host, int port,
                  struct ws_address list[WS_ADDRESS_MAX]) {
  int n = known(host, list);
  (void)io;
  if (!n && !refusal(host)) n = resolve(host, 0, list);
  set_ports(list, n, port);
  return n;
}

bool ws_lookup_start(struct ws_io *io, struct ws_lookup *l, const char *host,
                     int port) {
  static pthread_once_t watching = PTHREAD_ONCE_INIT;
  struct ws_address list[WS_ADDRESS_MAX];
  int n = known(host, list);
  l->slot[0] = l->slot[1] = NULL;
  l->port = port;
  l->n = copy(&l->list, list, n, &l->error);
  set_ports(l->list, l->n, port);
  if (n) return true;
  if ((l->error = refusal(host))) return true;
  pthread_once(&watching, watch_forks);
  pthread_mutex_lock(&lock);
  bool is_asked = ask(io, l, host);
  pthread_mutex_unlock(&lock);
  if (!is_asked) l->error = "no thread for the name look-up";
  return !is_asked;
}
