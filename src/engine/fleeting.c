/* fleeting.c: a list in the order of sending, and a table of the keys. */
#include "engine/fleeting.h"

#include <string.h>

#include "base/buf.h"

#define BUCKETS_MIN 8

static size_t size_of(const struct ws_fleeting *m) {
  return sizeof *m + m->key_len + m->len;
}

struct ws_fleetings *ws_fleetings_new(struct ws_hash_key key) {
  struct ws_fleetings *f = ws_mem_zero(sizeof *f);
  if (!f) return NULL;
  ws_list_init(&f->all);
  f->hash_key = key;
  return f;
}

void ws_fleeting_free(struct ws_fleeting *m) {
  ws_mem_free(m->data);
  ws_mem_free(m);
}

void ws_fleetings_free(struct ws_fleetings *f) {
  struct ws_list *e;
  if (!f) return;
  while ((e = ws_list_shift(&f->all)))
    ws_fleeting_free(WS_LIST_ENTRY(e, struct ws_fleeting, link));
  ws_mem_free(f->buckets);
  ws_mem_free(f);
}

/* ---- keys ---- */

static uint32_t hash_of(const struct ws_fleetings *f,
                        const struct ws_fleet *how) {
  uint64_t hash = ws_hash(&f->hash_key, how->key.p, how->key.n);
  return (uint32_t)(hash ^ how->scope);
}

static struct ws_fleeting **bucket(const struct ws_fleetings *f,
                                   uint32_t hash) {
  return &f->buckets[hash & (f->n_buckets - 1)];
}

struct ws_fleeting *ws_fleetings_find(const struct ws_fleetings *f,
                                      const struct ws_fleet *how) {
  struct ws_slice key = how->key;
  if (key.n == 0 || f->n_keys == 0) return NULL;
  uint32_t hash = hash_of(f, how);
  struct ws_fleeting *m = *bucket(f, hash);
  while (m && (m->hash != hash || m->scope != how->scope ||
               m->key_len != key.n || memcmp(m->key, key.p, key.n) != 0))
    m = m->next;
  return m;
}

static bool grow(struct ws_fleetings *f) {
  size_t n = f->n_buckets ? f->n_buckets * 2 : BUCKETS_MIN;
  struct ws_fleeting **wider;
  if (f->n_keys < f->n_buckets) return true;
  if (!(wider = ws_mem_zero(n * sizeof(struct ws_fleeting *))))
    return f->n_buckets > 0; /* as they are they will do */
  ws_mem_free(f->buckets);
  f->buckets = wider;
  f->n_buckets = n;
  for (struct ws_list *e = f->all.next; e != &f->all; e = e->next) {
    struct ws_fleeting *m = WS_LIST_ENTRY(e, struct ws_fleeting, link);
    if (!m->key_len) continue;
    struct ws_fleeting **to = bucket(f, m->hash);
    m->next = *to;
    *to = m;
  }
  return true;
}

static void forget_key(struct ws_fleetings *f, struct ws_fleeting *m) {
  if (!m->key_len) return;
  struct ws_fleeting **at = bucket(f, m->hash);
  while (*at != m) at = &(*at)->next;
  *at = m->next;
  f->n_keys--;
}

/* ---- messages ---- */

/* An empty message needs none. */
static bool copy(struct ws_slice message, uint8_t **to) {
  *to = NULL;
  if (message.n == 0) return true;
  if (!(*to = ws_mem_alloc(message.n))) return false;
  memcpy(*to, message.p, message.n);
  return true;
}

static void put(struct ws_fleetings *f, struct ws_fleeting *m,
                const struct ws_fleet *how, double until, uint8_t opcode) {
  m->until = until;
  m->opcode = opcode;
  m->is_plain = how->is_plain;
  m->is_gone = false;
  if (until > 0 && (f->oldest <= 0 || until < f->oldest)) f->oldest = until;
}

struct ws_fleeting *ws_fleetings_add(struct ws_fleetings *f,
                                     const struct ws_fleet *how, double until,
                                     uint8_t opcode, struct ws_slice message) {
  struct ws_slice key = how->key;
  if (key.n && !grow(f)) return NULL;
  struct ws_fleeting *m = ws_mem_zero(sizeof *m + key.n);
  if (!m) return NULL;
  if (!copy(message, &m->data)) {
    ws_mem_free(m);
    return NULL;
  }
  m->len = message.n;
  m->key_len = (uint16_t)key.n;
  put(f, m, how, until, opcode);
  if (key.n) {
    memcpy(m->key, key.p, key.n);
    m->scope = how->scope;
    m->hash = hash_of(f, how);
    struct ws_fleeting **to = bucket(f, m->hash);
    m->next = *to;
    *to = m;
    f->n_keys++;
  }
  ws_list_append(&f->all, &m->link);
  f->bytes += size_of(m);
  return m;
}

bool ws_fleetings_replace(struct ws_fleetings *f, struct ws_fleeting *m,
                          const struct ws_fleet *how, double until,
                          uint8_t opcode, struct ws_slice message) {
  uint8_t *data;
  if (!copy(message, &data)) return false;
  ws_mem_free(m->data);
  f->bytes = f->bytes - m->len + message.n;
  m->data = data;
  m->len = message.n;
  put(f, m, how, until, opcode);
  return true;
}

/* All are looked at only when there is one whose time has come. */
size_t ws_fleetings_age(struct ws_fleetings *f, double now) {
  size_t n = 0;
  if (f->oldest <= 0 || now < f->oldest) return 0;
  f->oldest = 0;
  for (struct ws_list *e = f->all.next; e != &f->all; e = e->next) {
    struct ws_fleeting *m = WS_LIST_ENTRY(e, struct ws_fleeting, link);
    if (m->is_gone || m->until <= 0) continue;
    if (now < m->until) {
      if (f->oldest <= 0 || m->until < f->oldest) f->oldest = m->until;
      continue;
    }
    ws_mem_free(m->data);
    f->bytes -= m->len;
    m->data = NULL;
    m->len = 0;
    m->is_gone = true;
    n++;
  }
  return n;
}

void ws_fleetings_take(struct ws_fleetings *f, struct ws_fleeting *m) {
  forget_key(f, m);
  ws_list_remove(&m->link);
  f->bytes -= size_of(m);
}
