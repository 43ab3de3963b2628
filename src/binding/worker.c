/* worker.c: a worker's side of its supervisor's socket. A record is a line,
 * and what stands behind that.
 *
 *   from the supervisor           from the worker
 *   ping                          pong
 *   retire linger code grace all  ready
 *   listening n key port foreign  listen n backlog port mode kind \n place
 *   refused n errno \n why        closed key
 *   take channel \n bytes         pass serial channel \n bytes
 *
 * Times are milliseconds; a place is a host (kind h) or a path (u); n is that
 * of the question. */
#include "binding/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "binding/log.h"
#include "engine/farewell.h"
#include "engine/retire.h"
#include "engine/server.h"

#define ANSWER_WITHIN 5.0 /* seconds */
#define ORPHAN_GRACE 10.0 /* seconds, to leave in when the supervisor is gone */
#define QUEUED_EVERY 10   /* copies: that looks at each connection */
#define FIRST_LINE 128    /* bytes of a record's first line */
#define READS_MAX 16      /* of a turn */

struct later {
  struct ws_list link;
  int n_fds;
  int fds[WS_CONTROL_FDS];
  size_t n;
  char bytes[];
};

/* A record, read: its line with a 0 behind it, and what comes after that. */
struct record {
  char line[FIRST_LINE];
  struct ws_slice rest;
  const int *fds;
  int n_fds;
};

static struct record read_record(struct ws_slice bytes, const int *fds,
                                 int n_fds) {
  const char *end = memchr(bytes.p, '\n', bytes.n);
  size_t n = end ? (size_t)(end - bytes.p) : bytes.n;
  struct record r = {.fds = fds, .n_fds = n_fds};
  size_t shown = n < FIRST_LINE ? n : FIRST_LINE - 1;
  memcpy(r.line, bytes.p, shown);
  if (end) r.rest = (struct ws_slice){end + 1, bytes.n - n - 1};
  return r;
}

static bool is_verb(const struct record *r, const char *verb) {
  size_t n = strlen(verb);
  return strncmp(r->line, verb, n) == 0 && (!r->line[n] || r->line[n] == ' ');
}

/* Whole numbers, one character between each two. Are there so many? */
static bool read_numbers(const char *text, long long *to, int n) {
  for (int i = 0; i < n; i++) {
    char *end;
    to[i] = strtoll(text, &end, 10);
    if (end == text || (i + 1 < n && !*end)) return false;
    text = end + 1;
  }
  return true;
}

/* What stands behind the verb. */
static const char *arguments(const struct record *r) {
  const char *at = strchr(r->line, ' ');
  return at ? at + 1 : "";
}

static void close_fds(struct ws_worker *w, const int *fds, int n) {
  struct ws_io *io = w->control.io;
  for (int i = 0; i < n; i++) io->ops->close(io, fds[i]);
}

/* ---- what is told ---- */

static void watch(struct ws_worker *w) {
  bool is_more = !ws_list_is_empty(&w->control.out);
  if (w->control.fd < 0) return;
  ws_loop_watch(&w->st->loop, &w->watch,
                (uint8_t)(WS_READ | WS_QUIET | (is_more ? WS_WRITE : 0)));
}

static int tell(struct ws_worker *w, const char *line, struct ws_slice rest,
                const int *fds, int n_fds) {
  struct ws_slice head = {line, strlen(line)};
  int r = ws_control_send(&w->control, head, rest, fds, n_fds);
  watch(w);
  return r;
}

static void say(struct ws_worker *w, const char *line) {
  tell(w, line, (struct ws_slice){NULL, 0}, NULL, 0);
}

int ws_worker_pass(struct ws_worker *w, unsigned long long serial,
                   struct ws_slice channel, struct ws_slice bytes, int fd) {
  char line[FIRST_LINE];
  if (channel.n > WS_WORKER_CHANNEL_MAX) return -EINVAL;
  snprintf(line, sizeof line, "pass %llu %.*s\n", serial, (int)channel.n,
           channel.p);
  return tell(w, line, bytes, &fd, fd >= 0);
}

/* ---- the end ---- */

static void retire(struct ws_state *st, double linger, int code, double grace,
                   bool is_all) {
  struct ws_slice reason = {"", 0};
  struct ws_list *l = st->servers.next;
  st->is_retiring = true;
  while (l != &st->servers) {
    struct lua_server *ls = WS_LIST_ENTRY(l, struct lua_server, link);
    struct ws_server *s = &ls->s;
    l = l->next; /* closing may take it out of the list */
    if (is_all) s->retiring.expects = 0;
    s->is_last = is_all && s->is_shared && !ls->is_inherited;
    if (is_all && !ls->is_inherited)
      ws_farewell_begin(s, code, reason, grace);
    else
      ws_retire_begin(s, linger, code, grace);
  }
}

static void retire_as_told(struct ws_worker *w, const struct record *r) {
  long long n[4]; /* linger, code, grace, is_all */
  if (read_numbers(arguments(r), n, 4))
    retire(w->st, (double)n[0] / 1000, (int)n[1], (double)n[2] / 1000, n[3]);
}

static void orphaned(struct ws_worker *w) {
  ws_loop_unwatch(&w->st->loop, &w->watch);
  ws_control_close(&w->control);
  retire(w->st, 0, 1001, ORPHAN_GRACE, true);
}

/* ---- what comes ---- */

static void take(struct ws_worker *w, struct record *r) {
  size_t n = strlen("take ");
  struct ws_slice channel = {r->line + n, strlen(r->line + n)};
  if (!w->take || r->n_fds > 1) {
    close_fds(w, r->fds, r->n_fds);
    return;
  }
  w->take(w->st, channel, r->rest, r->n_fds == 1 ? r->fds[0] : -1);
}

/* Whoever asked has not waited so long. */
static void come_late(struct ws_worker *w, const struct record *r) {
  char line[FIRST_LINE];
  long long n[2]; /* question, key */
  close_fds(w, r->fds, r->n_fds);
  if (!is_verb(r, "listening") || !read_numbers(arguments(r), n, 2)) return;
  snprintf(line, sizeof line, "closed %lld", n[1]);
  say(w, line);
}

static void handle(struct ws_worker *w, struct ws_slice bytes, const int *fds,
                   int n_fds) {
  struct record r = read_record(bytes, fds, n_fds);
  if (is_verb(&r, "take"))
    take(w, &r);
  else if (is_verb(&r, "ping"))
    say(w, "pong");
  else if (is_verb(&r, "retire"))
    retire_as_told(w, &r);
  else
    come_late(w, &r);
}

static void handle_later(struct ws_worker *w) {
  struct ws_list *e;
  while ((e = ws_list_shift(&w->later))) {
    struct later *l = WS_LIST_ENTRY(e, struct later, link);
    handle(w, (struct ws_slice){l->bytes, l->n}, l->fds, l->n_fds);
    ws_mem_free(l);
  }
}

static void on_control(struct ws_watch *at) {
  struct ws_worker *w = WS_LIST_ENTRY(at, struct ws_worker, watch);
  struct ws_slice record;
  int fds[WS_CONTROL_FDS], n_fds, r = ws_control_flush(&w->control);
  at->got = 0;
  handle_later(w);
  for (int i = 0; i < READS_MAX && (r == 0 || r == -EAGAIN); i++) {
    while (ws_control_next(&w->control, &record, fds, &n_fds))
      handle(w, record, fds, n_fds);
    r = ws_control_read(&w->control);
    if (r == -EAGAIN) break;
  }
  if (r != 0 && r != -EAGAIN && r != -ENOMEM)
    orphaned(w);
  else
    watch(w);
}

/* ---- listening ---- */

/* It came while an answer was waited for. Without memory it is lost. */
static void put_off(struct ws_worker *w, struct ws_slice bytes, const int *fds,
                    int n_fds) {
  struct later *l = ws_mem_alloc(sizeof *l + bytes.n);
  if (!l) {
    close_fds(w, fds, n_fds);
    return;
  }
  ws_list_init(&l->link);
  l->n_fds = n_fds;
  if (n_fds > 0) memcpy(l->fds, fds, sizeof *fds * (size_t)n_fds);
  l->n = bytes.n;
  memcpy(l->bytes, bytes.p, bytes.n);
  ws_list_append(&w->later, &l->link);
  ws_loop_again(&w->st->loop, &w->watch);
}

static int tell_why(char why[WS_WORKER_WHY_MAX], int error) {
  snprintf(why, WS_WORKER_WHY_MAX, "%s",
           error == -ETIMEDOUT ? "the supervisor does not answer"
           : error == -EPIPE   ? "the supervisor is gone"
                               : strerror(-error));
  return error;
}

static int read_answer(struct ws_worker *w, const struct record *r,
                       struct ws_net_listen *what, int *key,
                       char why[WS_WORKER_WHY_MAX]) {
  long long n[4] = {0, EIO, 0, 0};
  bool is_good = is_verb(r, "listening");
  bool is_read = read_numbers(arguments(r), n, is_good ? 4 : 2);
  if (is_good && is_read && r->n_fds > 0) { /* key, port, foreign */
    memcpy(w->given, r->fds, sizeof *r->fds * (size_t)r->n_fds);
    what->given = w->given;
    what->n_given = r->n_fds;
    *key = (int)n[1];
    what->port = (int)n[2];
    w->is_foreign = n[3];
    return 0;
  }
  if (is_good) return tell_why(why, r->n_fds < 0 ? -EMFILE : -EPROTO);
  snprintf(why, WS_WORKER_WHY_MAX, "%.*s", (int)r->rest.n, r->rest.p);
  return n[1] > 0 ? -(int)n[1] : -EIO;
}

/* To the last question; an earlier one was given up. */
static bool is_answer(const struct ws_worker *w, const struct record *r) {
  long long n;
  return (is_verb(r, "listening") || is_verb(r, "refused")) &&
         read_numbers(arguments(r), &n, 1) && n == w->asked;
}

static int await_answer(struct ws_worker *w, struct ws_net_listen *what,
                        int *key, char why[WS_WORKER_WHY_MAX]) {
  double last = ws_loop_now(&w->st->loop) + ANSWER_WITHIN;
  struct ws_slice bytes;
  int fds[WS_CONTROL_FDS], n_fds, r = 0;
  do {
    while (ws_control_next(&w->control, &bytes, fds, &n_fds)) {
      struct record rec = read_record(bytes, fds, n_fds);
      if (is_answer(w, &rec)) return read_answer(w, &rec, what, key, why);
      put_off(w, bytes, fds, n_fds);
    }
    r = ws_control_wait(&w->control, last - ws_loop_now(&w->st->loop));
    if (r == 0) r = ws_control_read(&w->control);
  } while (r == 0 || (r == -EAGAIN && ws_loop_now(&w->st->loop) < last));
  return tell_why(why, r == -EAGAIN ? -ETIMEDOUT : r);
}

int ws_worker_listen(struct ws_worker *w, struct ws_net_listen *what, int *key,
                     char why[WS_WORKER_WHY_MAX]) {
  bool is_unix = what->unix_path != NULL;
  const char *place = is_unix ? what->unix_path : what->host;
  char line[FIRST_LINE];
  if (w->st->is_retiring) {
    snprintf(why, WS_WORKER_WHY_MAX, "the worker is retiring");
    return -ECANCELED;
  }
  snprintf(line, sizeof line, "listen %u %d %d %d %s\n", ++w->asked,
           what->backlog, is_unix ? 0 : what->port, what->unix_mode,
           is_unix ? "u" : "h");
  int r = tell(w, line, (struct ws_slice){place, strlen(place)}, NULL, 0);
  if (r < 0) return tell_why(why, r);
  return await_answer(w, what, key, why);
}

void ws_worker_listens(struct ws_worker *w, struct lua_server *ls, int key) {
  ls->worker = w;
  ls->control_key = key;
  ls->is_inherited = w->is_foreign;
  ls->s.is_shared = ls->s.is_foreign = true;
  ws_share_enter(&w->share, &ls->s, key - 1);
  if (w->count < 2 || !ls->s.kept.n || ls->s.carrier || w->has_warned) return;
  w->has_warned = true;
  ws_log_warning(w->st, "warning",
                 "history stays inside of a worker; --redis spawn shares it");
}

static void tell_backplanes(const struct ws_worker *w) {
  if (w->st->tell_backplanes) w->st->tell_backplanes(w->st, &w->share);
}

void ws_worker_unlisten(struct lua_server *ls) {
  char line[FIRST_LINE];
  if (!ls->worker) return;
  tell_backplanes(ls->worker);
  snprintf(line, sizeof line, "closed %d", ls->control_key);
  say(ls->worker, line);
  ls->worker = NULL;
}

/* ---- turns ---- */

static void publish(struct ws_worker *w, double now) {
  bool looks = w->copies++ % QUEUED_EVERY == 0;
  struct ws_list *l;
  w->share.copied = now;
  for (l = w->st->servers.next; l != &w->st->servers; l = l->next) {
    struct lua_server *ls = WS_LIST_ENTRY(l, struct lua_server, link);
    if (looks) ls->queued = ws_server_queued(&ls->s);
    ws_share_publish(&ls->s, ls->queued);
  }
  tell_backplanes(w);
}

void ws_worker_turned(struct ws_state *st) {
  struct ws_worker *w = st->worker;
  if (ws_list_is_empty(&st->servers)) return;
  if (!w->is_ready && (st->is_served || !st->driver)) {
    w->is_ready = true;
    say(w, "ready");
  }
  if (ws_share_is_due(&w->share, st->loop.now)) publish(w, st->loop.now);
}

/* ---- the beginning ---- */

/* A descriptor in the environment: it is there, or -1. */
static int number_of(const char *name) {
  const char *text = getenv(name);
  char *end;
  if (!text || !*text) return -1;
  long n = strtol(text, &end, 10);
  return *end || n < 3 || n > 1 << 20 ? -1 : (int)n;
}

static void forget_environment(void) {
  unsetenv("EVWS_CONTROL");
  unsetenv("EVWS_PAGE");
  unsetenv("EVWS_WORKER");
  unsetenv("EVWS_BACKPLANE");
  unsetenv("EVWS_SECRET");
}

static bool read_name(struct ws_worker *w, int *slot) {
  const char *name = getenv("EVWS_WORKER"), *url = getenv("EVWS_BACKPLANE");
  const char *secret = getenv("EVWS_SECRET");
  long long n[5];
  if (!name || !read_numbers(name, n, 5)) return false;
  w->id = (unsigned)n[0];
  w->count = (unsigned)n[1];
  w->generation = (unsigned)n[2];
  w->serial = (unsigned long long)n[3];
  *slot = (int)n[4];
  if (*slot < 1 || *slot >= WS_SHARE_SLOTS) return false;
  if (secret && strlen(secret) == WS_WORKER_SECRET)
    memcpy(w->secret, secret, WS_WORKER_SECRET);
  if (!url || !*url) return true;
  size_t size = strlen(url) + 1;
  if ((w->backplane = ws_mem_alloc(size))) memcpy(w->backplane, url, size);
  return w->backplane != NULL;
}

static bool start(struct ws_worker *w, struct ws_io *io) {
  int fd = number_of("EVWS_CONTROL"), page = number_of("EVWS_PAGE"), slot;
  if (fd < 0 || page < 0 || !ws_control_is_parents(fd) || !read_name(w, &slot))
    return false;
  if (io->ops->adopt(io, fd) < 0 || ws_share_open(&w->share, page, slot) < 0)
    return false;
  io->ops->close(io, page);
  ws_control_init(&w->control, io, fd);
  w->watch.fd = fd;
  return true;
}

void ws_worker_open(struct ws_state *st) {
  struct ws_worker *w;
  char name[32];
  if (!getenv("EVWS_CONTROL") || !(w = ws_mem_zero(sizeof *w))) return;
  w->st = st;
  w->watch.fn = on_control;
  w->channels = LUA_NOREF;
  ws_list_init(&w->watch.ready);
  ws_list_init(&w->later);
  bool is_started = start(w, st->loop.io);
  forget_environment();
  if (!is_started) {
    ws_mem_free(w->backplane);
    ws_mem_free(w);
    return;
  }
  st->worker = w;
  snprintf(name, sizeof name, "evws[%u]", w->id);
  ws_log_name(name);
  watch(w);
}

void ws_worker_close(struct ws_state *st) {
  struct ws_worker *w = st->worker;
  struct ws_list *e;
  if (!w) return;
  st->worker = NULL;
  ws_loop_unwatch(&st->loop, &w->watch);
  while ((e = ws_list_shift(&w->later))) {
    struct later *l = WS_LIST_ENTRY(e, struct later, link);
    close_fds(w, l->fds, l->n_fds);
    ws_mem_free(l);
  }
  ws_control_close(&w->control);
  ws_share_close(&w->share);
  ws_mem_free(w->backplane);
  ws_mem_free(w);
}
