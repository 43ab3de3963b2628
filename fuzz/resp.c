/* resp: what Redis says is the same however it is cut, and bounded; and what
 * an envelope says lies inside of it, and is written again as it was read. */
#include "kit/fuzz.h"

#include <string.h>

#include "protocol/envelope.h"
#include "protocol/redis_url.h"
#include "protocol/resp.h"

#define MAX 300

struct result {
  struct ws_resp resp; /* first */
  uint64_t hash;
  size_t items, replies;
  const char *why;
};

static void mix(struct result *r, uint64_t x) {
  r->hash = r->hash * 0x100000001B3 + x;
}

static void on_item(struct ws_resp *resp, const struct ws_resp_item *item) {
  struct result *r = (struct result *)resp;
  FUZZ_CHECK(item->depth <= 9);
  FUZZ_CHECK(item->text.n <= FUZZ_MAX);
  mix(r, item->type * 1000003u + item->depth * 101u + item->index);
  mix(r, (uint64_t)item->n);
  mix(r, item->text.n ? fuzz_hash(item->text.p, item->text.n) : 0);
  r->items++;
}

static void on_done(struct ws_resp *resp) {
  struct result *r = (struct result *)resp;
  mix(r, 77);
  r->replies++;
}

static void read_all(struct result *r, struct ws_slice in,
                     struct fuzz_cuts cuts) {
  *r = (struct result){.resp = {.item = on_item, .done = on_done}};
  FUZZ_CHECK(ws_resp_init(&r->resp, MAX));
  for (size_t at = 0; at < in.n && !r->why;) {
    size_t piece = fuzz_piece(&cuts, in.n - at);
    r->why = ws_resp_feed(&r->resp, in.p + at, piece);
    at += piece;
  }
  ws_resp_free(&r->resp);
}

/* A limit is looked at behind each piece: a reply that is too long may have
 * been told when it came whole. */
static void check_replies(struct ws_slice in, uint16_t seed) {
  static struct result whole, pieces, single;
  read_all(&whole, in, (struct fuzz_cuts){0});
  read_all(&single, in, (struct fuzz_cuts){1});
  read_all(&pieces, in, (struct fuzz_cuts){seed});
  if (whole.why || in.n > MAX) return;
  FUZZ_CHECK(!single.why && !pieces.why);
  FUZZ_CHECK(single.hash == whole.hash && single.items == whole.items);
  FUZZ_CHECK(pieces.hash == whole.hash && pieces.replies == whole.replies);
}

static bool is_inside(struct ws_slice in, struct ws_slice part) {
  return part.n == 0 || (part.p >= in.p && part.n <= in.n &&
                         (size_t)(part.p - in.p) <= in.n - part.n);
}

static void check_envelope(struct ws_slice in) {
  static char again[FUZZ_MAX + 64];
  static struct fuzz_fence fence;
  struct ws_carried c;
  size_t at = 0;
  in.p = (const char *)fuzz_fenced(&fence, in.p, in.n);
  if (!ws_carried_read(in, &c)) return;
  FUZZ_CHECK(is_inside(in, c.message) && is_inside(in, c.meta));
  FUZZ_CHECK(is_inside(in, c.except) && is_inside(in, c.epoch));
  FUZZ_CHECK(c.message.p + c.message.n == in.p + in.n);
  while (ws_carried_except(&c, c.node, &at)) FUZZ_CHECK(at <= c.except.n);
  if (c.is_foreign) return;
  size_t head = ws_carried_head(&c);
  FUZZ_CHECK(ws_carried_write(again, &c) == again + head);
  /* empty lists are left out */
  if (head + c.message.n == in.n) FUZZ_CHECK(memcmp(again, in.p, head) == 0);
}

static void check_url(struct ws_slice in) {
  static char text[FUZZ_MAX];
  struct ws_redis_url url;
  const char *why;
  if (!ws_redis_url_parse(in, &url, &why)) {
    FUZZ_CHECK(why);
    return;
  }
  FUZZ_CHECK((url.host.p == NULL) != (url.path.p == NULL));
  FUZZ_CHECK(url.port > 0 && url.port < 65536 && url.db >= 0);
  FUZZ_CHECK(is_inside(in, url.host) && is_inside(in, url.path));
  FUZZ_CHECK(is_inside(in, url.username) && is_inside(in, url.password));
  FUZZ_CHECK(ws_redis_url_decode(url.password, text) <= url.password.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct fuzz_input in = {bytes, n};
  uint8_t what = fuzz_byte(&in);
  uint16_t seed = fuzz_u16(&in);
  if (n > FUZZ_MAX) return 0;
  struct ws_slice rest = {(const char *)in.p, in.n};
  if (what % 4 == 0)
    check_envelope(rest);
  else if (what % 4 == 1)
    check_url(rest);
  else if (ws_resp_is_built_in())
    check_replies(rest, seed);
  return 0;
}
