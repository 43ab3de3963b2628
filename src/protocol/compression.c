/* compression.c: the messages of one endpoint under permessage-deflate. */
#include "protocol/compression.h"

#include <assert.h>

#include "protocol/utf8.h"

#define FIRST_ROOM (64 * 1024) /* of what messages are inflated into */
#define KEPT_ROOM (256 * 1024) /* more is given back after each message */

/* A message that takes several turns, between two of them. */
struct ws_half {
  struct ws_inflater *inflater;
  struct ws_buf out;
  size_t judged; /* bytes of it, as text */
  bool is_bad;   /* they were none */
};

static bool has_takeover(const struct ws_protocol *p, bool is_ours) {
  return p->is_client == is_ours ? p->extension.client_takeover
                                 : p->extension.server_takeover;
}

static uint8_t window(const struct ws_protocol *p, bool is_ours) {
  return p->is_client == is_ours ? p->extension.client_bits
                                 : p->extension.server_bits;
}

static struct ws_context *context(struct ws_protocol *p) {
  if (!p->context) p->context = ws_mem_zero(sizeof *p->context);
  return p->context;
}

/* ---- receiving ---- */

static struct ws_inflater *get_inflater(struct ws_protocol *p) {
  struct ws_context *c;
  if (!has_takeover(p, false)) return ws_inflater_take(p->env->deflate);
  if (!(c = context(p))) return NULL;
  if (!c->inflater) c->inflater = ws_inflater_new(window(p, false), true);
  return c->inflater;
}

/* More room, doubling, but never for more than may come. */
static bool grow(struct ws_protocol *p, struct ws_buf *out) {
  size_t cap = out->cap ? out->cap * 2 : FIRST_ROOM;
  uint64_t most = p->env->max_message;
  if (out->cap > SIZE_MAX / 2) return false;
  /* one byte more than allowed, to see that there is one */
  if (most < cap) cap = (size_t)most + 1;
  assert(cap > out->len); /* more would have been too much */
  if (p->env->pool && ws_buf_pool_take(p->env->pool, out, cap)) return true;
  return ws_buf_reserve_exact(out, cap - out->len);
}

/* What may be done now of a message on which so much was done already. */
static uint64_t allowance(const struct ws_protocol *p, uint64_t work) {
  const struct ws_deflate_pool *pool = p->env->deflate;
  if (!pool->spent) return UINT64_MAX;
  size_t most = work < WS_INFLATE_SHORT ? WS_INFLATE_WORK : WS_INFLATE_WORK / 2;
  size_t left = *pool->spent < most ? most - *pool->spent : 0;
  if (work < WS_INFLATE_SHORT && left > WS_INFLATE_SHORT - work)
    left = WS_INFLATE_SHORT - (size_t)work;
  return left;
}

/* As far as may be in this turn: *is_spent. */
static enum ws_err inflate_some(struct ws_protocol *p, struct ws_inflater *f,
                                struct ws_buf *out, bool *is_spent,
                                const char **why) {
  size_t *spent = p->env->deflate->spent;
  *is_spent = false;
  for (;;) {
    uint64_t work = ws_inflater_work(f), may = allowance(p, work);
    if (may == 0) {
      *is_spent = true;
      return WS_OK;
    }
    ws_inflater_allow(f, may);
    if (ws_buf_room(out) == 0 && !grow(p, out)) {
      *why = "out of memory";
      return WS_ERR_MEMORY;
    }
    int64_t n = ws_inflater_get(f, ws_buf_end(out), ws_buf_room(out), why);
    if (spent) *spent += (size_t)(ws_inflater_work(f) - work);
    if (n < 0 || (n == 0 && !ws_inflater_is_spent(f))) return (enum ws_err)n;
    ws_buf_commit(out, (size_t)n);
  }
}

static void trim(struct ws_protocol *p, struct ws_buf *b) {
  b->len = b->off = 0;
  if (b->cap <= KEPT_ROOM) return;
  if (p->env->pool)
    ws_buf_pool_give(p->env->pool, b);
  else
    ws_buf_free(b);
}

/* The pool's room, or where that is lent one of the message's own. */
static struct ws_buf *borrow(struct ws_protocol *p, struct ws_buf *own) {
  if (p->env->deflate->is_lent) return own;
  p->env->deflate->is_lent = p->has_loan = true;
  return &p->env->deflate->inflated;
}

static bool has_message(struct ws_protocol *p) {
  if (!p->message) p->message = ws_mem_zero(sizeof *p->message);
  return p->message != NULL;
}

/* The compressed bytes have served. */
static struct ws_buf *replace_message(struct ws_protocol *p,
                                      struct ws_buf *own) {
  ws_buf_free(&p->message->bytes);
  p->message->bytes = *own;
  *own = (struct ws_buf){0};
  return &p->message->bytes;
}

static void give_inflater(struct ws_protocol *p, struct ws_inflater *f) {
  if (!has_takeover(p, false)) ws_inflater_give(p->env->deflate, f);
}

static void judge(const struct ws_protocol *p, uint32_t *utf8,
                  struct ws_half *half) {
  const struct ws_buf *out = &half->out;
  if (p->kind == WS_OP_TEXT && !half->is_bad)
    half->is_bad = !ws_utf8_feed(utf8, ws_buf_begin(out) + half->judged,
                                 out->len - half->judged);
  half->judged = out->len;
}

/* Bytes that are needed still, and go when the caller's buffer does. */
static bool keep_bytes(struct ws_protocol *p, const uint8_t *bytes, size_t n) {
  if (p->message) return true; /* there they stand */
  return has_message(p) && ws_buf_append(&p->message->bytes, bytes, n);
}

static bool keep_unread(struct ws_protocol *p, struct ws_inflater *f) {
  bool is_kept = p->message != NULL;
  size_t n;
  const uint8_t *bytes = ws_inflater_unread(f, &n);
  if (!keep_bytes(p, bytes, n)) return false;
  if (!is_kept && n) ws_inflater_moved(f, ws_buf_begin(&p->message->bytes));
  return true;
}

/* The rest of it is for another turn; the pool's room goes with it. */
static enum ws_err put_off(struct ws_protocol *p, struct ws_inflater *f,
                           struct ws_buf *to) {
  struct ws_half *half = context(p) ? ws_mem_zero(sizeof *half) : NULL;
  if (!half || !keep_unread(p, f)) {
    ws_mem_free(half);
    return WS_ERR_MEMORY;
  }
  half->inflater = f;
  half->out = *to;
  *to = (struct ws_buf){0};
  ws_compression_release(p);
  p->context->half = half;
  p->is_inflating = true;
  p->utf8 = WS_UTF8_START;
  judge(p, &p->utf8, half);
  return WS_OK;
}

void ws_compression_stop(struct ws_protocol *p) {
  struct ws_half *half = p->context ? p->context->half : NULL;
  p->is_inflating = false;
  if (!half) return;
  p->context->half = NULL;
  give_inflater(p, half->inflater);
  ws_buf_free(&half->out);
  ws_mem_free(half);
  if (p->context->inflater || p->context->deflater) return;
  ws_mem_free(p->context);
  p->context = NULL;
}

static enum ws_err begin(struct ws_protocol *p, const uint8_t *in, size_t n,
                         struct ws_buf **out, const char **why) {
  const struct ws_protocol_env *env = p->env;
  struct ws_inflater *f = get_inflater(p);
  struct ws_buf own = {0};
  bool is_spent;
  if (!f) return WS_ERR_MEMORY;
  struct ws_buf *to = borrow(p, &own);
  ws_inflater_begin(f, !has_takeover(p, false), env->max_message,
                    env->max_ratio);
  ws_inflater_put(f, in, n, true);
  enum ws_err err = inflate_some(p, f, to, &is_spent, why);
  if (is_spent && !(err = put_off(p, f, to))) return WS_OK;
  give_inflater(p, f);
  if (err) {
    ws_buf_free(&own);
    return err;
  }
  if (p->kind == WS_OP_TEXT && !ws_utf8_is_valid(ws_buf_begin(to), to->len)) {
    ws_buf_free(&own);
    *why = WS_BAD_TEXT;
    return WS_ERR_UTF8;
  }
  if (to == &own) {
    if (!has_message(p)) {
      ws_buf_free(&own);
      return WS_ERR_MEMORY;
    }
    to = replace_message(p, &own);
  }
  *out = to;
  return WS_OK;
}

static enum ws_err go_on(struct ws_protocol *p, struct ws_buf **out,
                         const char **why) {
  struct ws_half *half = p->context->half;
  bool is_spent;
  enum ws_err err = inflate_some(p, half->inflater, &half->out, &is_spent, why);
  if (err) return err;
  judge(p, &p->utf8, half);
  if (is_spent) return WS_OK;
  if (half->is_bad || p->utf8 != WS_UTF8_START) {
    *why = WS_BAD_TEXT;
    return WS_ERR_UTF8;
  }
  *out = replace_message(p, &half->out); /* there since it was put off */
  ws_compression_stop(p);
  return WS_OK;
}

enum ws_err ws_compression_inflate(struct ws_protocol *p, const uint8_t *in,
                                   size_t n, struct ws_buf **out,
                                   const char **why) {
  *out = NULL;
  *why = "out of memory";
  if (p->is_inflating && p->context && p->context->half)
    return go_on(p, out, why);
  p->is_inflating = allowance(p, 0) == 0;
  if (!p->is_inflating) return begin(p, in, n, out, why);
  return keep_bytes(p, in, n) ? WS_OK : WS_ERR_MEMORY;
}

void ws_compression_give_back(struct ws_protocol *p) {
  p->has_loan = false;
  p->env->deflate->is_lent = false;
  trim(p, &p->env->deflate->inflated);
}

/* ---- sending ---- */

/* *own: where a compressor that is kept stands; NULL for one to give back. */
static struct ws_deflater *get_deflater(struct ws_protocol *p, size_t len,
                                        struct ws_deflater ***own) {
  uint8_t bits = window(p, true);
  *own = NULL;
  if (bits < 9) return NULL; /* zlib cannot */
  if (!has_takeover(p, true))
    return ws_deflater_take(p->env->deflate, &p->env->deflate_level, bits, len);
  if (!context(p)) return NULL;
  *own = &p->context->deflater;
  return ws_deflater_keep(p->env->deflate, *own, &p->env->deflate_level, bits);
}

/* Room for n bytes in the pool's second buffer, which is not in use. */
static bool make_room(struct ws_protocol *p, struct ws_buf *b, size_t n) {
  trim(p, b);
  if (b->cap >= n) return true;
  if (p->env->pool && ws_buf_pool_take(p->env->pool, b, n)) return true;
  return ws_buf_reserve_exact(b, n);
}

const uint8_t *ws_compression_deflate(struct ws_protocol *p, const void *bytes,
                                      size_t n, size_t *len) {
  struct ws_buf *out = &p->env->deflate->deflated;
  struct ws_deflater **own, *d;
  if (!make_room(p, out, n) || !(d = get_deflater(p, n, &own))) return NULL;
  *len = ws_deflater_whole(d, bytes, n, out->data, n);
  if (!own) ws_deflater_give(p->env->deflate, d);
  return *len ? out->data : NULL;
}

void ws_compression_forget(struct ws_protocol *p) {
  if (p->context) ws_deflater_drop(p->env->deflate, &p->context->deflater);
}

void ws_compression_free(struct ws_protocol *p) {
  ws_compression_release(p);
  ws_compression_stop(p);
  if (!p->context) return;
  ws_compression_forget(p);
  ws_inflater_free(p->context->inflater);
  ws_mem_free(p->context);
  p->context = NULL;
}
