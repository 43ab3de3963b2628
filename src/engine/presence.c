/* presence.c: who is in a topic. Coming and going is told by a job, behind
 * what is going on: who subscribes is there before the others hear of it. What
 * will be told of somebody's leaving is made when he comes, so that it does
 * not fail for want of memory. */
#include "engine/presence.h"

#include "base/buf.h"
#include "engine/server_base.h"

#define BUCKETS_MIN 8
#define AGAIN 0.1 /* seconds, until there may be memory */

/* ---- people by their keys ---- */

static struct ws_slice slice(const struct ws_text *t) {
  return (struct ws_slice){t->text, t->len};
}

static struct ws_text *held(struct ws_text *t) {
  t->refs++;
  return t;
}

static struct ws_person **place(const struct ws_presence *p,
                                const struct ws_text *key) {
  uint64_t hash = ws_hash(p->hash, key->text, key->len);
  struct ws_person **at = &p->buckets[hash & (p->n_buckets - 1)];
  while (*at && !ws_slice_equal(slice((*at)->key), slice(key)))
    at = &(*at)->next;
  return at;
}

/* Twice the buckets; without memory the chains grow instead. */
static bool grow(struct ws_presence *p) {
  size_t n = p->n_buckets ? p->n_buckets * 2 : BUCKETS_MIN;
  struct ws_person **buckets = ws_mem_zero(n * sizeof *buckets);
  if (!buckets) return p->n_buckets > 0;
  ws_mem_free(p->buckets);
  p->buckets = buckets;
  p->n_buckets = n;
  for (struct ws_list *e = p->people.next; e != &p->people; e = e->next) {
    struct ws_person *one = WS_LIST_ENTRY(e, struct ws_person, link);
    one->next = NULL;
    *place(p, one->key) = one;
  }
  return true;
}

struct ws_presence *ws_presence_new(const struct ws_hash_key *hash) {
  struct ws_presence *p = ws_mem_zero(sizeof *p);
  if (!p) return NULL;
  p->hash = hash;
  ws_list_init(&p->people);
  return p;
}

void ws_presence_free(struct ws_presence *p) {
  if (p) ws_mem_free(p->buckets);
  ws_mem_free(p);
}

/* ---- what is told ---- */

static void free_change(struct ws_change *c) {
  if (!c) return;
  ws_text_release(c->topic);
  ws_text_release(c->id);
  ws_text_release(c->key);
  ws_text_release(c->info);
  ws_mem_free(c);
}

static struct ws_change *new_change(const struct ws_arrival *who,
                                    bool is_join) {
  struct ws_change *c = ws_mem_alloc(sizeof *c);
  if (!c) return NULL;
  *c = (struct ws_change){.topic = held(who->topic),
                          .id = held(who->id),
                          .key = held(who->key),
                          .info = held(who->info),
                          .is_join = is_join};
  return c;
}

static void tell(struct ws_changes *all, struct ws_change *c) {
  c->next = NULL;
  if (all->first)
    all->last->next = c;
  else
    all->first = c;
  all->last = c;
  ws_loop_job(all->loop, &all->job);
}

static void put_back(struct ws_changes *all, struct ws_change *c) {
  c->next = all->first;
  if (!all->first) all->last = c;
  all->first = c;
  ws_loop_timer(all->loop, &all->again, AGAIN);
}

static void go_on(struct ws_changes *all) {
  while (all->first) {
    struct ws_change *c = all->first;
    all->first = c->next; /* the rest may be dropped meanwhile */
    if (!all->present(all, c)) {
      put_back(all, c);
      return;
    }
    free_change(c);
  }
}

static void on_job(struct ws_job *job) {
  go_on(WS_LIST_ENTRY(job, struct ws_changes, job));
}

static void on_timer(struct ws_timer *timer) {
  go_on(WS_LIST_ENTRY(timer, struct ws_changes, again));
}

void ws_changes_start(struct ws_changes *c, struct ws_loop *loop) {
  c->loop = loop;
  ws_list_init(&c->job.link);
  c->job.run = on_job;
  c->again.fn = on_timer;
}

static bool of_server(struct ws_changes *all, const struct ws_change *c) {
  return all->server->host->present(all->server, c);
}

void ws_changes_init(struct ws_changes *c, struct ws_server *s) {
  c->server = s;
  c->present = of_server;
  ws_changes_start(c, s->loop);
}

void ws_changes_flush(struct ws_changes *c) {
  go_on(c);
}

void ws_changes_free(struct ws_changes *c) {
  while (c->first) {
    struct ws_change *first = c->first;
    c->first = first->next;
    free_change(first);
  }
  ws_list_remove(&c->job.link);
  ws_loop_timer_stop(c->loop, &c->again);
}

/* ---- coming and going ---- */

static struct ws_person *new_person(struct ws_presence *p,
                                    const struct ws_arrival *who) {
  struct ws_person *one = ws_mem_zero(sizeof *one);
  if (!one) return NULL;
  one->id = held(who->id);
  one->key = held(who->key);
  one->info = held(who->info);
  one->next = NULL;
  *place(p, one->key) = one;
  ws_list_append(&p->people, &one->link);
  p->n++;
  return one;
}

static void remove_person(struct ws_presence *p, struct ws_person *one) {
  *place(p, one->key) = one->next;
  ws_list_remove(&one->link);
  p->n--;
  ws_text_release(one->id);
  ws_text_release(one->key);
  ws_text_release(one->info);
  ws_mem_free(one);
}

static void replace(struct ws_text **text, struct ws_text *by) {
  struct ws_text *before = *text;
  *text = held(by);
  ws_text_release(before);
}

/* He is known already: the last one's words count. */
static void renew(struct ws_person *one, const struct ws_arrival *who) {
  replace(&one->info, who->info);
}

/* Told where others know of him, by what was made for something else. */
static void update(struct ws_changes *all, const struct ws_person *one,
                   struct ws_change *c) {
  if (!all->server->carrier) {
    free_change(c);
    return;
  }
  replace(&c->id, one->id);
  replace(&c->info, one->info);
  c->n = (uint32_t)one->n;
  c->is_update = true;
  tell(all, c);
}

bool ws_changes_hear(struct ws_changes *c, const struct ws_rumour *what) {
  struct ws_change *change = ws_mem_zero(sizeof *change);
  if (!change) return false;
  change->is_heard = true;
  change->is_join = what->is_join;
  if ((change->topic = ws_text_new(what->topic)) &&
      (change->id = ws_text_new(what->id)) &&
      (change->key = ws_text_new(what->key)) &&
      (change->info = ws_text_new(what->info))) {
    tell(c, change);
    return true;
  }
  free_change(change);
  return false;
}

struct ws_present *ws_presence_join(struct ws_presence *p,
                                    struct ws_changes *changes,
                                    const struct ws_arrival *who) {
  struct ws_present *present = ws_mem_zero(sizeof *present);
  struct ws_change *join = new_change(who, true), *leave = NULL;
  struct ws_person *one = NULL;
  if (present && join && (leave = new_change(who, false)) &&
      (p->n < p->n_buckets || grow(p))) {
    one = *place(p, who->key);
    if (!one) one = new_person(p, who);
  }
  if (!one) {
    ws_mem_free(present);
    free_change(join);
    free_change(leave);
    return NULL;
  }
  *present = (struct ws_present){p, one, leave};
  if (one->n++) {
    renew(one, who);
    update(changes, one, join);
  } else {
    join->n = 1;
    changes->server->stats.joins++;
    tell(changes, join);
  }
  return present;
}

void ws_presence_leave(struct ws_present *who, struct ws_changes *changes) {
  struct ws_presence *p = who->of;
  struct ws_person *one = who->person;
  if (--one->n) {
    update(changes, one, who->leave);
  } else {
    remove_person(p, one);
    changes->server->stats.leaves++;
    tell(changes, who->leave);
  }
  ws_mem_free(who);
}
