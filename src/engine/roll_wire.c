/* roll_wire.c: those who are in topics, as bytes. */
#include "engine/roll_wire.h"

#include <stdlib.h>
#include <string.h>

#define WHEN 8 /* bytes */

static char *put(char *to, uint64_t n, size_t bytes) {
  while (bytes--) *to++ = (char)(n >> (8 * bytes));
  return to;
}

static char *put_bytes(char *to, struct ws_slice s) {
  if (s.n) memcpy(to, s.p, s.n);
  return to + s.n;
}

/* What is taken off the front; false: there is not so much. */
static bool take(struct ws_slice *from, size_t n, struct ws_slice *s) {
  if (from->n < n) return false;
  *s = (struct ws_slice){from->p, n};
  from->p += n;
  from->n -= n;
  return true;
}

static bool take_number(struct ws_slice *from, size_t bytes, uint64_t *n) {
  struct ws_slice s;
  *n = 0;
  if (!take(from, bytes, &s)) return false;
  for (size_t i = 0; i < bytes; i++) *n = *n << 8 | (uint8_t)s.p[i];
  return true;
}

static bool take_text(struct ws_slice *from, size_t bytes, struct ws_slice *s) {
  uint64_t n;
  return take_number(from, bytes, &n) && take(from, (size_t)n, s);
}

static struct ws_text *room(size_t n) {
  struct ws_text *t = ws_mem_alloc(sizeof *t + n + 1);
  if (!t) return NULL;
  t->refs = 1;
  t->len = (uint32_t)n;
  t->text[n] = 0;
  return t;
}

struct ws_text *ws_roll_member(const char *node, struct ws_slice topic,
                               struct ws_slice key) {
  struct ws_text *t = room(WS_ROLL_NODE + 4 + topic.n + key.n);
  if (!t) return NULL;
  memcpy(t->text, node, WS_ROLL_NODE);
  char *to = put(t->text + WS_ROLL_NODE, topic.n, 4);
  put_bytes(put_bytes(to, topic), key);
  return t;
}

struct ws_text *ws_roll_value(const struct ws_change *c, struct ws_slice json) {
  struct ws_slice id = {c->id->text, c->id->len};
  struct ws_slice info = {c->info->text, c->info->len};
  struct ws_text *t = room(4 + json.n + 4 + 2 + id.n + info.n);
  if (!t) return NULL;
  char *to = put_bytes(put(t->text, json.n, 4), json);
  to = put_bytes(put(put(to, c->n, 4), id.n, 2), id);
  put_bytes(to, info);
  return t;
}

bool ws_roll_append(struct ws_buf *b, struct ws_slice part) {
  char length[4];
  put(length, part.n, sizeof length);
  return ws_buf_append(b, length, sizeof length) &&
         ws_buf_append(b, part.p, part.n);
}

/* ---- people ---- */

static bool take_person(struct ws_slice from, struct ws_roll_person *who) {
  if (!take_number(&from, 4, &who->n) || !take_text(&from, 2, &who->id))
    return false;
  who->info = from;
  return true;
}

/* A field and its value; false: it is something else. */
static bool read_entry(struct ws_slice field, struct ws_slice value,
                       struct ws_roll_person *who) {
  struct ws_slice json;
  if (field.n < 1 + WS_ROLL_NODE || *field.p != 'e') return false;
  who->key.p = field.p + 1 + WS_ROLL_NODE;
  who->key.n = field.n - 1 - WS_ROLL_NODE;
  return take_number(&value, WHEN, &who->at) && take_text(&value, 4, &json) &&
         take_person(value, who);
}

static int by_bytes(struct ws_slice a, struct ws_slice b) {
  size_t n = a.n < b.n ? a.n : b.n;
  int order = n ? memcmp(a.p, b.p, n) : 0;
  if (order) return order;
  return (a.n > b.n) - (a.n < b.n);
}

static int by_time(const void *a, const void *b) {
  const struct ws_roll_person *x = a, *y = b;
  if (x->at != y->at) return x->at < y->at ? -1 : 1;
  return by_bytes(x->key, y->key);
}

static int by_key(const void *a, const void *b) {
  const struct ws_roll_person *x = a, *y = b;
  int order = by_bytes(x->key, y->key);
  return order ? order : by_time(a, b);
}

/* Those with one key are one: the first of them, as often as all. */
static size_t merge(struct ws_roll_person *list, size_t n) {
  size_t end = 0;
  for (size_t i = 0; i < n; i++) {
    if (end && ws_slice_equal(list[end - 1].key, list[i].key))
      list[end - 1].n += list[i].n;
    else
      list[end++] = list[i];
  }
  return end;
}

struct ws_roll_person *ws_roll_people(struct ws_slice items, size_t *n) {
  struct ws_slice rest = items, field, value;
  size_t most = 1;
  while (take_text(&rest, 4, &field) && take_text(&rest, 4, &value)) most++;
  struct ws_roll_person *list = ws_mem_alloc(most * sizeof *list);
  *n = 0;
  if (!list) return NULL;
  rest = items;
  while (take_text(&rest, 4, &field) && take_text(&rest, 4, &value))
    if (read_entry(field, value, &list[*n])) ++*n;
  qsort(list, *n, sizeof *list, by_key);
  *n = merge(list, *n);
  qsort(list, *n, sizeof *list, by_time);
  return list;
}

bool ws_roll_read(struct ws_slice message, struct ws_rumour *news) {
  struct ws_roll_person who;
  uint64_t what;
  if (!take_number(&message, 1, &what) || (what != 'J' && what != 'L') ||
      !take_text(&message, 4, &news->topic) ||
      !take_text(&message, 4, &news->key) || !take_person(message, &who))
    return false;
  news->is_join = what == 'J';
  news->id = who.id;
  news->info = who.info;
  return true;
}

bool ws_roll_message(struct ws_buf *b, struct ws_slice member,
                     struct ws_slice value, bool is_join,
                     struct ws_publication *p) {
  struct ws_slice head =
    is_join ? WS_SLICE("{\"join\":") : WS_SLICE("{\"leave\":");
  struct ws_slice node, topic, json;
  if (!take(&member, WS_ROLL_NODE, &node) || !take_text(&member, 4, &topic) ||
      !take_text(&value, 4, &json) ||
      !ws_buf_reserve(b, 2 + topic.n + head.n + json.n))
    return false;
  char *to = (char *)ws_buf_begin(b);
  p->topic = (struct ws_slice){to, 2 + topic.n};
  to = put_bytes(put_bytes(to, WS_SLICE("\0p")), topic);
  p->message = (struct ws_slice){to, head.n + json.n};
  put_bytes(put_bytes(to, head), json);
  return true;
}
