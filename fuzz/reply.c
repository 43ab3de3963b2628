/* reply: what a client keeps of an answer is the same however it is cut: its
 * head, behind any interim ones, and no more of its body than it wants; and it
 * is read again as it was. */
#include "kit/fuzz.h"

#include "protocol/reply.h"

struct result {
  int head; /* or the error */
  bool is_over;
  char kept[FUZZ_MAX + WS_REPLY_BODY_MAX];
  size_t n;
};

static void take(struct ws_reply *r, struct result *out) {
  const char *why = NULL;
  if (!out->head) {
    out->head = ws_reply_read(r, &why);
    FUZZ_CHECK((out->head < 0) == (why != NULL));
    if (out->head <= 0) return;
    FUZZ_CHECK(r->head == (size_t)out->head && r->head <= r->bytes.len);
    FUZZ_CHECK(r->http.status >= 200 || r->http.status == 101);
    ws_reply_begin_body(r);
  }
  out->is_over = ws_reply_read_body(r);
  FUZZ_CHECK(r->body.len <= WS_REPLY_BODY_MAX && r->bytes.len == r->head);
}

static void check_kept(const struct ws_reply *r, struct ws_slice whole) {
  struct ws_http_field fields[WS_REPLY_FIELDS_MAX];
  struct ws_http h;
  static char copy[FUZZ_MAX + WS_REPLY_BODY_MAX];
  char text[64];
  memcpy(copy, whole.p, whole.n);
  FUZZ_CHECK(ws_reply_parse(&h, fields, copy, whole.n) == (int)r->head);
  FUZZ_CHECK(h.status == r->http.status && h.n_fields == r->http.n_fields);
  FUZZ_CHECK(memcmp(copy, whole.p, whole.n) == 0);
  size_t n = ws_reply_status(r, text, sizeof text);
  FUZZ_CHECK(n >= 3 && n < sizeof text);
  for (size_t i = 0; i < n; i++) FUZZ_CHECK(text[i] >= ' ' && text[i] <= '~');
}

static void run(struct result *out, struct ws_slice in, struct fuzz_cuts cuts) {
  static struct ws_reply r;
  ws_reply_begin(&r);
  out->head = 0;
  out->is_over = false;
  for (size_t at = 0; at < in.n && out->head >= 0 && !out->is_over;) {
    size_t piece = fuzz_piece(&cuts, in.n - at);
    FUZZ_CHECK(ws_buf_append(&r.bytes, in.p + at, piece));
    if (r.bytes.len) take(&r, out);
    at += piece;
  }
  out->n = 0;
  if (out->head > 0) {
    struct ws_slice whole = ws_reply_whole(&r);
    FUZZ_CHECK(whole.n == r.head + r.body.len);
    check_kept(&r, whole);
    memcpy(out->kept, whole.p, whole.n);
    out->n = whole.n;
  }
  ws_reply_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct result whole, pieces;
  struct fuzz_input in = {bytes, n};
  uint16_t seed = fuzz_u16(&in);
  if (n > FUZZ_MAX) return 0;
  struct ws_slice rest = {(const char *)in.p, in.n};
  run(&whole, rest, (struct fuzz_cuts){0});
  for (uint32_t cuts = 1; cuts <= 2; cuts++) {
    run(&pieces, rest, (struct fuzz_cuts){cuts == 1 ? 1 : seed});
    FUZZ_CHECK(pieces.head == whole.head && pieces.is_over == whole.is_over);
    FUZZ_CHECK(pieces.n == whole.n &&
               memcmp(pieces.kept, whole.kept, whole.n) == 0);
  }
  return 0;
}
