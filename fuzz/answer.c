/* answer: what a client accepts as the answer to its request (RFC 6455 4.1)
 * is a 101 to this key, with a sub-protocol and an extension it has offered;
 * what it writes itself a server understands. */
#define _GNU_SOURCE /* memmem */
#include "kit/fuzz.h"

#include <stdlib.h>

#include "kit/head.h"
#include "protocol/handshake_client.h"

#define FIELDS_MAX 32

static const uint8_t nonce[16] = "the sample nonce";

static void init(struct ws_http *h, struct ws_http_field *fields) {
  *h = (struct ws_http){.fields = fields, .max_fields = FIELDS_MAX};
  h->max_line = h->max_field_line = h->max_head = FUZZ_MAX;
  ws_http_reset(h);
}

/* The answer, in which "@" stands for the right value of the accept field. */
static size_t fill_in(char *to, struct ws_slice from, const char *key) {
  size_t n = 0;
  for (size_t i = 0; i < from.n && n + WS_ACCEPT_LEN < FUZZ_MAX; i++) {
    if (from.p[i] == '@') {
      ws_handshake_accept(key, to + n);
      n += WS_ACCEPT_LEN;
    } else {
      to[n++] = from.p[i];
    }
  }
  return n;
}

static void check_answer(const struct ws_http *h, struct ws_slice head,
                         const char *key, struct ws_slice offered,
                         const struct ws_extension *wish) {
  struct ws_slice chosen, name, list = offered;
  const char *why;
  char accept[WS_ACCEPT_LEN];
  struct ws_extension agreed;
  int err = ws_handshake_check_answer(h, head.p, key, offered, wish, &chosen,
                                      &agreed, &why);
  FUZZ_CHECK(err == WS_OK || err == WS_ERR_PROTOCOL);
  FUZZ_CHECK((err == WS_OK) == (why == NULL));
  if (err) return;
  ws_handshake_accept(key, accept);
  FUZZ_CHECK(h->minor == 1);
  FUZZ_CHECK(head_count(h, head, "Upgrade") == 1);
  FUZZ_CHECK(head_count(h, head, "Connection") >= 1);
  FUZZ_CHECK(head_count(h, head, "Sec-WebSocket-Accept") == 1);
  FUZZ_CHECK(memmem(head.p, head.n, accept, sizeof accept));
  FUZZ_CHECK(wish->is_on || !agreed.is_on);
  if (agreed.is_on)
    FUZZ_CHECK(head_count(h, head, "Sec-WebSocket-Extensions") > 0);
  FUZZ_CHECK(head_count(h, head, "Sec-WebSocket-Protocol") ==
             (chosen.p != NULL));
  if (!chosen.p) return;
  bool is_offered = false;
  while (ws_http_next_element(&list, &name))
    if (ws_slice_equal(name, chosen)) is_offered = true;
  FUZZ_CHECK(is_offered);
}

/* A request for this target is what a server takes it for. */
static void check_request(const char *key, struct ws_slice target,
                          struct ws_slice offered) {
  struct ws_buf out = {0};
  struct ws_http_field fields[FIELDS_MAX];
  struct ws_handshake s;
  struct ws_http h;
  const char *why;
  const struct ws_slice none = {0};
  if (target.n == 0 || *target.p != '/' || !ws_http_is_value(target)) return;
  if (memchr(target.p, ' ', target.n) || memchr(target.p, '\t', target.n) ||
      memchr(target.p, '#', target.n) || !ws_http_is_value(offered))
    return;
  FUZZ_CHECK(ws_handshake_write_request(&out, WS_SLICE("a:1"), target, key,
                                        WS_SLICE("http://a"), offered, none,
                                        none));
  init(&h, fields);
  const char *bytes = (char *)ws_buf_begin(&out);
  FUZZ_CHECK(ws_http_request(&h, bytes, out.len) == (int)out.len);
  FUZZ_CHECK(ws_handshake_check(&h, bytes, &s, &why) == WS_OK);
  FUZZ_CHECK(s.is_upgrade && memcmp(s.key.p, key, WS_KEY_LEN) == 0);
  FUZZ_CHECK(target.n == s.path.n + (s.query.p ? s.query.n + 1 : 0));
  ws_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence one, two;
  static char text[FUZZ_MAX];
  struct ws_http_field fields[FIELDS_MAX];
  struct fuzz_input in = {bytes, n};
  struct ws_extension wish = {n & 1, true, true, 15, 15, n & 2};
  char key[WS_KEY_LEN];
  struct ws_http h;
  if (n > 8192) return 0;
  ws_handshake_make_key(nonce, key);
  struct ws_slice offered = fuzz_take(&in, fuzz_byte(&in));
  offered.p = (char *)fuzz_fenced(&one, offered.p, offered.n);
  struct ws_slice head = fuzz_take(&in, in.n);
  check_request(key, head, offered);
  head.n = fill_in(text, head, key);
  char *answer = (char *)fuzz_fenced(&two, text, head.n);
  head.p = answer;
  init(&h, fields);
  int result = ws_http_response(&h, answer, head.n);
  if (result <= 0) return 0;
  head.n = (size_t)result;
  check_answer(&h, head, key, offered, &wish);
  return 0;
}
