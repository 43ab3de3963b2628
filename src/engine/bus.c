/* bus.c: the topics of servers as one space over processes. */
#include "engine/bus.h"

#include "engine/bus_except.h"
#include "engine/bus_tell.h"
#include "engine/topic.h"
#include "engine/topic_ask.h"
#include "protocol/frame.h"
#include "transport/random.h"

static struct ws_bus *bus_of(struct ws_carrier *carrier) {
  return WS_LIST_ENTRY(carrier, struct ws_bus, carrier);
}

static struct ws_bus *bus_of_link(const struct ws_link *l) {
  return WS_LIST_ENTRY(l->settings, struct ws_bus, settings);
}

/* ---- which Redis ---- */

/* Everybody's is the first one's. */
struct ws_link *ws_bus_link(const struct ws_bus *bus, struct ws_slice name) {
  if (bus->n_links == 1 || !name.p) return &bus->links[0];
  return &bus->links[ws_bus_crc16(name) % bus->n_links];
}

static struct ws_reader *reader_for(const struct ws_bus *bus,
                                    struct ws_slice name) {
  return &bus->readers[ws_bus_link(bus, name) - bus->links];
}

/* ---- state ---- */

static void on_news(struct ws_job *job) {
  struct ws_bus *bus = WS_LIST_ENTRY(job, struct ws_bus, news);
  bool is_deserted = bus->is_deserted && ws_list_is_empty(&bus->servers);
  bus->is_deserted = false;
  bus->state = ws_bus_state_of(bus->links, bus->n_links);
  for (size_t i = 0; i < bus->n_links; i++) {
    ws_reader_go_on(&bus->readers[i]);
    ws_roll_go_on(&bus->rolls[i]);
  }
  bus->calls->changed(bus);
  if (is_deserted) bus->calls->deserted(bus);
}

static void on_changed(struct ws_link *l) {
  struct ws_bus *bus = bus_of_link(l);
  if (l->state == WS_LINK_UP && !l->was_told_up)
    ws_bus_tell(l, "backplane_up", NULL);
  l->was_told_up = l->state == WS_LINK_UP;
  ws_loop_job(bus->loop, &bus->news);
}

struct whose {
  const struct ws_bus *bus;
  const struct ws_link *link;
};

static bool is_whose(struct ws_slice name, void *arg) {
  const struct whose *w = arg;
  return ws_bus_link(w->bus, name) == w->link;
}

/* What comes live is not all any more. */
static void put_out_of_step(struct ws_bus *bus, const struct ws_link *l) {
  struct whose w = {bus, l};
  for (struct ws_list *e = bus->servers.next; e != &bus->servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    ws_sync_lost(s, is_whose, &w); /* nobody walks: it is there */
  }
}

static void on_lost(struct ws_link *l, const char *why) {
  struct ws_bus *bus = bus_of_link(l);
  put_out_of_step(bus, l);
  ws_roll_lost(&bus->rolls[l - bus->links]);
  if (bus->is_closing) return;
  ws_bus_tell(l, "backplane_lost", why);
  ws_bus_warn(l, why);
}

/* ---- out ---- */

/* Where Redis does not know yet that it is wanted, its word is awaited. */
static void sync(struct ws_carrier *carrier, struct ws_server *s,
                 struct ws_slice name) {
  struct ws_bus *bus = bus_of(carrier);
  if (!ws_kept_rule_of(&s->kept, name)) return;
  if (ws_bus_is_there(bus, name))
    ws_reader_want(reader_for(bus, name), s, name);
  else if (ws_bus_is_refused(bus, name))
    ws_sync_refused(s, name);
  else
    return;
  ws_loop_job(bus->loop, &bus->news);
}

static bool want(struct ws_carrier *carrier, struct ws_server *s,
                 struct ws_slice name) {
  if (!ws_link_want(ws_bus_link(bus_of(carrier), name), name)) return false;
  sync(carrier, s, name);
  return true;
}

static void unwant(struct ws_carrier *carrier, struct ws_server *s,
                   struct ws_slice name) {
  (void)s;
  ws_link_let_go(ws_bus_link(bus_of(carrier), name), name);
}

/* A view may close a server: it stays in the list until nobody walks it. */
static void begin_walk(struct ws_bus *bus) {
  bus->n_walks++;
}

static void forget(struct ws_bus_server *bs) {
  ws_list_remove(&bs->link);
  ws_mem_free(bs);
}

static void end_walk(struct ws_bus *bus) {
  struct ws_list *e, *next;
  if (--bus->n_walks) return;
  for (e = bus->servers.next; e != &bus->servers; e = next) {
    struct ws_bus_server *bs = WS_LIST_ENTRY(e, struct ws_bus_server, link);
    next = e->next;
    if (!bs->server) forget(bs);
  }
}

/* To the servers of this process, but for the one that has it. */
static bool give_here(struct ws_bus *bus, const struct ws_server *but,
                      struct ws_ids except, const struct ws_publication *p) {
  bool ok = true;
  begin_walk(bus);
  for (struct ws_list *e = bus->servers.next; e != &bus->servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    if (s && s != but && !s->is_gone) ok = ws_topic_deliver(s, except, p) && ok;
  }
  end_walk(bus);
  return ok;
}

static const char *send_far(struct ws_bus *bus,
                            const struct ws_publication *p) {
  if (bus->is_closing) return "backplane closed";
  const struct ws_carried c = ws_bus_carried(p, bus->node);
  return ws_link_publish(ws_bus_link(bus, p->topic), p->topic, &c);
}

static const char *publish(struct ws_carrier *carrier, struct ws_server *s,
                           const struct ws_outgoing *out) {
  give_here(bus_of(carrier), s, (struct ws_ids){NULL, 0}, out->what);
  return send_far(bus_of(carrier), out->what);
}

/* It is new to who has come before it: where the topic was is asked first. */
static const char *keep(struct ws_carrier *carrier,
                        const struct ws_outgoing *out,
                        const struct ws_kept_rule *rule) {
  struct ws_bus *bus = bus_of(carrier);
  const struct ws_publication *p = out->what;
  struct ws_reader *r = reader_for(bus, p->topic);
  struct ws_carried c = ws_bus_carried(p, bus->node);
  if (bus->is_closing) return "backplane closed";
  if (!ws_bus_name_except(out->except, bus->node, &c)) return "out of memory";
  ws_news_read(&bus->servers, r, p->topic, true);
  ws_reader_go_on(r);
  const char *why = ws_reader_keep(r, p->topic, &c, rule, p->receipt);
  ws_mem_free((void *)c.except.p);
  return why;
}

static const char *reset(struct ws_carrier *carrier, struct ws_slice name,
                         const struct ws_kept_rule *rule) {
  return ws_reader_reset(reader_for(bus_of(carrier), name), name, rule);
}

static bool present(struct ws_carrier *carrier, struct ws_server *s,
                    const struct ws_change *c, struct ws_slice json) {
  struct ws_bus *bus = bus_of(carrier);
  struct ws_slice topic = {c->topic->text, c->topic->len};
  struct ws_roll *r = &bus->rolls[ws_bus_link(bus, topic) - bus->links];
  return bus->is_closing || ws_roll_change(r, s->topics->node, c, json);
}

bool ws_bus_ask_presence(struct ws_bus *bus, struct ws_slice topic,
                         struct ws_roll_call *call) {
  begin_walk(bus);
  for (struct ws_list *e = bus->servers.next; e != &bus->servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    if (s) ws_topic_settle_presence(s);
  }
  end_walk(bus);
  return ws_roll_ask(&bus->rolls[ws_bus_link(bus, topic) - bus->links], call,
                     topic);
}

/* Where one of the servers gives it a history it goes there, once. */
static bool keep_once(struct ws_bus *bus, const struct ws_publication *p,
                      const char **far) {
  for (struct ws_list *e = bus->servers.next; e != &bus->servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    const struct ws_kept_rule *r =
      s ? ws_kept_rule_of(&s->kept, p->topic) : NULL;
    if (!r) continue;
    *far = keep(&bus->carrier, &(struct ws_outgoing){p, {NULL, 0}}, r);
    return true;
  }
  return false;
}

int64_t ws_bus_publish(struct ws_bus *bus, const struct ws_publication *p,
                       const char **far) {
  if (keep_once(bus, p, far)) return 0;
  const struct ws_except nobody = {NULL, 0};
  int64_t sum = 0, n = 0;
  begin_walk(bus);
  for (struct ws_list *e = bus->servers.next; e != &bus->servers && n >= 0;
       e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    if (!s || s->is_gone) continue;
    struct ws_publication own = *p; /* each has its own position */
    n = ws_topic_publish(s, nobody, &own, NULL);
    sum += n;
  }
  end_walk(bus);
  if (n < 0) return -1;
  *far = send_far(bus, p);
  return sum;
}

/* ---- in ---- */

static void drop(struct ws_bus *bus, enum ws_bus_drop why) {
  bus->stats.dropped[why]++;
}

/* To the servers here; where one has no history for it, as a plain message. */
static void give_kept(struct ws_bus *bus, struct ws_ids except,
                      const struct ws_publication *p) {
  struct ws_publication plain = *p;
  plain.is_kept = false;
  plain.offset = 0;
  begin_walk(bus);
  for (struct ws_list *e = bus->servers.next; e != &bus->servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    if (!s || s->is_gone || ws_sync_live(s, except, p)) continue;
    if (p->offset && !ws_topic_deliver(s, except, &plain))
      drop(bus, WS_DROP_MEMORY);
  }
  end_walk(bus);
}

/* A channel that was asked for: "all", or "t:" and a topic. */
static void on_confirmed(struct ws_link *l, struct ws_slice channel) {
  struct ws_bus *bus = bus_of_link(l);
  if (channel.p[1] != ':') return;
  struct ws_slice topic = {channel.p + 2, channel.n - 2};
  ws_news_read(&bus->servers, &bus->readers[l - bus->links], topic, false);
}

static void on_denied(struct ws_link *l, struct ws_slice channel) {
  if (channel.p[1] != ':') return;
  struct ws_slice topic = {channel.p + 2, channel.n - 2};
  ws_news_refused(&bus_of_link(l)->servers, topic);
}

/* To those here who have the topic of the topic. */
static void on_told(struct ws_roll *r, const struct ws_publication *p) {
  if (!give_here(bus_of_link(r->link), NULL, (struct ws_ids){NULL, 0}, p))
    drop(bus_of_link(r->link), WS_DROP_MEMORY);
}

static void on_message(struct ws_link *l, struct ws_slice channel,
                       struct ws_slice bytes) {
  struct ws_bus *bus = bus_of_link(l);
  struct ws_publication p = {.opcode = WS_OP_TEXT};
  struct ws_carried c;
  struct ws_rumour news;
  uint64_t ids[WS_BUS_EXCEPT_MAX];
  if (channel.n > 2 && channel.p[0] == 't' && channel.p[1] == ':')
    p.topic = (struct ws_slice){channel.p + 2, channel.n - 2};
  else if (!ws_slice_equal(channel, WS_SLICE("all")))
    return;
  if (!ws_carried_read(bytes, &c)) {
    drop(bus, WS_DROP_BAD);
    return;
  }
  bool is_kept = c.flags & WS_CARRIED_POSITION, is_ours = c.node == bus->node;
  if (!c.is_foreign && is_ours && !is_kept) return; /* an echo */
  bus->stats.received++;
  struct ws_ids except = ws_bus_excepted(&c, bus->node, ids);
  if (c.flags & WS_CARRIED_BINARY) p.opcode = WS_OP_BINARY;
  p.message = c.message;
  p.meta = c.meta;
  if (ws_slice_equal(p.topic, WS_ROLL_CHANNEL)) {
    if (!ws_roll_read(c.message, &news))
      drop(bus, WS_DROP_BAD);
    else if (!ws_news_give(&bus->servers, &bus->heard, &news))
      drop(bus, WS_DROP_MEMORY);
  } else if (is_kept) {
    p.is_kept = true;
    p.offset = c.offset;
    p.epoch = c.epoch;
    give_kept(bus, except, &p);
  } else if (!give_here(bus, NULL, except, &p)) {
    drop(bus, WS_DROP_MEMORY);
  }
}

static const struct ws_link_calls link_calls = {.message = on_message,
                                                .changed = on_changed,
                                                .confirmed = on_confirmed,
                                                .denied = on_denied,
                                                .refused = ws_bus_refused,
                                                .lost = on_lost};

/* ---- its servers ---- */

static void left(struct ws_carrier *carrier, struct ws_server *s) {
  struct ws_bus *bus = bus_of(carrier);
  for (size_t i = 0; i < bus->n_links; i++) {
    ws_reader_forget(&bus->readers[i], s);
    if (s->topics) ws_roll_leave(&bus->rolls[i], s->topics->node);
  }
  for (struct ws_list *e = bus->servers.next; e != &bus->servers; e = e->next) {
    struct ws_bus_server *bs = WS_LIST_ENTRY(e, struct ws_bus_server, link);
    if (bs->server != s) continue;
    bs->server = NULL;
    if (!bus->n_walks) forget(bs);
    ws_link_let_go(&bus->links[0], (struct ws_slice){NULL, 0});
    if (s->tells_presence) ws_rolls_ignore(bus->rolls, bus->n_links);
    break;
  }
  bus->is_deserted = true; /* if nobody else is there, then */
  ws_loop_job(bus->loop, &bus->news);
}

static bool want_all(struct ws_bus *bus, const struct ws_server *s) {
  struct ws_slice all = {NULL, 0};
  if (!ws_link_want(&bus->links[0], all)) return false;
  if (!s->tells_presence || ws_rolls_listen(bus->rolls, bus->n_links))
    return true;
  ws_link_let_go(&bus->links[0], all);
  return false;
}

bool ws_bus_join(struct ws_bus *bus, struct ws_server *s) {
  struct ws_bus_server *bs = ws_mem_alloc(sizeof *bs);
  if (!bs || !want_all(bus, s)) {
    ws_mem_free(bs);
    return false;
  }
  bs->server = s;
  ws_list_init(&bs->link);
  ws_list_append(&bus->servers, &bs->link);
  s->carrier = &bus->carrier;
  return true;
}

/* ---- its life ---- */

static void on_close(struct ws_job *job) {
  struct ws_bus *bus = WS_LIST_ENTRY(job, struct ws_bus, close);
  for (size_t i = 0; i < bus->n_links; i++) {
    ws_roll_leave(&bus->rolls[i], NULL);
    ws_link_close(&bus->links[i]);
  }
}

bool ws_bus_start(struct ws_bus *bus, struct ws_loop *loop) {
  static const struct ws_carrier_calls calls = {.want = want,
                                                .unwant = unwant,
                                                .publish = publish,
                                                .keep = keep,
                                                .reset = reset,
                                                .sync = sync,
                                                .present = present,
                                                .left = left};
  struct ws_hash_key key;
  bus->loop = loop;
  bus->carrier.calls = &calls;
  bus->news.run = on_news;
  bus->close.run = on_close;
  ws_changes_start(&bus->heard, loop);
  ws_list_init(&bus->servers);
  ws_list_init(&bus->news.link);
  ws_list_init(&bus->close.link);
  if (!ws_random_take(loop, &bus->node, sizeof bus->node)) return false;
  if (!ws_random_take(loop, &key, sizeof key)) return false;
  bus->readers = ws_mem_zero(bus->n_links * sizeof *bus->readers);
  bus->rolls = ws_mem_zero(bus->n_links * sizeof *bus->rolls);
  if (!bus->readers || !bus->rolls) return false;
  for (size_t i = 0; i < bus->n_links; i++) {
    struct ws_link *l = &bus->links[i];
    ws_reader_init(&bus->readers[i], l, bus->node);
    l->settings = &bus->settings;
    l->calls = &link_calls;
    l->host = bus->host;
    l->stats = &bus->stats;
    bus->rolls[i].ttl = &bus->presence_ttl;
    bus->rolls[i].told = on_told;
    if (!ws_link_start(l, loop, key)) return false;
    if (!ws_roll_init(&bus->rolls[i], l, key, bus->node)) return false;
  }
  return !bus->heard.present || ws_rolls_listen(bus->rolls, bus->n_links);
}

void ws_bus_close(struct ws_bus *bus) {
  bus->is_closing = true;
  ws_loop_job(bus->loop, &bus->close);
}

void ws_bus_free(struct ws_bus *bus) {
  struct ws_list *e;
  if (!bus->loop) return;
  while ((e = ws_list_shift(&bus->servers))) {
    struct ws_bus_server *bs = WS_LIST_ENTRY(e, struct ws_bus_server, link);
    if (bs->server) bs->server->carrier = NULL;
    ws_mem_free(bs);
  }
  ws_changes_free(&bus->heard);
  ws_list_remove(&bus->news.link);
  ws_list_remove(&bus->close.link);
  for (size_t i = 0; i < bus->n_links; i++) {
    if (bus->rolls) ws_roll_free(&bus->rolls[i]);
    ws_link_free(&bus->links[i]);
    if (bus->readers) ws_reader_free(&bus->readers[i]);
  }
  ws_mem_free(bus->readers);
  ws_mem_free(bus->rolls);
  bus->readers = NULL;
  bus->rolls = NULL;
}

struct ws_bus *ws_bus_of(const struct ws_server *s) {
  return s->carrier ? bus_of(s->carrier) : NULL;
}

bool ws_bus_is_there(struct ws_bus *bus, struct ws_slice name) {
  return ws_link_is_there(ws_bus_link(bus, name), name);
}

bool ws_bus_is_refused(struct ws_bus *bus, struct ws_slice name) {
  return ws_link_is_refused(ws_bus_link(bus, name), name);
}
