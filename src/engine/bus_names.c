/* bus_names.c: the channels that somebody in this process wants. */
#include "engine/bus_names.h"

#include <string.h>

#include "base/buf.h"

#define BUCKETS_MIN 16

void ws_channels_init(struct ws_channels *cs, struct ws_hash_key key) {
  *cs = (struct ws_channels){.key = key};
  ws_list_init(&cs->fresh);
  ws_list_init(&cs->alone);
  ws_list_init(&cs->coming);
  ws_list_init(&cs->refused);
  ws_list_init(&cs->leaving);
}

static struct ws_channel **bucket(const struct ws_channels *cs, uint64_t hash) {
  return &cs->buckets[hash & (cs->n_buckets - 1)];
}

struct ws_channel *ws_channels_find(const struct ws_channels *cs,
                                    struct ws_slice name) {
  if (!cs->n_buckets) return NULL;
  uint64_t hash = ws_hash(&cs->key, name.p, name.n);
  struct ws_channel *c = *bucket(cs, hash);
  for (; c; c = c->next) {
    struct ws_slice its = {c->name, c->len};
    if (c->hash == hash && ws_slice_equal(its, name)) return c;
  }
  return NULL;
}

bool ws_channels_is_wanted(const struct ws_channels *cs, struct ws_slice name) {
  const struct ws_channel *c = ws_channels_find(cs, name);
  return c && c->wanted;
}

/* Twice the buckets; without memory the chains grow instead. */
static bool grow(struct ws_channels *cs) {
  size_t n = cs->n_buckets ? cs->n_buckets * 2 : BUCKETS_MIN;
  struct ws_channel **old = cs->buckets, *c, *next;
  size_t n_old = cs->n_buckets;
  struct ws_channel **list = ws_mem_zero(n * sizeof(void *));
  if (!list) return n_old > 0;
  cs->buckets = list;
  cs->n_buckets = n;
  for (size_t i = 0; i < n_old; i++) {
    for (c = old[i]; c; c = next) {
      struct ws_channel **to = bucket(cs, c->hash);
      next = c->next;
      c->next = *to;
      *to = c;
    }
  }
  ws_mem_free(old);
  return true;
}

static struct ws_channel *insert(struct ws_channels *cs, struct ws_slice name) {
  if (cs->n >= cs->n_buckets && !grow(cs)) return NULL;
  struct ws_channel *c = ws_mem_alloc(sizeof *c + name.n);
  if (!c) return NULL;
  *c = (struct ws_channel){.len = name.n};
  memcpy(c->name, name.p, name.n);
  c->hash = ws_hash(&cs->key, name.p, name.n);
  c->next = *bucket(cs, c->hash);
  *bucket(cs, c->hash) = c;
  cs->n++;
  ws_list_init(&c->link);
  ws_list_init(&c->coming);
  ws_list_append(&cs->fresh, &c->link);
  return c;
}

struct ws_channel *ws_channels_want(struct ws_channels *cs,
                                    struct ws_slice name) {
  struct ws_channel *c = ws_channels_find(cs, name);
  if (!c && !(c = insert(cs, name))) return NULL;
  if (c->wanted++ == 0 && c->asked) ws_list_remove(&c->link);
  return c;
}

bool ws_channels_let_go(struct ws_channels *cs, struct ws_slice name,
                        double now) {
  struct ws_channel *c = ws_channels_find(cs, name);
  if (!c || --c->wanted) return false;
  ws_list_remove(&c->link);
  c->left = now;
  if (c->asked)
    ws_list_append(&cs->leaving, &c->link);
  else
    ws_channels_remove(cs, c);
  return true;
}

struct ws_channel *ws_channels_leaving(const struct ws_channels *cs) {
  return ws_list_is_empty(&cs->leaving)
           ? NULL
           : WS_LIST_ENTRY(cs->leaving.next, struct ws_channel, link);
}

size_t ws_channels_fresh(const struct ws_channels *cs, size_t most) {
  const struct ws_list *e = cs->fresh.next;
  size_t n = 0;
  for (; e != &cs->fresh && n < most; e = e->next) n++;
  return n;
}

size_t ws_channels_left(const struct ws_channels *cs, double by, size_t most) {
  const struct ws_list *e = cs->leaving.next;
  size_t n = 0;
  for (; e != &cs->leaving && n < most; e = e->next, n++)
    if (WS_LIST_ENTRY(e, struct ws_channel, link)->left > by) break;
  return n;
}

void ws_channels_remove(struct ws_channels *cs, struct ws_channel *c) {
  struct ws_channel **at = bucket(cs, c->hash);
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  cs->n--;
  cs->n_refused -= c->is_refused;
  ws_list_remove(&c->link);
  ws_list_remove(&c->coming);
  ws_mem_free(c);
}

void ws_channels_confirmed(struct ws_channels *cs, struct ws_channel *c) {
  ws_list_remove(&c->coming);
  cs->n_refused -= c->is_refused;
  c->is_there = true;
  c->is_refused = c->is_alone = false;
}

bool ws_channels_deny(struct ws_channels *cs, struct ws_channel *c) {
  if (!c->wanted) {
    ws_channels_remove(cs, c);
    return false;
  }
  ws_list_remove(&c->coming);
  c->asked = 0;
  ws_list_append(c->is_alone ? &cs->refused : &cs->alone, &c->link);
  cs->n_refused += c->is_alone && !c->is_refused;
  c->is_refused = c->is_alone;
  c->is_alone = true;
  return c->is_refused;
}

void ws_channels_retry(struct ws_channels *cs, size_t most) {
  struct ws_list *e;
  while (most-- && (e = ws_list_shift(&cs->refused)))
    ws_list_append(&cs->alone, e);
}

void ws_channels_renew(struct ws_channels *cs) {
  struct ws_channel *c;
  struct ws_list *e;
  while ((e = ws_list_shift(&cs->leaving)))
    ws_channels_remove(cs, WS_LIST_ENTRY(e, struct ws_channel, link));
  cs->n_refused = 0;
  for (size_t i = 0; i < cs->n_buckets; i++) {
    for (c = cs->buckets[i]; c; c = c->next) {
      c->asked = 0;
      c->is_there = c->is_refused = false;
      ws_list_remove(&c->link);
      ws_list_remove(&c->coming);
      ws_list_append(c->is_alone ? &cs->alone : &cs->fresh, &c->link);
    }
  }
}

void ws_channels_free(struct ws_channels *cs) {
  for (size_t i = 0; i < cs->n_buckets; i++) {
    while (cs->buckets[i]) {
      struct ws_channel *c = cs->buckets[i];
      cs->buckets[i] = c->next;
      ws_mem_free(c);
    }
  }
  ws_mem_free(cs->buckets);
  ws_channels_init(cs, cs->key);
}
