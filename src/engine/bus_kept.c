/* bus_kept.c: the history of topics in Redis.
 *
 * KEYS are the stream and the hash. The scripts make the epoch where there is
 * none (a random one that the caller brings), and then throw away what the
 * stream still has: offsets begin anew. The hash lives ten times as long as
 * the stream, so that this happens only when both are gone. */
#include "engine/bus_kept.h"

#include <stdio.h>
#include <string.h>

#include "engine/bus_except.h"
#include "engine/bus_script.h"
#include "protocol/frame.h"
#include "transport/random.h"

#define MAKE_EPOCH \
  "local e=redis.call('HGET',KEYS[2],'e')" \
  "if not e then e=ARGV[1]redis.call('HSET',KEYS[2],'e',e,'t','0')" \
  "redis.call('DEL',KEYS[1])end "
#define EXPIRE_HASH "redis.call('PEXPIRE',KEYS[2],ARGV[2]*10)"

/* ARGV: epoch, ttl, size, channel, envelope before and behind the position.
 * What may be refused comes before what cannot be taken back: nothing is kept
 * that nobody may be told of, nor told that is not kept. */
static const char keep_script[] = WS_SCRIPT_BEGIN MAKE_EPOCH
  "redis.call('XLEN',KEYS[1])"
  "local t=redis.call('HINCRBY',KEYS[2],'t',1)" EXPIRE_HASH
  "local m=ARGV[5]..struct.pack('>I8',t)..string.char(#e)..e..ARGV[6]"
  "local p=redis.pcall('PUBLISH',ARGV[4],m)"
  "if type(p)=='table'then redis.call('HINCRBY',KEYS[2],'t',-1)"
  "K=ARGV[4]error(p)end "
  "redis.call('XADD',KEYS[1],'MAXLEN',ARGV[3],"
  "string.format('%.0f-0',t),'m',m)"
  "redis.call('PEXPIRE',KEYS[1],ARGV[2])"
  "return{t,e}" WS_SCRIPT_END;

/* ARGV: epoch, ttl, epoch that is known, the first offset that is not, bytes
 * that an answer may be long, but for its first message; whether there is more
 * stands at its end */
static const char read_script[] = WS_SCRIPT_BEGIN MAKE_EPOCH EXPIRE_HASH
  "local t=redis.call('HGET',KEYS[2],'t')"
  "local from='-'if e==ARGV[3]then from=ARGV[4]..'-0'end "
  "local all,some,n=redis.call('XRANGE',KEYS[1],from,'+'),{},0 "
  "for i,x in ipairs(all)do n=n+#x[2][2]+64 "
  "if i>1 and n>tonumber(ARGV[5])then break end some[i]=x end "
  "return{e,tonumber(t),some,#some<#all and 1 or 0}" WS_SCRIPT_END;

/* ARGV: epoch, ttl, channel, envelope before and behind the position */
static const char reset_script[] =
  WS_SCRIPT_BEGIN "local e=ARGV[1]K=ARGV[3]redis.call('PUBLISH',K,"
                  "ARGV[4]..struct.pack('>I8',0)..string.char(#e)..e..ARGV[5])"
                  "K=KEYS[1]redis.call('DEL',K)"
                  "redis.call('HSET',KEYS[2],'e',e,'t','0')" EXPIRE_HASH
                  "return 0" WS_SCRIPT_END;

/* ---- commands ---- */

static void add(struct ws_reader *r, struct ws_slice a, struct ws_slice b,
                struct ws_slice c) {
  size_t n = a.n + b.n + c.n;
  if (!ws_buf_reserve(&r->command, n + WS_RESP_WORD_MAX)) return;
  char *from = (char *)r->command.data + r->command.len;
  char *to = ws_resp_write_length(from, n);
  struct ws_slice parts[] = {a, b, c, {"\r\n", 2}};
  for (size_t i = 0; i < 4; i++) {
    if (parts[i].n) memcpy(to, parts[i].p, parts[i].n);
    to += parts[i].n;
  }
  r->command.len += (size_t)(to - from);
}

static void add_text(struct ws_reader *r, const char *text, size_t n) {
  const struct ws_slice none = {NULL, 0};
  add(r, (struct ws_slice){text, n}, none, none);
}

static void add_number(struct ws_reader *r, uint64_t n) {
  char text[24];
  int len = snprintf(text, sizeof text, "%llu", (unsigned long long)n);
  add_text(r, text, (size_t)len);
}

/* EVAL, the keys, a fresh epoch and the ttl; so many arguments follow. False
 * without random bytes. */
static bool begin(struct ws_reader *r, const char *script,
                  struct ws_slice topic, const struct ws_kept_rule *rule,
                  size_t n_args) {
  struct ws_slice prefix = r->link->settings->prefix;
  char epoch[WS_EPOCH_LEN], head[WS_RESP_HEAD_MAX];
  r->command.len = r->command.off = 0;
  if (!ws_random_letters(r->link->loop, epoch, sizeof epoch)) return false;
  size_t n = (size_t)(ws_resp_write_head(head, 7 + n_args) - head);
  if (!ws_buf_append(&r->command, head, n)) return false;
  add_text(r, "EVAL", 4);
  add_text(r, script, strlen(script));
  add_text(r, "2", 1);
  add(r, prefix, WS_SLICE("s:"), topic);
  add(r, prefix, WS_SLICE("m:"), topic);
  add_text(r, epoch, sizeof epoch);
  double ms = rule->ttl * 1000;
  add_number(r, ms < 1 ? 1 : (uint64_t)ms);
  return true;
}

static struct ws_slice command(const struct ws_reader *r) {
  return (struct ws_slice){(const char *)r->command.data + r->command.off,
                           r->command.len};
}

/* A long one leaves no long buffer behind. */
static const char *give(struct ws_reader *r, struct ws_asked *who, bool ok) {
  const char *why =
    ok ? ws_link_command(r->link, who, command(r)) : "out of memory";
  ws_buf_free(&r->command);
  return why;
}

/* The envelope as it stands around a position, which the script puts in. */
static bool add_envelope(struct ws_reader *r, struct ws_carried c,
                         struct ws_slice message) {
  struct ws_slice none = {NULL, 0}, head, meta;
  c.flags |= WS_CARRIED_POSITION;
  c.epoch = none;
  size_t n = ws_carried_head(&c);
  char *bytes = ws_mem_alloc(n);
  if (!bytes) return false;
  ws_carried_write(bytes, &c);
  meta.n = c.meta.n ? 2 + c.meta.n : 0;
  head = (struct ws_slice){bytes, n - meta.n - 9}; /* offset, length 0 */
  meta.p = bytes + n - meta.n;
  add(r, head, none, none);
  add(r, meta, message, none);
  ws_mem_free(bytes);
  return true;
}

const char *ws_reader_keep(struct ws_reader *r, struct ws_slice topic,
                           const struct ws_carried *what,
                           const struct ws_kept_rule *rule,
                           struct ws_receipt *receipt) {
  size_t most = sizeof keep_script + 1024 + 3 * topic.n + what->except.n +
                what->meta.n + what->message.n;
  bool ok =
    ws_buf_reserve(&r->command, most) && begin(r, keep_script, topic, rule, 4);
  if (ok) {
    add_number(r, rule->size);
    add(r, r->link->settings->prefix, WS_SLICE("t:"), topic);
    ok = add_envelope(r, *what, what->message);
  }
  const char *why = give(r, &r->keeping, ok);
  if (why) return why;
  r->n_given++;
  if (!receipt) return NULL;
  receipt->number = r->n_given;
  ws_list_append(&r->receipts, &receipt->link);
  return NULL;
}

const char *ws_reader_reset(struct ws_reader *r, struct ws_slice topic,
                            const struct ws_kept_rule *rule) {
  struct ws_carried c = {.node = r->node};
  size_t most = sizeof reset_script + 1024 + 3 * topic.n;
  bool ok =
    ws_buf_reserve(&r->command, most) && begin(r, reset_script, topic, rule, 3);
  if (ok) {
    add(r, r->link->settings->prefix, WS_SLICE("t:"), topic);
    ok = add_envelope(r, c, (struct ws_slice){NULL, 0});
  }
  return give(r, &r->link->publishing, ok);
}

/* ---- what has become of messages ---- */

static struct ws_receipt *first_receipt(const struct ws_reader *r) {
  return ws_list_is_empty(&r->receipts)
           ? NULL
           : WS_LIST_ENTRY(r->receipts.next, struct ws_receipt, link);
}

static void on_place(struct ws_asked *who, struct ws_redis *redis,
                     const struct ws_resp_item *item) {
  struct ws_reader *r = WS_LIST_ENTRY(who, struct ws_reader, keeping);
  struct ws_receipt *receipt = first_receipt(r);
  if (receipt && receipt->number != r->n_known + 1) receipt = NULL;
  if (item->type == WS_RESP_ERROR && ws_redis_refused(redis, item->text)) {
    r->link->stats->dropped[WS_DROP_REFUSED]++;
    if (receipt) receipt->is_refused = true;
  }
  if (!receipt || item->depth != 1) return;
  if (item->index == 0 && item->type == WS_RESP_INTEGER)
    receipt->offset = (uint64_t)item->n;
  else if (item->index == 1 && item->text.n == sizeof receipt->epoch)
    memcpy(receipt->epoch, item->text.p, item->text.n);
}

/* Those that are known now, or that nobody will tell of any more. */
static void tell_receipts(struct ws_reader *r) {
  struct ws_receipt *receipt;
  while ((receipt = first_receipt(r)) && receipt->number <= r->n_known) {
    ws_list_remove(&receipt->link);
    receipt->is_lost = receipt->offset == 0;
    r->link->calls->changed(r->link);
  }
}

static void on_placed(struct ws_asked *who, struct ws_redis *redis) {
  struct ws_reader *r = WS_LIST_ENTRY(who, struct ws_reader, keeping);
  (void)redis;
  r->n_known++;
  tell_receipts(r);
}

static void on_unplaced(struct ws_asked *who, size_t n) {
  struct ws_reader *r = WS_LIST_ENTRY(who, struct ws_reader, keeping);
  r->n_known += n;
  r->link->stats->dropped[WS_DROP_LOST] += n;
  tell_receipts(r);
}

/* ---- reading ---- */

static struct ws_slice name_of(const struct ws_read *read) {
  return (struct ws_slice){read->topic->text, read->topic->len};
}

static void free_read(struct ws_read *read) {
  ws_text_release(read->topic);
  ws_mem_free(read);
}

static void append(struct ws_read ***end, struct ws_read *read) {
  read->next = NULL;
  **end = read;
  *end = &read->next;
}

/* The first one of a list. */
static struct ws_read *shift(struct ws_read **list, struct ws_read ***end) {
  struct ws_read *read = *list;
  if (!(*list = read->next)) *end = list;
  return read;
}

void ws_reader_want(struct ws_reader *r, struct ws_server *s,
                    struct ws_slice topic) {
  struct ws_kept *k = ws_sync_copy(s, topic);
  struct ws_read *read;
  if (!k || k->is_due) return;
  if ((read = ws_mem_zero(sizeof *read)) &&
      (read->topic = ws_text_new(topic))) {
    read->server = s;
    append(&r->due_end, read);
    k->is_due = true;
    return;
  }
  ws_mem_free(read); /* whoever comes back asks again */
  ws_redis_fail(&r->link->sub, "out of memory");
}

static bool send_read(struct ws_reader *r, struct ws_read *read) {
  struct ws_kept *k = NULL;
  read->number = ++r->n_reads;
  if (read->server)
    k = ws_sync_wants(read->server, name_of(read), read->number);
  if (!k) return false;
  size_t most = sizeof read_script + 1024 + 2 * read->topic->len;
  bool ok = ws_buf_reserve(&r->command, most) &&
            begin(r, read_script, name_of(read), k->rule, 3);
  if (ok) {
    add_text(r, k->epoch, k->is_known ? sizeof k->epoch : 0);
    add_number(r, k->top + 1);
    add_number(r, r->link->redis.max_reply / 2);
    ok = ws_link_ask(r->link, &r->asked, command(r));
  }
  ws_buf_free(&r->command);
  if (!ok) ws_redis_fail(&r->link->cmd, "out of memory");
  return ok;
}

void ws_reader_go_on(struct ws_reader *r) {
  while (r->due && r->link->state == WS_LINK_UP) {
    struct ws_read *read = shift(&r->due, &r->due_end);
    if (send_read(r, read))
      append(&r->sent_end, read);
    else
      free_read(read);
  }
}

void ws_reader_forget(struct ws_reader *r, const struct ws_server *s) {
  for (struct ws_read *read = r->due; read; read = read->next)
    if (read->server == s) read->server = NULL;
  for (struct ws_read *read = r->sent; read; read = read->next)
    if (read->server == s) read->server = NULL;
  for (struct ws_read *read = r->refused; read; read = read->next)
    if (read->server == s) read->server = NULL;
}

/* ---- answers ---- */

static struct ws_reader *reader_of(struct ws_asked *who) {
  return WS_LIST_ENTRY(who, struct ws_reader, asked);
}

static void check_wanted(struct ws_read *read) {
  if (read->server &&
      !ws_sync_is_read(read->server, name_of(read), read->number))
    read->server = NULL;
}

static void on_payload(struct ws_reader *r, const struct ws_read *read,
                       struct ws_slice bytes) {
  struct ws_carried c;
  uint64_t ids[WS_BUS_EXCEPT_MAX];
  if (!ws_carried_read(bytes, &c) || !(c.flags & WS_CARRIED_POSITION)) return;
  struct ws_publication p = {
    .topic = name_of(read),
    .message = c.message,
    .meta = c.meta,
    .opcode = c.flags & WS_CARRIED_BINARY ? WS_OP_BINARY : WS_OP_TEXT,
    .is_kept = true,
    .offset = c.offset,
    .epoch = c.epoch};
  if (ws_sync_message(read->server, ws_bus_excepted(&c, r->node, ids), &p))
    r->has_got = true;
}

static void on_item(struct ws_asked *who, struct ws_redis *redis,
                    const struct ws_resp_item *item) {
  struct ws_reader *r = reader_of(who);
  struct ws_read *read = r->sent; /* there is one for each command */
  if (item->type == WS_RESP_ERROR) {
    ws_redis_refused(redis, item->text);
    r->has_failed = true;
  }
  bool is_payload = item->depth == 4 && item->index == 1;
  if (item->depth == 1 || is_payload) check_wanted(read); /* it may be long */
  if (!read->server || r->has_failed) return;
  if (item->depth == 1 && item->index == 0) {
    r->epoch.len = r->epoch.off = 0;
    if (ws_buf_append(&r->epoch, item->text.p, item->text.n)) return;
    ws_redis_fail(redis, "out of memory");
    r->has_failed = true;
  } else if (item->depth == 1 && item->index == 1) {
    ws_sync_begin(read->server, name_of(read),
                  (struct ws_slice){(const char *)r->epoch.data, r->epoch.len},
                  (uint64_t)item->n);
  } else if (item->depth == 1 && item->index == 3) {
    r->has_more = item->n == 1;
  } else if (is_payload) {
    on_payload(r, read, item->text);
  }
}

/* Whoever waits is told; later it may be as it should be. */
static void put_off(struct ws_reader *r, struct ws_read *read) {
  double seconds = r->link->settings->reconnect.maximum;
  ws_sync_refused(read->server, name_of(read));
  append(&r->refused_end, read);
  if (!r->again.index) ws_loop_timer(r->link->loop, &r->again, seconds);
  r->link->calls->changed(r->link);
}

static void on_again(struct ws_timer *t) {
  struct ws_reader *r = WS_LIST_ENTRY(t, struct ws_reader, again);
  while (r->refused) {
    struct ws_read *read = shift(&r->refused, &r->refused_end);
    if (read->server) ws_reader_want(r, read->server, name_of(read));
    free_read(read);
  }
  r->link->calls->changed(r->link);
}

static void on_done(struct ws_asked *who, struct ws_redis *redis) {
  struct ws_reader *r = reader_of(who);
  struct ws_read *read = r->sent;
  (void)redis;
  shift(&r->sent, &r->sent_end);
  check_wanted(read);
  if (read->server && r->has_failed) {
    put_off(r, read);
    r->has_failed = r->has_more = r->has_got = false;
    return;
  }
  if (read->server && r->has_more && r->has_got)
    ws_reader_want(r, read->server, name_of(read));
  else if (read->server)
    ws_sync_end(read->server, name_of(read));
  r->has_failed = r->has_more = r->has_got = false;
  r->link->calls->changed(r->link);
  free_read(read);
}

/* The connection is over: all that is wanted is confirmed, and so read, again
 * when there is another one. */
static void on_lost(struct ws_asked *who, size_t n) {
  struct ws_reader *r = reader_of(who);
  r->has_failed = r->has_more = r->has_got = false;
  while (n-- && r->sent) free_read(shift(&r->sent, &r->sent_end));
}

void ws_reader_init(struct ws_reader *r, struct ws_link *l, uint64_t node) {
  *r = (struct ws_reader){.link = l, .node = node};
  r->due_end = &r->due;
  r->sent_end = &r->sent;
  r->refused_end = &r->refused;
  r->again.fn = on_again;
  r->again.is_quiet = true;
  r->asked = (struct ws_asked){
    .item = on_item, .done = on_done, .lost = on_lost, .is_loud = true};
  r->keeping = (struct ws_asked){
    .item = on_place, .done = on_placed, .lost = on_unplaced, .is_loud = true};
  ws_list_init(&r->receipts);
}

void ws_reader_free(struct ws_reader *r) {
  if (!r->link) return;
  on_lost(&r->asked, SIZE_MAX);
  while (r->due) free_read(shift(&r->due, &r->due_end));
  while (r->refused) free_read(shift(&r->refused, &r->refused_end));
  ws_loop_timer_stop(r->link->loop, &r->again);
  ws_buf_free(&r->epoch);
  ws_buf_free(&r->command);
}
