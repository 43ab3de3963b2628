/* bus_presence.c: who is in topics, over processes.
 *
 * One command says everything of an entry: that it is new, that it is
 * another, that it is still there. So nothing has to be known of what Redis
 * has: after a loss all are said once more. */
#include "engine/bus_presence.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/roll_script.h"
#include "protocol/frame.h"
#include "transport/random.h"

#define BUCKETS_MIN 8
#define SOME 500 /* of a turn, and of a sweep */
#define NEVER 1e8
#define AGAIN 0.1 /* seconds, until there may be memory */
#define KEEP_MAX 16384

/* ---- commands ---- */

static struct ws_slice text(const struct ws_text *t) {
  return (struct ws_slice){t->text, t->len};
}

static struct ws_slice bytes(const struct ws_buf *b) {
  return (struct ws_slice){(const char *)ws_buf_begin(b), b->len};
}

static const char nobody[WS_ROLL_NODE];

/* Up to two words behind what all scripts are given. */
static bool say(struct ws_roll *r, struct ws_asked *who, struct ws_slice script,
                const struct ws_slice *words, size_t n) {
  struct ws_slice all[9] = {{NULL, 0}};
  const bool is_own = who != &r->sweeping && who != &r->calling;
  char ttl[24];
  double ms = *r->ttl * 1000;
  int len = snprintf(ttl, sizeof ttl, "%.0f", ms < 1 ? 1 : ms);
  all[0] = WS_SLICE("EVAL");
  all[1] = script;
  all[2] = WS_SLICE("1");
  all[3] = bytes(&r->zset);
  all[4] = (struct ws_slice){ttl, (size_t)len};
  all[5] = r->link->settings->prefix;
  all[6] = (struct ws_slice){is_own ? r->node : nobody, WS_ROLL_NODE};
  for (size_t i = 0; i < n; i++) all[7 + i] = words[i];
  r->command.len = r->command.off = 0;
  bool ok = ws_resp_append(&r->command, all, 7 + n) &&
            ws_link_ask(r->link, who, bytes(&r->command));
  if (r->command.cap > KEEP_MAX) ws_buf_free(&r->command);
  return ok;
}

/* ---- entries ---- */

static struct ws_roll_entry **place(const struct ws_roll *r,
                                    struct ws_slice member) {
  uint64_t hash = ws_hash(&r->hash, member.p, member.n);
  struct ws_roll_entry **at = &r->buckets[hash & (r->n_buckets - 1)];
  while (*at && !ws_slice_equal(text((*at)->member), member)) at = &(*at)->next;
  return at;
}

/* Twice the buckets; without memory the chains grow instead. */
static bool grow(struct ws_roll *r) {
  size_t n = r->n_buckets ? r->n_buckets * 2 : BUCKETS_MIN;
  struct ws_roll_entry **buckets = ws_mem_zero(n * sizeof(void *));
  if (!buckets) return r->n_buckets > 0;
  ws_mem_free(r->buckets);
  r->buckets = buckets;
  r->n_buckets = n;
  for (struct ws_list *e = r->all.next; e != &r->all; e = e->next) {
    struct ws_roll_entry *one = WS_LIST_ENTRY(e, struct ws_roll_entry, link);
    one->next = NULL;
    *place(r, text(one->member)) = one;
  }
  return true;
}

static struct ws_roll_entry *new_entry(struct ws_roll *r,
                                       struct ws_text *member) {
  if (r->n >= r->n_buckets && !grow(r)) return NULL;
  struct ws_roll_entry *e = ws_mem_zero(sizeof *e);
  if (!e) return NULL;
  e->member = member;
  member->refs++;
  ws_list_init(&e->link);
  ws_list_init(&e->sent);
  ws_list_append(&r->all, &e->link);
  *place(r, text(member)) = e;
  r->n++;
  return e;
}

static void free_entry(struct ws_roll *r, struct ws_roll_entry *e) {
  *place(r, text(e->member)) = e->next;
  ws_list_remove(&e->link);
  ws_list_remove(&e->sent);
  r->n--;
  ws_text_release(e->member);
  ws_text_release(e->value);
  ws_mem_free(e);
}

static void say_entry(struct ws_roll *r, struct ws_roll_entry *e) {
  struct ws_slice words[2] = {text(e->member), text(e->value)};
  bool ok = e->is_gone ? say(r, &r->changing, WS_SLICE(drop_script), words, 1)
                       : say(r, &r->changing, WS_SLICE(put_script), words, 2);
  if (!ok) {
    r->is_passing = true;
    r->round++;
    r->is_set = ws_loop_timer(r->link->loop, &r->timer, AGAIN);
    return;
  }
  e->is_sent = e->is_known = true;
  e->has_changed = false;
  e->round = r->round;
  ws_list_append(&r->sent, &e->sent);
  ws_list_remove(&e->link);
  ws_list_append(&r->all, &e->link);
  r->n_sent++;
}

/* Shorter by up to a fourth, so that processes do not go in step. */
static double interval(struct ws_roll *r) {
  uint16_t chance = 0;
  if (!ws_random_take(r->link->loop, &chance, sizeof chance)) chance = 0;
  return *r->ttl / 3 * (1 - chance / 65536.0 / 4);
}

static void set_timer(struct ws_roll *r) {
  if (r->is_set || !r->is_up || (!r->n && !r->n_listeners)) return;
  r->is_set = ws_loop_timer(r->link->loop, &r->timer, interval(r));
}

/* One that Redis has never heard of need not be taken back. */
static void changed(struct ws_roll *r, struct ws_roll_entry *e) {
  if (e->is_sent)
    e->has_changed = true;
  else if (e->is_gone && !e->is_known)
    free_entry(r, e);
  else if (r->is_up)
    say_entry(r, e);
}

bool ws_roll_change(struct ws_roll *r, const char *node,
                    const struct ws_change *c, struct ws_slice json) {
  struct ws_text *member = ws_roll_member(node, text(c->topic), text(c->key));
  struct ws_text *value = ws_roll_value(c, json);
  struct ws_roll_entry *e = NULL;
  if (member && value) {
    if (r->n_buckets) e = *place(r, text(member));
    if (!e && c->n) e = new_entry(r, member);
  }
  bool ok = e || (member && value && !c->n);
  ws_text_release(member);
  if (!e) {
    ws_text_release(value);
    return ok;
  }
  ws_text_release(e->value);
  e->value = value;
  e->is_gone = c->n == 0;
  changed(r, e);
  set_timer(r);
  return true;
}

void ws_roll_leave(struct ws_roll *r, const char *node) {
  struct ws_list *last = r->all.prev, *at, *next;
  bool is_last = ws_list_is_empty(&r->all);
  for (at = r->all.next; !is_last; at = next) {
    struct ws_roll_entry *e = WS_LIST_ENTRY(at, struct ws_roll_entry, link);
    next = at->next;
    is_last = at == last;
    if (e->is_gone ||
        (node && memcmp(e->member->text, node, WS_ROLL_NODE) != 0))
      continue;
    e->is_gone = true;
    changed(r, e);
  }
}

/* ---- again and again ---- */

static void go_through(struct ws_roll *r) {
  while (r->n_sent < SOME && !ws_list_is_empty(&r->all)) {
    struct ws_roll_entry *e =
      WS_LIST_ENTRY(r->all.next, struct ws_roll_entry, link);
    if (e->round == r->round) break;
    unsigned before = r->round;
    if (e->is_sent) {
      e->round = r->round;
      ws_list_remove(&e->link);
      ws_list_append(&r->all, &e->link);
    } else {
      say_entry(r, e);
    }
    if (r->round != before) return; /* without memory: soon */
  }
  r->is_passing = r->n_sent >= SOME;
  set_timer(r);
}

static void begin_pass(struct ws_roll *r) {
  r->round++;
  r->is_passing = true;
  say(r, &r->sweeping, WS_SLICE(sweep_script), NULL, 0);
  go_through(r);
}

static void on_timer(struct ws_timer *timer) {
  struct ws_roll *r = WS_LIST_ENTRY(timer, struct ws_roll, timer);
  r->is_set = false;
  ws_loop_timer(r->link->loop, timer, NEVER); /* it keeps its place */
  if (!r->is_up) return;
  if (r->is_passing)
    go_through(r);
  else if (r->n || r->n_listeners)
    begin_pass(r);
}

void ws_roll_go_on(struct ws_roll *r) {
  bool is_up = r->link->state == WS_LINK_UP;
  if (is_up && !r->is_up) {
    r->is_up = true;
    if (r->n || r->n_listeners) begin_pass(r);
  }
  r->is_up = is_up;
}

void ws_roll_lost(struct ws_roll *r) {
  r->is_up = r->is_passing = false;
}

void ws_rolls_ignore(struct ws_roll *rolls, size_t n) {
  for (size_t i = 0; i < n; i++) {
    rolls[i].n_listeners--;
    ws_link_let_go(rolls[i].link, WS_ROLL_CHANNEL);
  }
}

bool ws_rolls_listen(struct ws_roll *rolls, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!ws_link_want(rolls[i].link, WS_ROLL_CHANNEL)) {
      ws_rolls_ignore(rolls, i);
      return false;
    }
    rolls[i].n_listeners++;
    set_timer(&rolls[i]);
  }
  return true;
}

/* ---- answers ---- */

static struct ws_roll *roll_of(struct ws_asked *who) {
  return WS_LIST_ENTRY(who, struct ws_roll, changing);
}

/* There is one for each command. */
static struct ws_roll_entry *shift(struct ws_roll *r) {
  assert(!ws_list_is_empty(&r->sent));
  struct ws_roll_entry *e =
    WS_LIST_ENTRY(ws_list_shift(&r->sent), struct ws_roll_entry, sent);
  e->is_sent = false;
  r->n_sent--;
  return e;
}

/* Whether it was news. Others have its message by the topic's channel; here
 * the answer tells, for this process need not have that channel yet. */
static void on_item(struct ws_asked *who, struct ws_redis *redis,
                    const struct ws_resp_item *item) {
  struct ws_roll *r = roll_of(who);
  struct ws_publication p = {.opcode = WS_OP_TEXT};
  struct ws_buf told = {0};
  if (item->type == WS_RESP_ERROR) ws_redis_refused(redis, item->text);
  if (item->type != WS_RESP_INTEGER || item->depth || !item->n) return;
  const struct ws_roll_entry *e =
    WS_LIST_ENTRY(r->sent.next, struct ws_roll_entry, sent);
  if (ws_roll_message(&told, text(e->member), text(e->value), item->n == 1, &p))
    r->told(r, &p);
  else
    r->link->stats->dropped[WS_DROP_MEMORY]++;
  ws_buf_free(&told);
}

static void on_changed(struct ws_asked *who, struct ws_redis *redis) {
  struct ws_roll *r = roll_of(who);
  struct ws_roll_entry *e = shift(r);
  (void)redis;
  assert(r->is_up);
  if (e->has_changed)
    say_entry(r, e);
  else if (e->is_gone)
    free_entry(r, e);
  if (r->is_passing && r->n_sent == 0)
    r->is_set = ws_loop_timer(r->link->loop, &r->timer, 0);
}

/* They are said again when there is another connection. Where all ends they
 * have gone before it. */
static void on_lost(struct ws_asked *who, size_t n) {
  struct ws_roll *r = roll_of(who);
  while (n-- && !ws_list_is_empty(&r->sent)) shift(r);
}

static void on_swept(struct ws_asked *who, struct ws_redis *redis,
                     const struct ws_resp_item *item) {
  struct ws_roll *r = WS_LIST_ENTRY(who, struct ws_roll, sweeping);
  if (item->type == WS_RESP_ERROR)
    ws_redis_refused(redis, item->text);
  else if (item->type == WS_RESP_INTEGER && item->n >= SOME)
    say(r, who, WS_SLICE(sweep_script), NULL, 0);
}

/* ---- who is there ---- */

bool ws_roll_ask(struct ws_roll *r, struct ws_roll_call *call,
                 struct ws_slice topic) {
  if (!say(r, &r->calling, WS_SLICE(list_script), &topic, 1)) return false;
  call->number = ++r->n_asked;
  ws_list_append(&r->calls, &call->link);
  return true;
}

void ws_roll_forget(struct ws_roll_call *call) {
  ws_list_remove(&call->link);
  ws_buf_free(&call->items);
}

/* The one that is being answered, if it still waits. */
static struct ws_roll_call *first_call(const struct ws_roll *r) {
  if (ws_list_is_empty(&r->calls)) return NULL;
  struct ws_roll_call *call =
    WS_LIST_ENTRY(r->calls.next, struct ws_roll_call, link);
  return call->number == r->n_answered + 1 ? call : NULL;
}

static void on_part(struct ws_asked *who, struct ws_redis *redis,
                    const struct ws_resp_item *item) {
  struct ws_roll *r = WS_LIST_ENTRY(who, struct ws_roll, calling);
  struct ws_roll_call *call = first_call(r);
  if (item->type == WS_RESP_ERROR && ws_redis_refused(redis, item->text) &&
      call)
    call->is_refused = true;
  if (call && item->depth == 1 && !ws_roll_append(&call->items, item->text))
    call->has_failed = true;
}

static void answered(struct ws_roll *r, bool is_lost) {
  struct ws_roll_call *call = first_call(r);
  r->n_answered++;
  if (!call) return;
  ws_list_remove(&call->link);
  call->is_done = true;
  call->is_lost = is_lost;
  r->link->calls->changed(r->link);
}

static void on_answered(struct ws_asked *who, struct ws_redis *redis) {
  (void)redis;
  answered(WS_LIST_ENTRY(who, struct ws_roll, calling), false);
}

static void on_unanswered(struct ws_asked *who, size_t n) {
  while (n--) answered(WS_LIST_ENTRY(who, struct ws_roll, calling), true);
}

/* ---- its life ---- */

bool ws_roll_init(struct ws_roll *r, struct ws_link *l, struct ws_hash_key key,
                  uint64_t node) {
  struct ws_slice prefix = l->settings->prefix;
  r->link = l;
  r->hash = key;
  for (size_t i = WS_ROLL_NODE; i--; node >>= 8) r->node[i] = (char)node;
  r->changing = (struct ws_asked){
    .item = on_item, .done = on_changed, .lost = on_lost, .is_loud = true};
  r->sweeping = (struct ws_asked){.item = on_swept};
  r->calling = (struct ws_asked){.item = on_part,
                                 .done = on_answered,
                                 .lost = on_unanswered,
                                 .is_loud = true};
  ws_list_init(&r->all);
  ws_list_init(&r->sent);
  ws_list_init(&r->calls);
  r->timer.fn = on_timer;
  r->timer.is_quiet = true;
  return ws_buf_append(&r->zset, prefix.p, prefix.n) &&
         ws_buf_append(&r->zset, "x", 1) &&
         ws_loop_timer(l->loop, &r->timer, NEVER);
}

void ws_roll_free(struct ws_roll *r) {
  if (!r->link) return;
  while (!ws_list_is_empty(&r->all))
    free_entry(r, WS_LIST_ENTRY(r->all.next, struct ws_roll_entry, link));
  while (!ws_list_is_empty(&r->calls)) ws_list_shift(&r->calls);
  ws_loop_timer_stop(r->link->loop, &r->timer);
  ws_mem_free(r->buckets);
  ws_buf_free(&r->command);
  ws_buf_free(&r->zset);
}
