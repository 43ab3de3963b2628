/* bus_pending.c: commands that wait for Redis. */
#include "engine/bus_pending.h"

#include <string.h>

#define KEPT (64 * 1024) /* bytes of memory when nothing waits */

struct head {
  double given;
  size_t len;
};

char *ws_bus_pending_reserve(struct ws_bus_pending *p, size_t n) {
  if (!ws_buf_reserve(&p->bytes, sizeof(struct head) + n)) return NULL;
  return (char *)ws_buf_end(&p->bytes) + sizeof(struct head);
}

void ws_bus_pending_commit(struct ws_bus_pending *p, size_t n, double now) {
  struct head head = {now, n};
  memcpy(ws_buf_end(&p->bytes), &head, sizeof head);
  ws_buf_commit(&p->bytes, sizeof head + n);
  p->n++;
}

struct ws_slice ws_bus_pending_first(const struct ws_bus_pending *p,
                                     double *given) {
  struct head head;
  if (p->n == 0) return (struct ws_slice){NULL, 0};
  memcpy(&head, ws_buf_begin(&p->bytes), sizeof head);
  *given = head.given;
  const char *at = (const char *)ws_buf_begin(&p->bytes) + sizeof head;
  return (struct ws_slice){at, head.len};
}

void ws_bus_pending_shift(struct ws_bus_pending *p) {
  double given;
  struct ws_slice first = ws_bus_pending_first(p, &given);
  ws_buf_consume(&p->bytes, sizeof(struct head) + first.n);
  p->n--;
  p->shifted++;
  if (p->n == 0 && p->bytes.cap > KEPT) ws_buf_free(&p->bytes);
}

void ws_bus_pending_free(struct ws_bus_pending *p) {
  ws_buf_free(&p->bytes);
  p->n = 0;
}
