/* load: puts load on a WebSocket server and checks every byte it answers.
 *
 *   load [options] HOST PORT PATH
 *
 *   --mode echo        every message has to come back (the default)
 *          broadcast   the first connection sends, all have to get it
 *          handshake   connects, upgrades, resets, over and over
 *          idle        opens connections and holds them
 *   --conns N (1)      connections; of handshake: at a time
 *   --size N (20)      bytes of a message
 *   --in-flight N (1)  messages of a connection that wait for an answer
 *   --fragments N (1)  frames of a message
 *   --text, --utf8     text, of ASCII or of characters of every length
 *   --calls            invocations of a hub's method, as they are on the wire;
 *                      of broadcast: notices, of --size bytes, by those who
 *                      have shaken hands as with a hub
 *   --hub              calls, of a hub: that has to answer with their results
 *   --messagepack      these calls by that protocol, not by JSON
 *   --deflate          permessage-deflate, without context takeover
 *   --tls              no certificate is verified
 *   --seconds S (3)    that are measured, after --warmup S (0.5)
 *   --rate N           messages a second of all connections together, on a
 *                      schedule that waits for nobody; a latency counts from
 *                      the scheduled time, so what stalls is not left out
 *   --steps N          instead of a time: so many batches of --in-flight, each
 *                      in one write, each waited for; handshakes one by one
 *   --pid N[,N...]     whose CPU time and memory is told
 *   --burst N (100)    connections being opened at once
 *   --stall S (10)     without progress, --limit S (--seconds and 60 more) for
 *                      everything: then it fails
 *
 * Prints one line of name=value. Ends with 0; with 1 and why, when an answer
 * is wrong, missing or late; with 2 when it is called wrongly. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "conn.h"

#define KEY "x3JJHMbDL1EzLkh9GBhXDw=="

void fail(const char *format, ...) {
  va_list arguments;
  fputs("load: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  fflush(NULL);
  _exit(1); /* what is held is not given back */
}

void *take_memory(size_t n) {
  void *p = malloc(n > 0 ? n : 1);
  if (!p) fail("no memory for %zu bytes", n);
  return p;
}

static _Noreturn void refuse(const char *format, ...)
  __attribute__((format(printf, 1, 2)));
static void refuse(const char *format, ...) {
  va_list arguments;
  fputs("load: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputs("\nload: see the head of bench/load/main.c\n", stderr);
  exit(2);
}

/* ---- options ---- */

static double number(const char *name, const char *text, double least,
                     double most) {
  char *end;
  double value = strtod(text, &end);
  if (*text == 0 || *end != 0 || !(value >= least && value <= most))
    refuse("--%s has to be a number from %g to %g, not '%s'", name, least, most,
           text);
  return value;
}

static enum mode mode_of(const char *text) {
  static const char *const modes[] = {"echo", "broadcast", "handshake", "idle"};
  for (int i = 0; i < 4; i++)
    if (strcmp(text, modes[i]) == 0) return (enum mode)i;
  refuse("there is no mode '%s'", text);
}

static void read_processes(struct processes *p, const char *text) {
  for (const char *at = text; *at;) {
    char *end;
    long id = strtol(at, &end, 10);
    if (end == at || id <= 0 || p->n == PROCESSES_MAX || (*end && *end != ','))
      refuse("'%s' is no list of processes", text);
    p->ids[p->n++] = (int)id;
    at = *end ? end + 1 : end;
  }
}

static const struct option options[] = {
  {"mode", 1, NULL, 'm'},      {"conns", 1, NULL, 'c'},
  {"size", 1, NULL, 's'},      {"in-flight", 1, NULL, 'i'},
  {"fragments", 1, NULL, 'f'}, {"text", 0, NULL, 't'},
  {"utf8", 0, NULL, 'u'},      {"calls", 0, NULL, 'k'},
  {"hub", 0, NULL, 'H'},       {"messagepack", 0, NULL, 'M'},
  {"deflate", 0, NULL, 'd'},   {"tls", 0, NULL, 'T'},
  {"seconds", 1, NULL, 'S'},   {"warmup", 1, NULL, 'w'},
  {"rate", 1, NULL, 'r'},      {"steps", 1, NULL, 'n'},
  {"pid", 1, NULL, 'p'},       {"burst", 1, NULL, 'b'},
  {"stall", 1, NULL, 'l'},     {"limit", 1, NULL, 'L'},
  {NULL, 0, NULL, 0},
};

static void read_option(struct plan *p, int option, const char *name) {
  const char *text = optarg;
  switch (option) {
  case 'm': p->mode = mode_of(text); break;
  case 'c': p->conns = (unsigned)number(name, text, 1, 1e6); break;
  case 's': p->kind.size = (size_t)number(name, text, 0, 1 << 28); break;
  case 'i': p->in_flight = (unsigned)number(name, text, 1, 65536); break;
  case 'f': p->kind.fragments = (unsigned)number(name, text, 1, 1e6); break;
  case 't': p->kind.is_text = true; break;
  case 'u': p->kind.is_text = p->kind.is_utf8 = true; break;
  case 'k': p->kind.is_text = p->kind.is_call = true; break;
  case 'H': p->kind.is_text = p->kind.is_call = p->kind.is_hub = true; break;
  case 'M': p->kind.is_messagepack = true; break;
  case 'd': p->kind.is_deflated = true; break;
  case 'T': p->is_tls = true; break;
  case 'S': p->seconds = number(name, text, 0, 1e6); break;
  case 'w': p->warmup = number(name, text, 0, 1e6); break;
  case 'r': p->rate = number(name, text, 1e-3, 1e9); break;
  case 'n': p->steps = (uint64_t)number(name, text, 1, 1e12); break;
  case 'p': read_processes(&p->server, text); break;
  case 'b': p->burst = (unsigned)number(name, text, 1, 1e6); break;
  case 'l': p->stall = number(name, text, 0.01, 1e6); break;
  case 'L': p->limit = number(name, text, 0.01, 1e6); break;
  default: refuse("wrong options");
  }
}

static void read_arguments(struct plan *p, int argc, char **argv) {
  int option, at = 0;
  *p = (struct plan){.conns = 1,
                     .in_flight = 1,
                     .burst = 100,
                     .seconds = 3,
                     .warmup = 0.5,
                     .stall = 10,
                     .kind = {.size = 20, .fragments = 1}};
  while ((option = getopt_long(argc, argv, "", options, &at)) != -1)
    read_option(p, option, options[at].name);
  if (argc - optind != 3) refuse("HOST, PORT and PATH are wanted");
  p->host = argv[optind];
  p->port = argv[optind + 1];
  p->path = argv[optind + 2];
  p->kind.is_notice = p->kind.is_call && p->mode == BROADCAST;
  if (p->kind.is_notice) p->kind.is_call = false;
  if (p->kind.is_call && (p->kind.is_deflated || p->kind.is_utf8))
    refuse("--calls and --hub have texts of their own");
  if (p->kind.is_messagepack && !p->kind.is_call)
    refuse("--messagepack is for --calls or --hub that are no broadcast");
  if (p->kind.is_messagepack) p->kind.is_text = false;
  if (p->limit == 0) p->limit = p->seconds + p->warmup + 60;
  if (p->rate > 0 && (p->mode != ECHO || p->steps > 0))
    refuse("--rate is for echo, without --steps");
  if (p->steps > 0 && p->mode == IDLE) refuse("--steps is not for idle");
  if (p->steps > 0 && p->mode == HANDSHAKE) p->conns = 1;
}

/* ---- what a load needs ---- */

static void find_server(struct load *l) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  int error = getaddrinfo(l->plan.host, l->plan.port, &hints, &found);
  if (error)
    fail("%s port %s: %s", l->plan.host, l->plan.port, gai_strerror(error));
  memcpy(&l->to, found->ai_addr, found->ai_addrlen);
  l->to_len = found->ai_addrlen;
  freeaddrinfo(found);
}

static void make_request(struct load *l) {
  const size_t room = 4096;
  const char *extension =
    l->plan.kind.is_deflated
      ? "Sec-WebSocket-Extensions: permessage-deflate; "
        "client_no_context_takeover; server_no_context_takeover\r\n"
      : "";
  l->request = take_memory(room);
  int n = snprintf(l->request, room,
                   "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
                   "Sec-WebSocket-Version: 13\r\n%s\r\n",
                   l->plan.path, l->plan.host, l->plan.port, extension);
  if (n < 0 || (size_t)n >= room) refuse("the path is too long");
  l->request_len = (size_t)n;
}

static void make_conns(struct load *l) {
  struct rlimit files;
  const struct plan *p = &l->plan;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (p->conns + 16ull > files.rlim_cur)
    fail("%u connections need more than %llu descriptors", p->conns,
         (unsigned long long)files.rlim_cur);
  l->conns = calloc(p->conns, sizeof *l->conns);
  struct batch *all = calloc((size_t)p->conns * p->in_flight, sizeof *all);
  if (!l->conns || !all) fail("no memory for the connections");
  for (unsigned i = 0; i < p->conns; i++) {
    l->conns[i].link.fd = -1;
    l->conns[i].batches = all + (size_t)i * p->in_flight;
  }
}

static void on_limit(int signal) {
  static const char text[] = "load: the time for everything is over\n";
  (void)signal;
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(3);
  _exit(1);
}

static void set_limit(double seconds) {
  struct itimerval t = {
    {0, 0},
    {(time_t)seconds,
     (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};
  signal(SIGALRM, on_limit);
  setitimer(ITIMER_REAL, &t, NULL);
}

static void release(struct load *l) {
  for (unsigned i = 0; i < l->plan.conns; i++) {
    l->plan.steps = 0;
    conn_leave(l, &l->conns[i]);
  }
  messages_free(&l->messages);
  free(l->conns[0].batches);
  free(l->conns);
  free(l->request);
  free(l->buffer);
  close(l->epoll);
}

int main(int argc, char **argv) {
  static struct load l;
  read_arguments(&l.plan, argc, argv);
  set_limit(l.plan.limit);
  find_server(&l);
  if (l.plan.is_tls) link_prepare_tls();
  messages_make(&l.messages, &l.plan.kind, BUFFER_SIZE, l.plan.in_flight);
  make_request(&l);
  make_conns(&l);
  l.buffer = take_memory(BUFFER_SIZE);
  drive(&l);
  release(&l);
  return 0;
}
