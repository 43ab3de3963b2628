/* compression.c: the messages of one endpoint under permessage-deflate. */
#include "protocol/compression.h"

#include <assert.h>

#define FIRST_ROOM (64 * 1024) /* of what messages are inflated into */
#define KEPT_ROOM (256 * 1024) /* more is given back after each message */

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
  if (cap <= out->len) cap = out->len + 1;
  if (p->env->pool && ws_buf_pool_take(p->env->pool, out, cap)) return true;
  return ws_buf_reserve_exact(out, cap - out->len);
}

static enum ws_err inflate_all(struct ws_protocol *p, struct ws_inflater *f,
                               struct ws_buf *out, const char **why) {
  for (;;) {
    if (ws_buf_room(out) == 0 && !grow(p, out)) {
      *why = "out of memory";
      return WS_ERR_MEMORY;
    }
    int64_t n = ws_inflater_get(f, ws_buf_end(out), ws_buf_room(out), why);
    if (n <= 0) return (enum ws_err)n;
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

/* The compressed bytes have served. */
static enum ws_err replace_message(struct ws_protocol *p, struct ws_buf *own) {
  if (!p->message && !(p->message = ws_mem_zero(sizeof *p->message))) {
    ws_buf_free(own);
    return WS_ERR_MEMORY;
  }
  ws_buf_free(p->message);
  *p->message = *own;
  return WS_OK;
}

enum ws_err ws_compression_inflate(struct ws_protocol *p, const uint8_t *in,
                                   size_t n, struct ws_buf **out,
                                   const char **why) {
  const struct ws_protocol_env *env = p->env;
  bool is_kept = has_takeover(p, false);
  struct ws_inflater *f = get_inflater(p);
  struct ws_buf own = {0};
  *why = "out of memory";
  if (!f) return WS_ERR_MEMORY;
  struct ws_buf *to = borrow(p, &own);
  ws_inflater_begin(f, !is_kept, env->max_message, env->max_ratio);
  ws_inflater_put(f, in, n, true);
  enum ws_err err = inflate_all(p, f, to, why);
  if (!is_kept) ws_inflater_give(env->deflate, f);
  if (err) ws_buf_free(&own);
  if (!err && to == &own) {
    err = replace_message(p, &own);
    to = p->message;
  }
  *out = to;
  return err;
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
  if (!p->context) return;
  ws_compression_forget(p);
  ws_inflater_free(p->context->inflater);
  ws_mem_free(p->context);
  p->context = NULL;
}
