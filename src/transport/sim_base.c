/* sim_base.c: sockets by their descriptors, chance, the trace. */
#include "transport/sim_base.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "transport/net.h"

#define SOCKETS_FIRST 64
#define NOTE_MAX 160

struct ws_sim_socket *ws_sim_find(struct ws_sim *s, int fd) {
  if (fd < WS_SIM_FDS || (size_t)(fd - WS_SIM_FDS) >= s->n_sockets) return NULL;
  return s->sockets[fd - WS_SIM_FDS];
}

struct ws_sim_socket *ws_sim_socket(struct ws_sim *s) {
  struct ws_sim_socket *socket = ws_mem_zero(sizeof *socket);
  if (!socket) return NULL;
  socket->sim = s;
  socket->fd = -1;
  socket->link = s->link;
  socket->reset_after = SIZE_MAX;
  ws_list_init(&socket->hot);
  ws_list_init(&socket->waiting);
  ws_list_init(&socket->queued);
  return socket;
}

void ws_sim_socket_free(struct ws_sim_socket *socket) {
  struct ws_sim *s = socket->sim;
  ws_list_remove(&socket->hot);
  ws_list_remove(&socket->queued);
  ws_heap_clear(&s->heap, &socket->timer);
  ws_heap_clear(&s->heap, &socket->in.timer);
  ws_buf_free(&socket->in.bytes);
  ws_buf_free(&socket->in.pieces);
  ws_mem_free(socket);
}

static bool grow(struct ws_sim *s) {
  size_t n = s->n_sockets ? 2 * s->n_sockets : SOCKETS_FIRST;
  struct ws_sim_socket **more = ws_mem_resize(s->sockets, n * sizeof *more);
  if (!more) return false;
  memset(more + s->n_sockets, 0, (n - s->n_sockets) * sizeof *more);
  s->sockets = more;
  s->n_sockets = n;
  return true;
}

int ws_sim_open(struct ws_sim_socket *socket) {
  struct ws_sim *s = socket->sim;
  size_t i = s->first_free;
  while (i < s->n_sockets && s->sockets[i]) i++;
  if (i == s->n_sockets && !grow(s)) return -ENOMEM;
  s->sockets[i] = socket;
  s->first_free = i + 1;
  socket->fd = WS_SIM_FDS + (int)i;
  return socket->fd;
}

void ws_sim_shut(struct ws_sim_socket *socket) {
  struct ws_sim *s = socket->sim;
  size_t i = (size_t)(socket->fd - WS_SIM_FDS);
  s->sockets[i] = NULL;
  if (i < s->first_free) s->first_free = i;
  socket->fd = -1;
  socket->watch = NULL;
  ws_list_remove(&socket->hot);
}

void ws_sim_stir(struct ws_sim_socket *socket) {
  if (!socket->watch || ws_list_is_linked(&socket->hot)) return;
  ws_list_append(&socket->sim->hot, &socket->hot);
}

/* Steele, Lea, Flood: SplitMix64. */
uint64_t ws_sim_random(struct ws_sim *s) {
  uint64_t z = s->chance += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

double ws_sim_part(struct ws_sim *s) {
  return (double)(ws_sim_random(s) >> 11) * 0x1p-53;
}

bool ws_sim_happens(struct ws_sim *s, double probability) {
  return probability > 0 && ws_sim_part(s) < probability;
}

double ws_sim_delay(struct ws_sim *s, const struct ws_sim_link *link) {
  return link->delay + (link->spread > 0 ? link->spread * ws_sim_part(s) : 0);
}

size_t ws_sim_cut(struct ws_sim *s, const struct ws_sim_link *link, size_t n) {
  if (n < 2 || !ws_sim_happens(s, link->cut)) return n;
  return 1 + (size_t)(ws_sim_random(s) % (n - 1));
}

int ws_sim_port(const struct ws_address *a) {
  const struct sockaddr_in *v4 = (const void *)&a->any;
  const struct sockaddr_in6 *v6 = (const void *)&a->any;
  if (a->any.ss_family == AF_INET) return ntohs(v4->sin_port);
  return a->any.ss_family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

void ws_sim_set_port(struct ws_address *a, int port) {
  struct sockaddr_in *v4 = (void *)&a->any;
  struct sockaddr_in6 *v6 = (void *)&a->any;
  if (a->any.ss_family == AF_INET) v4->sin_port = htons((uint16_t)port);
  if (a->any.ss_family == AF_INET6) v6->sin6_port = htons((uint16_t)port);
}

/* ---- the trace ---- */

/* Fowler, Noll, Vo: tells other bytes from these, not more. */
static uint32_t sum_of(const uint8_t *bytes, size_t n) {
  uint32_t sum = 2166136261u;
  for (size_t i = 0; i < n; i++) sum = (sum ^ bytes[i]) * 16777619u;
  return sum;
}

void ws_sim_note(struct ws_sim *s, const struct ws_sim_socket *from,
                 const char *what, const void *bytes, size_t n) {
  char line[NOTE_MAX];
  int len;
  if (!s->options.has_trace) return;
  int port = ws_sim_port(&from->local), to = ws_sim_port(&from->remote);
  if (bytes)
    len = snprintf(line, sizeof line, "%.6f %d %d %s %zu %08x\n", s->now, port,
                   to, what, n, sum_of(bytes, n));
  else
    len =
      snprintf(line, sizeof line, "%.6f %d %d %s\n", s->now, port, to, what);
  ws_buf_append(&s->trace, line, (size_t)len); /* or there is a gap */
}
