/* envelope.c: messages between processes, see envelope.h. */
#include "protocol/envelope.h"

#include <string.h>

#include "protocol/utf8.h"

#define MAGIC "\0evw"
#define MAGIC_LEN 4
#define PAIR 16
#define KNOWN \
  (WS_CARRIED_BINARY | WS_CARRIED_EXCEPT | WS_CARRIED_POSITION | \
   WS_CARRIED_META)

static uint64_t get(const char *p, int n) {
  uint64_t x = 0;
  for (int i = 0; i < n; i++) x = x << 8 | (unsigned char)p[i];
  return x;
}

static char *put(char *p, uint64_t x, int n) {
  for (int i = n; i--; x >>= 8) p[i] = (char)x;
  return p + n;
}

static bool take(struct ws_slice *from, size_t n, const char **p) {
  if (from->n < n) return false;
  *p = from->p;
  from->p += n;
  from->n -= n;
  return true;
}

static bool take_number(struct ws_slice *from, int n, uint64_t *x) {
  const char *p;
  if (!take(from, (size_t)n, &p)) return false;
  *x = get(p, n);
  return true;
}

/* Of a length of so many bytes; each unit of it is `size` bytes. */
static bool take_text(struct ws_slice *from, int bytes, size_t size,
                      struct ws_slice *text) {
  uint64_t n;
  if (!take_number(from, bytes, &n)) return false;
  text->n = (size_t)n * size;
  return take(from, text->n, &text->p);
}

static bool read_rest(struct ws_slice *rest, struct ws_carried *c) {
  if (!take_number(rest, 8, &c->node)) return false;
  if (c->flags & WS_CARRIED_EXCEPT && !take_text(rest, 2, PAIR, &c->except))
    return false;
  if (c->flags & WS_CARRIED_POSITION &&
      (!take_number(rest, 8, &c->offset) || !take_text(rest, 1, 1, &c->epoch)))
    return false;
  return !(c->flags & WS_CARRIED_META) || take_text(rest, 2, 1, &c->meta);
}

bool ws_carried_read(struct ws_slice bytes, struct ws_carried *c) {
  struct ws_slice rest = bytes;
  uint64_t flags;
  *c = (struct ws_carried){.message = bytes};
  if (bytes.n < MAGIC_LEN || memcmp(bytes.p, MAGIC, MAGIC_LEN) != 0) {
    bool is_text = ws_utf8_is_valid(bytes.p, bytes.n);
    c->is_foreign = true;
    c->flags = is_text ? 0 : WS_CARRIED_BINARY;
    return true;
  }
  rest.p += MAGIC_LEN;
  rest.n -= MAGIC_LEN;
  if (!take_number(&rest, 1, &flags) || flags & ~(uint64_t)KNOWN) return false;
  c->flags = (uint8_t)flags;
  if (!read_rest(&rest, c)) return false;
  c->message = rest;
  return c->flags & WS_CARRIED_BINARY || ws_utf8_is_valid(rest.p, rest.n);
}

size_t ws_carried_head(const struct ws_carried *c) {
  size_t n = MAGIC_LEN + 1 + 8;
  if (c->except.n) n += 2 + c->except.n;
  if (c->flags & WS_CARRIED_POSITION) n += 8 + 1 + c->epoch.n;
  if (c->meta.n) n += 2 + c->meta.n;
  return n;
}

static char *put_text(char *to, struct ws_slice text) {
  if (text.n) memcpy(to, text.p, text.n);
  return to + text.n;
}

char *ws_carried_write(char *to, const struct ws_carried *c) {
  uint8_t flags = c->flags & (WS_CARRIED_BINARY | WS_CARRIED_POSITION);
  if (c->except.n) flags |= WS_CARRIED_EXCEPT;
  if (c->meta.n) flags |= WS_CARRIED_META;
  memcpy(to, MAGIC, MAGIC_LEN);
  to = put(to + MAGIC_LEN, flags, 1);
  to = put(to, c->node, 8);
  if (flags & WS_CARRIED_EXCEPT)
    to = put_text(put(to, c->except.n / PAIR, 2), c->except);
  if (flags & WS_CARRIED_POSITION)
    to = put_text(put(put(to, c->offset, 8), c->epoch.n, 1), c->epoch);
  if (flags & WS_CARRIED_META) to = put_text(put(to, c->meta.n, 2), c->meta);
  return to;
}

uint64_t ws_carried_except(const struct ws_carried *c, uint64_t node,
                           size_t *at) {
  while (*at + PAIR <= c->except.n) {
    const char *p = c->except.p + *at;
    *at += PAIR;
    if (get(p, 8) == node) return get(p + 8, 8);
  }
  return 0;
}

char *ws_carried_write_except(char *to, uint64_t node, uint64_t id) {
  return put(put(to, node, 8), id, 8);
}
