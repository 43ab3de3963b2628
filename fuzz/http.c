/* http: heads of requests and responses. Parsed in pieces, while the bytes
 * move and what was read turns into garbage behind the parser, a head is what
 * it is in one go; it is what a reader made for reading finds; limits hold.
 * Then what a request asks for (ws_handshake_check) and the sub-protocols it
 * offers stand in its bytes, and an upgrade that is accepted is one. */
#include "kit/fuzz.h"

#include <stdlib.h>
#include <strings.h>

#include "kit/head.h"
#include "protocol/handshake_client.h"
#include "protocol/origin.h"

#define FIELDS_MAX 64

typedef int parse(struct ws_http *h, char *bytes, size_t n);

static int parse_request(struct ws_http *h, char *bytes, size_t n) {
  return ws_http_request(h, bytes, n);
}

static void init(struct ws_http *h, const struct ws_http *limits,
                 struct ws_http_field *fields) {
  *h = *limits;
  h->fields = fields;
  ws_http_reset(h);
}

/* What lies before the line being read may not be looked at again. */
static int parse_pieces(parse *fn, struct ws_http *h, struct ws_slice head,
                        struct fuzz_cuts cuts) {
  static struct fuzz_fence fence;
  int result = 0;
  size_t at = 0;
  while (at < head.n && result == 0) {
    at += fuzz_piece(&cuts, head.n - at);
    char *bytes = (char *)fuzz_fenced(&fence, head.p, at);
    memset(bytes, '\n', h->line);
    result = fn(h, bytes, at);
    if (result == 0) FUZZ_CHECK(h->pos == at && h->line <= at);
    if (result < 0) FUZZ_CHECK(fn(h, bytes, at) == result);
  }
  return result;
}

static void check_same(const struct ws_http *a, const struct ws_http *b) {
  FUZZ_CHECK(a->n_fields == b->n_fields && a->minor == b->minor);
  FUZZ_CHECK(a->method == b->method && a->method_len == b->method_len);
  FUZZ_CHECK(a->target == b->target && a->target_len == b->target_len);
  FUZZ_CHECK(a->reason == b->reason && a->reason_len == b->reason_len);
  FUZZ_CHECK(a->status == b->status);
  for (uint32_t i = 0; i < a->n_fields; i++) {
    const struct ws_http_field *x = &a->fields[i], *y = &b->fields[i];
    FUZZ_CHECK(x->name == y->name && x->name_len == y->name_len);
    FUZZ_CHECK(x->value == y->value && x->value_len == y->value_len);
    FUZZ_CHECK(x->id == y->id);
  }
}

static bool is_inside(struct ws_slice whole, struct ws_slice part) {
  return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void check_subprotocols(const struct ws_http *h, struct ws_slice head) {
  struct ws_slice name;
  size_t iter = 0, n = 0;
  int more;
  while ((more = ws_handshake_next_subprotocol(h, head.p, &iter, &name)) == 1) {
    FUZZ_CHECK(is_inside(head, name) && ws_http_is_token(name));
    FUZZ_CHECK(++n <= head.n / 2);
  }
  FUZZ_CHECK(more == 0 || more == WS_ERR_BAD_REQUEST);
}

/* The answer to an upgrade is one that a client accepts. */
static void check_answer(const struct ws_http *h, struct ws_slice head,
                         const struct ws_handshake *s) {
  struct ws_http_field fields[8];
  struct ws_http answer = {.max_fields = 8};
  const struct ws_extension no_wish = {.is_on = false};
  const struct ws_slice none = {0};
  struct ws_slice name = {0}, chosen;
  struct ws_extension agreed;
  struct ws_buf out = {0};
  const char *why;
  size_t iter = 0;
  if (ws_handshake_next_subprotocol(h, head.p, &iter, &name) != 1)
    name.p = NULL;
  FUZZ_CHECK(ws_handshake_write_101(&out, s->key.p, name, none, none));
  answer.fields = fields;
  answer.max_line = answer.max_field_line = answer.max_head = FUZZ_MAX;
  ws_http_reset(&answer);
  char *bytes = (char *)ws_buf_begin(&out);
  FUZZ_CHECK(ws_http_response(&answer, bytes, out.len) == (int)out.len);
  FUZZ_CHECK(answer.status == 101);
  FUZZ_CHECK(ws_handshake_check_answer(&answer, bytes, s->key.p, name, &no_wish,
                                       &chosen, &agreed, &why) == WS_OK);
  FUZZ_CHECK(!name.p == !chosen.p && (!name.p || ws_slice_equal(name, chosen)));
  ws_buf_free(&out);
}

static void check_upgrade(const struct ws_http *h, struct ws_slice head,
                          const struct ws_handshake *s) {
  FUZZ_CHECK(s->method == WS_GET && h->minor == 1 && s->key.n == WS_KEY_LEN);
  FUZZ_CHECK(s->content_length == 0 && !s->is_chunked && s->host.p);
  FUZZ_CHECK(head_count(h, head, "Sec-WebSocket-Key") == 1);
  FUZZ_CHECK(head_count(h, head, "Sec-WebSocket-Version") == 1);
  FUZZ_CHECK(head_count(h, head, "Upgrade") > 0);
  FUZZ_CHECK(head_count(h, head, "Connection") > 0);
  check_answer(h, head, s);
}

/* What may be answered or read further had one meaning only. */
static void check_request(const struct ws_http *h, struct ws_slice head) {
  struct ws_handshake s;
  struct ws_slice name;
  const char *why;
  long port;
  int err = ws_handshake_check(h, head.p, &s, &why);
  FUZZ_CHECK((err == WS_OK) == (why == NULL));
  if (err) FUZZ_CHECK(err <= -400 && err >= -501 && !s.is_upgrade);
  check_subprotocols(h, head);
  if (err) return;
  bool is_whole = s.method == WS_OPTIONS && !s.query.p && !s.is_upgrade &&
                  ws_slice_equal(s.path, WS_SLICE("*"));
  FUZZ_CHECK(is_whole || (s.path.n > 0 && s.path.p[0] == '/'));
  FUZZ_CHECK(s.method != WS_CONNECT);
  FUZZ_CHECK(!memchr(s.path.p, '?', s.path.n) &&
             !memchr(s.path.p, '#', s.path.n));
  FUZZ_CHECK(s.path.n == 1 || is_inside(head, s.path));
  FUZZ_CHECK(!s.query.p || is_inside(head, s.query));
  FUZZ_CHECK(!s.origin.p || is_inside(head, s.origin));
  FUZZ_CHECK(!s.host.p || ws_origin_parse_host(s.host, &name, &port));
  FUZZ_CHECK(s.host.p || h->minor == 0);
  FUZZ_CHECK(head_count(h, head, "Host") <= 1);
  FUZZ_CHECK(head_count(h, head, "Origin") == (s.origin.p != NULL));
  FUZZ_CHECK(head_count(h, head, "Content-Length") == s.has_length);
  FUZZ_CHECK(head_count(h, head, "Transfer-Encoding") == s.is_chunked);
  FUZZ_CHECK(!s.has_length || !s.is_chunked);
  if (s.is_upgrade) check_upgrade(h, head, &s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  struct ws_http_field fields[FIELDS_MAX], more[FIELDS_MAX];
  struct fuzz_input in = {bytes, n};
  uint8_t flags = fuzz_byte(&in);
  struct fuzz_cuts cuts = {fuzz_u16(&in)};
  struct ws_http whole, limits = {.max_fields = fuzz_byte(&in) % FIELDS_MAX};
  struct ws_http pieces;
  parse *fn = flags & 1 ? ws_http_response : parse_request;
  limits.max_line = flags & 2 ? fuzz_byte(&in) : 8192;
  limits.max_field_line = flags & 4 ? fuzz_byte(&in) : 8192;
  limits.max_head = flags & 8 ? fuzz_byte(&in) * 4U : 32768;
  if (in.n > FUZZ_MAX) return 0;
  char *p = (char *)fuzz_fenced(&fence, in.p, in.n);
  struct ws_slice head = {(const char *)in.p, in.n};
  init(&whole, &limits, fields);
  int result = fn(&whole, p, in.n);
  FUZZ_CHECK(result <= (int)in.n);
  init(&pieces, &limits, more);
  FUZZ_CHECK(parse_pieces(fn, &pieces, head, cuts) == result);
  check_same(&whole, &pieces);
  init(&pieces, &limits, more);
  FUZZ_CHECK(parse_pieces(fn, &pieces, head, (struct fuzz_cuts){1}) == result);
  check_same(&whole, &pieces);
  head_check(&whole, result, head, p, fn == ws_http_response);
  if (result <= 0) return 0;
  head = (struct ws_slice){p, (size_t)result};
  if (fn == parse_request) check_request(&whole, head);
  return 0;
}
