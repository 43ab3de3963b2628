/* protocol: an endpoint says the same about the same bytes however they are
 * cut, whether they are fed or read straight in, with and without a pool of
 * buffers; and it is what the model says. After a Close or an error nothing is
 * said; memory is in proportion to what has come; a failed allocation ends in
 * code 1011 and leaks nothing. */
#include "kit/fuzz.h"

#include "kit/model.h"
#include "protocol/compression.h"

/* As many events as bytes, for a frame has two of them at least. */
#define BYTES_MAX 4096

/* One way to feed an endpoint. */
struct way {
  enum ws_role role;
  struct ws_protocol_env env;
  struct ws_extension extension;
  struct fuzz_cuts cuts;
  bool is_direct; /* uses ws_protocol_space */
  bool releases;  /* gives messages back before the next feed */
  size_t work;    /* of inflating in a turn, 0 for any */
};

static const uint64_t message_limits[] = {WS_NO_LIMIT, 0,    1,     125,
                                          126,         1000, 65536, INT64_MAX};

static const uint64_t fragment_limits[] = {WS_NO_LIMIT, 0, 1, 2, 3, 16};

static void check_memory(const struct ws_protocol *p, size_t come) {
  size_t cap = p->message ? p->message->bytes.cap : 0;
  if (p->message && !p->is_delivered) FUZZ_CHECK(p->message->bytes.len <= come);
  /* A buffer from the pool may be any that is large enough. */
  if (!p->env->pool && !p->is_delivered) FUZZ_CHECK(cap <= 8 * come + 64);
}

static size_t spent; /* of the turn's work */

/* Feeds one piece to its end, all events of it. */
static void feed(struct ws_protocol *p, const struct way *w,
                 struct model_events *events, uint8_t *bytes, size_t n,
                 size_t come) {
  size_t at = 0;
  bool is_promised = ws_protocol_has_event(p);
  do {
    struct ws_event ev;
    bool was_ended = p->is_ended;
    size_t taken = ws_protocol_feed(p, bytes + at, n - at, &ev);
    FUZZ_CHECK(taken <= n - at);
    at += taken;
    if (ev.type == WS_EVENT_LATER) { /* in the next turn, even without bytes */
      FUZZ_CHECK(w->work && ws_protocol_has_event(p) && !p->is_ended);
      spent = WS_INFLATE_WORK / 2 - w->work;
      is_promised = true;
      continue;
    }
    check_memory(p, come);
    if (was_ended) FUZZ_CHECK(ev.type == WS_EVENT_NONE && at == n);
    if (is_promised) FUZZ_CHECK(ev.type != WS_EVENT_NONE);
    if (ev.type == WS_EVENT_NONE) {
      FUZZ_CHECK(at == n);
      return;
    }
    if (ev.type >= WS_EVENT_CLOSE) FUZZ_CHECK(p->is_ended);
    model_add(events, &ev);
    if (w->releases) ws_protocol_release(p);
    is_promised = ws_protocol_has_event(p);
  } while (at < n || is_promised);
}

static void run(const struct way *w, struct model_events *events,
                const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  struct fuzz_cuts cuts = w->cuts;
  struct ws_protocol p;
  size_t at = 0;
  events->n = 0;
  ws_protocol_init(&p, w->role, &w->env);
  p.extension = w->extension;
  while (at < n) {
    size_t piece = fuzz_piece(&cuts, n - at), room = 0;
    uint8_t *space = w->is_direct ? ws_protocol_space(&p, &room) : NULL;
    if (space) {
      FUZZ_CHECK(room > 0 && room <= p.left);
      if (room > piece) room = piece;
      memcpy(space, bytes + at, room);
      ws_protocol_filled(&p, room);
      at += room;
      piece -= room;
    }
    at += piece;
    uint8_t *copy = fuzz_fenced(&fence, bytes + at - piece, piece);
    feed(&p, w, events, copy, piece, at);
  }
  ws_protocol_free(&p);
}

/* The n-th allocation fails: what was said until then is right. */
static void run_out(struct way w, const struct model_events *want,
                    struct model_events *got, const uint8_t *bytes, size_t n,
                    long nth) {
  if (!ws_mem_fail_at(nth, false)) return;
  run(&w, got, bytes, n);
  ws_mem_fail_at(0, false);
  if (got->n == 0) return;
  struct model_event *last = &got->list[got->n - 1];
  if (last->type == WS_EVENT_ERROR && last->code == 1011) {
    struct model_events *begin = got;
    begin->n--;
    FUZZ_CHECK(begin->n <= want->n);
    for (size_t i = 0; i < begin->n; i++)
      FUZZ_CHECK(begin->list[i].hash == want->list[i].hash);
    return;
  }
  model_compare(want, got);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct model_events want, got;
  static struct ws_deflate_pool deflate;
  struct fuzz_input in = {bytes, n};
  struct ws_buf_pool pool = {.n = 0};
  struct way w = {.role = WS_SERVER};
  uint8_t flags = fuzz_byte(&in), limits = fuzz_byte(&in);
  uint16_t seed = fuzz_u16(&in);
  uint8_t fault = fuzz_byte(&in);
  w.role = flags & 1 ? WS_CLIENT : WS_SERVER;
  w.releases = flags & 2;
  w.env.max_message = message_limits[limits & 7];
  w.env.max_fragments = fragment_limits[(limits >> 3) % 6];
  if (in.n > BYTES_MAX) return 0;

  w.env.max_ratio = flags & 128 ? 50 : WS_NO_LIMIT;
  w.env.deflate = &deflate;
  w.extension.is_on = flags & 32;
  w.extension.server_takeover = w.extension.client_takeover = flags & 64;
  w.extension.server_bits = w.extension.client_bits = WS_BITS_MAX;
  if (!deflate.kept.next) ws_deflate_pool_init(&deflate);

  model_read(&want, w.role, &w.env, w.extension.is_on ? &w.extension : NULL,
             in.p, in.n);
  run(&w, &got, in.p, in.n);
  model_compare(&want, &got);
  w.cuts.seed = seed;
  w.is_direct = flags & 4;
  w.env.pool = flags & 8 ? &pool : NULL;
  run(&w, &got, in.p, in.n);
  model_compare(&want, &got);
  if (flags & 16) run_out(w, &want, &got, in.p, in.n, fault % 16 + 1);
  w.cuts.seed = 1;
  w.is_direct = !w.is_direct;
  run(&w, &got, in.p, in.n);
  model_compare(&want, &got);
  w.work = 1 + (size_t)(seed % 4 ? seed % 300 : seed * 4U);
  w.cuts.seed = seed ^ 1;
  deflate.spent = &spent;
  spent = WS_INFLATE_WORK - w.work;
  run(&w, &got, in.p, in.n);
  model_compare(&want, &got);
  if (flags & 16) run_out(w, &want, &got, in.p, in.n, fault % 16 + 1);
  deflate.spent = NULL;
  ws_buf_pool_free(&pool);
  return 0;
}
