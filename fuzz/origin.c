/* origin: what the policy promises of any origin, pattern and Host: nothing
 * matches but what is well formed, or the name of pages without a host; a
 * pattern without a wildcard matches itself; a wildcard matches names below it
 * and never the name itself; case does not count, a port does. */
#define _GNU_SOURCE /* memmem */
#include "kit/fuzz.h"

#include "protocol/origin.h"

#define TEXT_MAX 1024

/* Texts are put together here, zero bytes and all. */
struct text {
  char bytes[TEXT_MAX];
  size_t n;
};

static void put(struct text *t, struct ws_slice s) {
  FUZZ_CHECK(t->n + s.n <= sizeof t->bytes);
  if (s.n > 0) memcpy(t->bytes + t->n, s.p, s.n);
  t->n += s.n;
}

static struct ws_slice slice(const struct text *t) {
  return (struct ws_slice){t->bytes, t->n};
}

static bool has(struct ws_slice s, const char *text) {
  return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* What an origin that matches anything at all looks like. */
static void check_shape(struct ws_slice origin) {
  FUZZ_CHECK(has(origin, "://"));
  for (size_t i = 0; i < origin.n; i++)
    FUZZ_CHECK(origin.p[i] > ' ' && origin.p[i] < 0x7F);
  const char *host = (char *)memmem(origin.p, origin.n, "://", 3) + 3;
  struct ws_slice rest = {host, origin.n - (size_t)(host - origin.p)};
  FUZZ_CHECK(rest.n > 0 && rest.n <= 255);
  for (const char *c = "/?#@\\*,"; *c; c++)
    FUZZ_CHECK(!memchr(rest.p, *c, rest.n));
}

static void flip_case(struct text *t) {
  for (size_t i = 0; i < t->n; i++) {
    char c = t->bytes[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) t->bytes[i] ^= 32;
  }
}

static void check_match(struct ws_slice origin, struct ws_slice pattern) {
  struct text t = {.n = 0};
  const char *why;
  bool matches = ws_origin_matches(origin, pattern);
  if (ws_slice_equal(origin, WS_SLICE("null")) ||
      ws_slice_equal_nocase(origin, WS_SLICE("file://"))) {
    FUZZ_CHECK(matches == ws_slice_equal_nocase(origin, pattern) ||
               ws_slice_equal_nocase(pattern, WS_SLICE("null")));
    return;
  }
  put(&t, origin);
  flip_case(&t);
  FUZZ_CHECK(ws_origin_matches(slice(&t), pattern) == matches);
  if (!matches) return;
  FUZZ_CHECK(ws_origin_is_pattern(pattern, &why) && why == NULL);
  check_shape(origin);
  /* What is served there is of the same origin at most for its own port. */
  if (!has(pattern, "*")) FUZZ_CHECK(ws_origin_is_pattern(origin, &why));
}

/* scheme://name is matched by itself, by no wildcard over itself, and by the
 * wildcard over it when a label is put in front. */
static void check_wild(struct ws_slice scheme, struct ws_slice name) {
  struct text plain = {.n = 0}, wild = {.n = 0}, below = {.n = 0};
  struct text beside = {.n = 0};
  const char *why;
  put(&plain, scheme);
  put(&plain, WS_SLICE("://"));
  wild = below = beside = plain;
  put(&plain, name);
  put(&wild, WS_SLICE("*."));
  put(&wild, name);
  put(&below, WS_SLICE("x."));
  put(&below, name);
  put(&beside, WS_SLICE("x"));
  put(&beside, name);
  FUZZ_CHECK(!ws_origin_matches(slice(&plain), slice(&wild)));
  FUZZ_CHECK(!ws_origin_matches(slice(&beside), slice(&wild)));
  if (!has(name, "*"))
    FUZZ_CHECK(!ws_origin_matches(slice(&wild), slice(&wild)));
  if (!ws_origin_is_pattern(slice(&plain), &why) || has(name, "*")) return;
  FUZZ_CHECK(ws_origin_matches(slice(&plain), slice(&plain)));
  FUZZ_CHECK(!ws_origin_matches(slice(&below), slice(&plain)));
  if (!ws_origin_is_pattern(slice(&wild), &why)) return;
  if (name.n + 2 <= 255)
    FUZZ_CHECK(ws_origin_matches(slice(&below), slice(&wild)));
}

static void check_host(struct ws_slice host, struct ws_slice entry) {
  struct text below = {.n = 0}, wild = {.n = 0};
  struct ws_slice name;
  long port;
  bool is_host = ws_origin_parse_host(host, &name, &port);
  if (ws_origin_host_matches(host, entry)) FUZZ_CHECK(is_host);
  put(&wild, WS_SLICE("*."));
  put(&wild, host);
  FUZZ_CHECK(!ws_origin_host_matches(host, slice(&wild)));
  if (!is_host) return;
  FUZZ_CHECK(port >= -1 && port <= 65535 && name.n > 0);
  FUZZ_CHECK(ws_origin_host_matches(host, host));
  FUZZ_CHECK(ws_origin_host_matches(host, name) == (*host.p != '['));
  put(&below, WS_SLICE("x."));
  put(&below, host);
  if (*host.p != '[' && below.n <= 255)
    FUZZ_CHECK(ws_origin_host_matches(slice(&below), slice(&wild)));
}

static void check_same(struct ws_slice origin, struct ws_slice host) {
  struct ws_slice name;
  long port;
  bool plain = ws_origin_is_same(origin, host, false);
  bool secure = ws_origin_is_same(origin, host, true);
  if (!plain && !secure) return;
  check_shape(origin);
  FUZZ_CHECK(ws_origin_parse_host(host, &name, &port));
  /* A Host without a port has another one with TLS than without. */
  FUZZ_CHECK((plain == secure) == (port >= 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence one, two;
  struct fuzz_input in = {bytes, n};
  size_t cut = fuzz_u16(&in);
  if (in.n > TEXT_MAX / 2) return 0;
  struct ws_slice a = fuzz_take(&in, in.n > 0 ? cut % (in.n + 1) : 0);
  struct ws_slice b = fuzz_take(&in, in.n);
  a.p = (char *)fuzz_fenced(&one, a.p, a.n);
  b.p = (char *)fuzz_fenced(&two, b.p, b.n);
  check_match(a, b);
  check_match(b, a);
  check_wild(a, b);
  check_wild(WS_SLICE("https"), b);
  check_host(a, b);
  check_host(b, a);
  check_same(a, b);
  return 0;
}
