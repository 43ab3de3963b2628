/* body: a body in the chunked coding is the same bytes, or the same refusal
 * after the same bytes, however it is cut, and what a reader made for reading
 * finds. A Content-Length is digits. */
#include "kit/fuzz.h"

#include "protocol/body.h"

struct result {
  int64_t taken; /* or the error */
  bool is_done;
  size_t n;
  uint8_t data[FUZZ_MAX];
};

static void feed(struct ws_body *b, struct result *r, const char *bytes,
                 size_t n) {
  size_t at = 0;
  while (at < n && !ws_body_is_done(b)) {
    struct ws_slice data;
    int64_t used = ws_body_feed(b, bytes + at, n - at, &data);
    if (used < 0) {
      r->taken = used;
      return;
    }
    FUZZ_CHECK(used > 0 && (size_t)used <= n - at);
    FUZZ_CHECK(data.p >= bytes + at && data.p + data.n <= bytes + at + used);
    memcpy(r->data + r->n, data.p, data.n);
    r->n += data.n;
    r->taken += used;
    at += (size_t)used;
  }
  struct ws_slice data;
  if (ws_body_is_done(b)) FUZZ_CHECK(ws_body_feed(b, bytes, n, &data) == 0);
}

static void run(struct result *r, struct ws_body b, struct ws_slice in,
                struct fuzz_cuts cuts) {
  static struct fuzz_fence fence;
  r->taken = 0;
  r->n = 0;
  for (size_t at = 0; at < in.n && r->taken >= 0;) {
    size_t piece = fuzz_piece(&cuts, in.n - at);
    feed(&b, r, (char *)fuzz_fenced(&fence, in.p + at, piece), piece);
    at += piece;
  }
  r->is_done = ws_body_is_done(&b);
}

static void check_same(const struct result *a, const struct result *b) {
  FUZZ_CHECK(a->taken == b->taken && a->is_done == b->is_done);
  FUZZ_CHECK(a->n == b->n && memcmp(a->data, b->data, a->n) == 0);
}

static int hex(char c) {
  const char *digits = "00112233445566778899AaBbCcDdEeFf";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) / 2 : -1;
}

/* A line without its CR LF; false when it has none. */
static bool next_line(struct ws_slice *in, struct ws_slice *line) {
  for (size_t i = 0; i + 1 < in->n; i++) {
    if (in->p[i] != '\r') continue;
    if (in->p[i + 1] != '\n') return false;
    *line = (struct ws_slice){in->p, i};
    *in = (struct ws_slice){in->p + i + 2, in->n - i - 2};
    return true;
  }
  return false;
}

/* The size of a chunk by its line; false where this is none. */
static bool chunk_size(struct ws_slice line, uint64_t *size) {
  size_t i = 0;
  *size = 0;
  for (; i < line.n && hex(line.p[i]) >= 0; i++)
    *size = *size * 16 + (uint64_t)hex(line.p[i]);
  return i > 0 && i <= 16 && (i == line.n || line.p[i] == ';');
}

/* A body that came to its end is one: chunks, trailers, nothing else. */
static void check_whole(const struct result *r, struct ws_slice in) {
  struct ws_slice line;
  uint64_t size;
  size_t sum = 0, heads = 0;
  in.n = (size_t)r->taken;
  for (;;) {
    FUZZ_CHECK(next_line(&in, &line) && chunk_size(line, &size));
    heads += line.n + 2;
    FUZZ_CHECK(heads <= 4096 + 8 * sum);
    if (size == 0) break;
    FUZZ_CHECK(size <= in.n && sum + size <= r->n);
    FUZZ_CHECK(memcmp(in.p, r->data + sum, size) == 0);
    sum += size;
    in = (struct ws_slice){in.p + size, in.n - size};
    FUZZ_CHECK(next_line(&in, &line) && line.n == 0);
    heads += 2;
  }
  FUZZ_CHECK(sum == r->n);
  do {
    FUZZ_CHECK(next_line(&in, &line));
    FUZZ_CHECK(line.n == 0 || (memchr(line.p, ':', line.n) && *line.p != ':'));
  } while (line.n > 0);
  FUZZ_CHECK(in.n == 0);
}

static void check_length(struct ws_slice in) {
  static struct fuzz_fence fence;
  __extension__ unsigned __int128 sum = 0;
  uint64_t length;
  bool is_fine = in.n > 0;
  for (size_t i = 0; i < in.n && is_fine; i++) {
    is_fine = in.p[i] >= '0' && in.p[i] <= '9';
    sum = sum * 10 + (unsigned)(in.p[i] - '0');
    if (sum > UINT64_MAX) is_fine = false;
  }
  in.p = (char *)fuzz_fenced(&fence, in.p, in.n);
  FUZZ_CHECK(ws_body_parse_length(in, &length) == is_fine);
  if (is_fine) FUZZ_CHECK(length == (uint64_t)sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct result whole, pieces;
  struct fuzz_input in = {bytes, n};
  struct ws_body b;
  struct fuzz_cuts cuts = {fuzz_u16(&in)};
  uint8_t limit = fuzz_byte(&in);
  uint64_t max = limit ? limit * (uint64_t)limit : UINT64_MAX;
  if (in.n > FUZZ_MAX) return 0;
  struct ws_slice all = fuzz_take(&in, in.n);
  ws_body_init_chunked(&b, max);
  run(&whole, b, all, (struct fuzz_cuts){0});
  if (whole.taken < 0)
    FUZZ_CHECK(whole.taken == WS_ERR_BAD_REQUEST ||
               whole.taken == WS_ERR_BODY_TOO_BIG);
  FUZZ_CHECK(whole.n <= max);
  run(&pieces, b, all, cuts);
  check_same(&whole, &pieces);
  run(&pieces, b, all, (struct fuzz_cuts){1});
  check_same(&whole, &pieces);
  if (whole.is_done) check_whole(&whole, all);
  check_length(all);
  if (ws_body_init_length(&b, limit, max) != WS_OK) return 0;
  run(&whole, b, all, cuts);
  FUZZ_CHECK(whole.n == (all.n < limit ? all.n : limit));
  FUZZ_CHECK(whole.n == 0 || memcmp(whole.data, all.p, whole.n) == 0);
  return 0;
}
