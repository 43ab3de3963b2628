/* share.c: the page that the workers of one supervisor share. All of it is
 * words that are written and read one by one: whoever reads while another
 * writes sees some from before and some from after. */
#include "engine/share.h"

#include <errno.h>

#include "engine/server_log.h"
#include "transport/page.h"

#define COPY_EVERY 1.0 /* seconds */

/* What is looked at when somebody connects: a line of the cache for each. */
struct place {
  _Atomic uint32_t state, id, generation;
  _Atomic uint32_t conns[WS_SHARE_SERVERS]; /* one more; 0: none listens */
  _Atomic uint64_t serial;
};

struct counted {
  _Atomic uint64_t words[WS_SHARE_SERVERS][WS_TOTALS_WORDS];
};

struct named {
  _Atomic uint64_t key; /* of its name; 0: none */
  _Atomic uint64_t gauges;
  _Atomic uint64_t words[WS_SHARE_WORDS];
};

struct ws_share_page {
  _Atomic uint64_t restarts;
  _Atomic uint32_t used; /* slots from here on were never used */
  _Alignas(64) struct place places[WS_SHARE_SLOTS];
  _Alignas(64) struct counted counted[WS_SHARE_SLOTS];
  _Alignas(64) struct named named[WS_SHARE_SLOTS][WS_SHARE_NAMES];
};

#define GET(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define SET(x, value) atomic_store_explicit(&(x), (value), memory_order_relaxed)

int ws_share_new(void) {
  return ws_page_new(sizeof(struct ws_share_page));
}

int ws_share_open(struct ws_share *share, int fd, int slot) {
  void *page = ws_page_map(fd, sizeof(struct ws_share_page));
  if (!page) return -errno;
  *share = (struct ws_share){.page = page, .slot = slot, .copied = -1};
  return 0;
}

void ws_share_close(struct ws_share *share) {
  if (share->page) ws_page_unmap(share->page, sizeof(struct ws_share_page));
  share->page = NULL;
}

/* ---- words ---- */

static void load(const struct ws_share_page *page, int slot, int at,
                 struct ws_totals *t) {
  uint64_t w[WS_TOTALS_WORDS];
  for (int i = 0; i < WS_TOTALS_WORDS; i++)
    w[i] = GET(page->counted[slot].words[at][i]);
  ws_totals_unpack(t, w);
}

static void store(struct ws_share_page *page, int slot, int at,
                  const struct ws_totals *t) {
  uint64_t w[WS_TOTALS_WORDS];
  ws_totals_pack(t, w);
  for (int i = 0; i < WS_TOTALS_WORDS; i++)
    SET(page->counted[slot].words[at][i], w[i]);
}

/* ---- names ---- */

/* The same in every process, which ws_hash is not; scripts choose the names,
 * strangers do not (FNV-1a). */
static uint64_t key_of(struct ws_slice name) {
  uint64_t h = 0xcbf29ce484222325;
  for (size_t i = 0; i < name.n; i++)
    h = (h ^ (uint8_t)name.p[i]) * 0x100000001b3;
  return h ? h : 1;
}

/* NULL: it is not there; add: and there is no room. */
static struct named *find(struct ws_share_page *page, int slot, uint64_t key,
                          bool add) {
  for (int i = 0; i < WS_SHARE_NAMES; i++) {
    struct named *n = &page->named[slot][i];
    uint64_t found = GET(n->key);
    if (found == key) return n;
    if (found) continue;
    if (!add) return NULL;
    SET(n->key, key);
    return n;
  }
  return NULL;
}

static void bury_named(struct ws_share_page *page, int slot) {
  for (int i = 0; i < WS_SHARE_NAMES; i++) {
    struct named *n = &page->named[slot][i];
    uint64_t key = GET(n->key);
    struct named *past = key ? find(page, 0, key, true) : NULL;
    for (int w = 0; w < WS_SHARE_WORDS; w++) {
      if (past && (uint64_t)w >= GET(n->gauges))
        SET(past->words[w], GET(past->words[w]) + GET(n->words[w]));
      SET(n->words[w], 0);
    }
    SET(n->key, 0);
  }
}

void ws_share_tell(const struct ws_share *share, struct ws_slice name,
                   int gauges, const uint64_t *words, int n) {
  struct named *own = find(share->page, share->slot, key_of(name), true);
  if (!own) return;
  SET(own->gauges, (uint64_t)gauges);
  for (int i = 0; i < n && i < WS_SHARE_WORDS; i++)
    SET(own->words[i], words[i]);
}

/* ---- the supervisor's part ---- */

/* Counters go on where their process does not. */
static void bury(struct ws_share_page *page, int slot) {
  for (int at = 0; at < WS_SHARE_SERVERS; at++) {
    struct ws_totals past, t;
    load(page, slot, at, &t);
    load(page, 0, at, &past);
    t.open = t.pending = t.queued = t.memory = t.present = 0;
    t.lag = 0;
    ws_totals_add(&past, &t);
    store(page, 0, at, &past);
    t = (struct ws_totals){.open = 0};
    store(page, slot, at, &t);
    SET(page->places[slot].conns[at], 0);
  }
  bury_named(page, slot);
}

void ws_share_set(struct ws_share *share, int slot, struct ws_share_worker w) {
  struct ws_share_page *page = share->page;
  struct place *p = &page->places[slot];
  if (w.state == WS_SHARE_FREE) bury(page, slot);
  SET(p->id, w.id);
  SET(p->generation, w.generation);
  SET(p->serial, w.serial);
  if ((uint32_t)slot >= GET(page->used)) SET(page->used, (uint32_t)slot + 1);
  atomic_store_explicit(&p->state, w.state, memory_order_release);
}

struct ws_share_worker ws_share_get(const struct ws_share *share, int slot) {
  const struct place *p = &share->page->places[slot];
  return (struct ws_share_worker){
    .state = atomic_load_explicit(&p->state, memory_order_acquire),
    .id = GET(p->id),
    .generation = GET(p->generation),
    .serial = GET(p->serial)};
}

void ws_share_set_state(struct ws_share *share, int slot,
                        enum ws_share_state state) {
  SET(share->page->places[slot].state, state);
}

void ws_share_count_restart(struct ws_share *share) {
  SET(share->page->restarts, GET(share->page->restarts) + 1);
}

/* ---- everybody's ---- */

static int n_slots(const struct ws_share *share) {
  uint32_t n = GET(share->page->used);
  return n < WS_SHARE_SLOTS ? (int)n : WS_SHARE_SLOTS;
}

uint32_t ws_share_workers(const struct ws_share *share) {
  uint32_t n = 0;
  for (int i = 1; i < n_slots(share); i++)
    n += ws_share_get(share, i).state == WS_SHARE_READY;
  return n;
}

uint64_t ws_share_restarts(const struct ws_share *share) {
  return GET(share->page->restarts);
}

static bool is_before(struct ws_share_worker a, struct ws_share_worker b) {
  return a.id != b.id ? a.id < b.id : a.serial > b.serial;
}

bool ws_share_is_leader(const struct ws_share *share) {
  struct ws_share_worker own = ws_share_get(share, share->slot);
  if (own.state != WS_SHARE_READY) return false;
  for (int i = 1; i < n_slots(share); i++) {
    struct ws_share_worker w = ws_share_get(share, i);
    if (i != share->slot && w.state == WS_SHARE_READY && is_before(w, own))
      return false;
  }
  return true;
}

/* ---- a server's ---- */

static bool is_free(const struct ws_share *share, int at) {
  return at >= 0 && at < WS_SHARE_SERVERS && !(share->taken & 1u << at);
}

/* That of its socket, which is the same in all workers; else the one that
 * others want last. */
static int free_place(const struct ws_share *share, int wanted) {
  int at = WS_SHARE_SERVERS - 1;
  if (is_free(share, wanted)) return wanted;
  while (at >= 0 && !is_free(share, at)) at--;
  return at;
}

void ws_share_enter(struct ws_share *share, struct ws_server *s, int wanted) {
  int at = free_place(share, wanted);
  if (at < 0) {
    if (!share->warned)
      ws_server_log(s, WS_LOG_WARNING,
                    "more than %d servers in a worker: the others are neither "
                    "balanced nor counted together",
                    WS_SHARE_SERVERS);
    share->warned = true;
    return;
  }
  share->taken |= 1u << at;
  s->share = share;
  s->share_at = at;
  ws_share_count(s);
}

void ws_share_count(const struct ws_server *s) {
  struct place *p;
  if (!s->share || !s->n_listeners) return;
  p = &s->share->page->places[s->share->slot];
  SET(p->conns[s->share_at], (uint32_t)s->n_conns + 1);
}

void ws_share_publish(struct ws_server *s, uint64_t queued) {
  struct ws_totals t = ws_totals_of(s, queued);
  if (s->share) store(s->share->page, s->share->slot, s->share_at, &t);
}

void ws_share_warn_alone(struct ws_server *s) {
  if (s->warned_alone || ws_share_workers(s->share) < 2) return;
  s->warned_alone = true;
  ws_server_log(s, WS_LOG_WARNING,
                "topics stay inside of a worker; --redis spawn joins them");
}

void ws_share_deaf(const struct ws_server *s) {
  if (!s->share) return;
  SET(s->share->page->places[s->share->slot].conns[s->share_at], 0);
}

/* Its counters stay until the next one comes to its place. */
void ws_share_leave(struct ws_server *s) {
  if (!s->share) return;
  ws_share_publish(s, 0);
  ws_share_deaf(s);
  s->share->taken &= ~(1u << s->share_at);
  s->share = NULL;
}

bool ws_share_least(const struct ws_server *s, uint64_t *least) {
  const struct ws_share *share = s->share;
  uint32_t fewest = UINT32_MAX;
  for (int i = 1; i < n_slots(share); i++) {
    const struct place *p = &share->page->places[i];
    if (i == share->slot || GET(p->state) != WS_SHARE_READY) continue;
    uint32_t n = GET(p->conns[s->share_at]);
    if (n && n < fewest) fewest = n;
  }
  *least = fewest - 1;
  return fewest != UINT32_MAX;
}

bool ws_share_is_due(const struct ws_share *share, double now) {
  return share->copied < 0 || now - share->copied >= COPY_EVERY;
}

void ws_share_add_others(const struct ws_server *s, struct ws_totals *sum) {
  const struct ws_share *share = s->share;
  for (int i = 0; share && i < n_slots(share); i++) {
    struct ws_totals t;
    if (i == share->slot) continue;
    load(share->page, i, s->share_at, &t);
    ws_totals_add(sum, &t);
  }
}

void ws_share_add_told(const struct ws_share *share, struct ws_slice name,
                       uint64_t *words, int n) {
  uint64_t key = key_of(name);
  for (int slot = 0; slot < n_slots(share); slot++) {
    const struct named *told = find(share->page, slot, key, false);
    if (!told || slot == share->slot) continue;
    for (int i = 0; i < n && i < WS_SHARE_WORDS; i++)
      words[i] += GET(told->words[i]);
  }
}

void ws_share_each(const struct ws_server *s,
                   void (*fn)(void *, uint32_t id, uint64_t open), void *arg) {
  const struct ws_share *share = s->share;
  for (int i = 1; share && i < n_slots(share); i++) {
    struct ws_share_worker w = ws_share_get(share, i);
    struct ws_totals t;
    if (w.state != WS_SHARE_READY && w.state != WS_SHARE_RETIRING) continue;
    if (i == share->slot) {
      fn(arg, w.id, s->n_open);
      continue;
    }
    load(share->page, i, s->share_at, &t);
    fn(arg, w.id, t.open);
  }
}
