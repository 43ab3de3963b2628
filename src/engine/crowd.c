/* crowd.c: a table of addresses, for as long as somebody is there from each. */
#include "engine/crowd.h"

#include <string.h>

#include "base/buf.h"

#define BUCKETS_MIN 64

static void network_of(const struct ws_ip *ip, uint8_t bytes[16]) {
  memcpy(bytes, ip->bytes, 16);
  if (ip->kind == WS_IP_V6) memset(bytes + 8, 0, 8);
}

/* Strangers choose their addresses. */
static struct ws_neighbours **bucket(const struct ws_crowd *crowd,
                                     const uint8_t bytes[16]) {
  uint64_t hash = ws_hash(&crowd->key, bytes, 16);
  return &crowd->buckets[hash & (crowd->n_buckets - 1)];
}

static struct ws_neighbours *find(const struct ws_crowd *crowd,
                                  const uint8_t bytes[16]) {
  if (!crowd->n_buckets) return NULL;
  struct ws_neighbours *w = *bucket(crowd, bytes);
  while (w && memcmp(w->bytes, bytes, 16) != 0) w = w->next;
  return w;
}

uint64_t ws_crowd_count(const struct ws_crowd *crowd, const struct ws_ip *ip) {
  uint8_t bytes[16];
  network_of(ip, bytes);
  const struct ws_neighbours *w = find(crowd, bytes);
  return w ? w->n : 0;
}

/* Without memory for more buckets, those that are there will do. */
static bool grow(struct ws_crowd *crowd) {
  struct ws_crowd wider = *crowd;
  if (crowd->n < crowd->n_buckets) return true;
  wider.n_buckets = crowd->n_buckets ? crowd->n_buckets * 2 : BUCKETS_MIN;
  wider.buckets = ws_mem_zero(wider.n_buckets * sizeof(struct ws_neighbours *));
  if (!wider.buckets) return crowd->n_buckets > 0;
  for (size_t i = 0; i < crowd->n_buckets; i++) {
    struct ws_neighbours *next, *w = crowd->buckets[i];
    for (; w; w = next) {
      struct ws_neighbours **to = bucket(&wider, w->bytes);
      next = w->next;
      w->next = *to;
      *to = w;
    }
  }
  ws_mem_free(crowd->buckets);
  *crowd = wider;
  return true;
}

struct ws_neighbours *ws_crowd_enter(struct ws_crowd *crowd,
                                     const struct ws_ip *ip) {
  uint8_t bytes[16];
  network_of(ip, bytes);
  struct ws_neighbours *w = find(crowd, bytes);
  if (!w) {
    if (!grow(crowd) || !(w = ws_mem_zero(sizeof *w))) return NULL;
    memcpy(w->bytes, bytes, 16);
    struct ws_neighbours **to = bucket(crowd, bytes);
    w->next = *to;
    *to = w;
    crowd->n++;
  }
  w->n++;
  return w;
}

void ws_crowd_leave(struct ws_crowd *crowd, struct ws_neighbours *w) {
  if (!w || --w->n > 0) return;
  struct ws_neighbours **at = bucket(crowd, w->bytes);
  while (*at != w) at = &(*at)->next;
  *at = w->next;
  crowd->n--;
  ws_mem_free(w);
}

void ws_crowd_free(struct ws_crowd *crowd) {
  for (size_t i = 0; i < crowd->n_buckets; i++) {
    struct ws_neighbours *w;
    while ((w = crowd->buckets[i])) {
      crowd->buckets[i] = w->next;
      ws_mem_free(w);
    }
  }
  ws_mem_free(crowd->buckets);
  *crowd = (struct ws_crowd){.key = crowd->key};
}
