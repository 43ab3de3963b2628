/* extension: the negotiation of permessage-deflate. Of whatever is offered, a
 * server answers only what the offer it has chosen allows, by a reader made
 * for reading; a client accepts only what it has asked for; and of two sides
 * of ours, whatever they wish, both believe the same in the end. */
#include "kit/fuzz.h"

#include <strings.h>

#include "protocol/extension.h"

#define FIELDS 4

static struct ws_extension wish_of(uint8_t a, uint8_t b) {
  return (struct ws_extension){.is_on = true,
                               .server_takeover = a & 1,
                               .client_takeover = a & 2,
                               .bears_takeover = b & 128,
                               .server_bits = (uint8_t)(9 + (a >> 2) % 7),
                               .client_bits = (uint8_t)(9 + b % 7)};
}

/* Each line of the text is a field. False where one cannot be a value. */
static bool make_head(struct ws_http *h, struct ws_http_field *fields,
                      struct ws_slice text) {
  *h = (struct ws_http){.fields = fields};
  for (size_t at = 0; at < text.n && h->n_fields < FIELDS;) {
    const char *p = text.p + at, *lf = memchr(p, '\n', text.n - at);
    struct ws_slice line = {p, lf ? (size_t)(lf - p) : text.n - at};
    if (!ws_http_is_value(line)) return false;
    struct ws_http_field *f = &fields[h->n_fields++];
    *f = (struct ws_http_field){.value = (uint32_t)at};
    f->value_len = (uint32_t)line.n;
    f->id = WS_HTTP_SEC_WEBSOCKET_EXTENSIONS;
    at += line.n + 1;
  }
  return true;
}

/* ---- a reader of lists without quotes ---- */

struct reading {
  bool is_form, is_fine; /* an extension; ours, with good parameters */
  int server_no, client_no, server_bits, client_bits; /* -1: not there */
};

static struct ws_slice trim(struct ws_slice s) {
  while (s.n && strchr(" \t", s.p[0])) s = (struct ws_slice){s.p + 1, s.n - 1};
  while (s.n && strchr(" \t", s.p[s.n - 1])) s.n--;
  return s;
}

/* What stands before the first c, and what behind it; false without a c. */
static bool split(struct ws_slice s, char c, struct ws_slice *first,
                  struct ws_slice *rest) {
  const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
  size_t n = at ? (size_t)(at - s.p) : s.n;
  *first = trim((struct ws_slice){s.p, n});
  *rest = (struct ws_slice){s.p + n + (at != NULL), s.n - n - (at != NULL)};
  return at != NULL;
}

static bool is(struct ws_slice s, const char *text) {
  return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static int bits_of(struct ws_slice s) {
  static const char *const good[] = {"8",  "9",  "10", "11",
                                     "12", "13", "14", "15"};
  for (int i = 0; i < 8; i++)
    if (is(s, good[i])) return 8 + i;
  return -1;
}

static void read_param(struct reading *r, struct ws_slice param) {
  struct ws_slice name, value;
  bool has_value = split(param, '=', &name, &value);
  value = trim(value);
  int bits = has_value ? bits_of(value) : 0, *place = NULL;
  if (!ws_http_is_token(name) || (has_value && !ws_http_is_token(value)))
    r->is_form = false;
  if (is(name, "server_no_context_takeover")) place = &r->server_no;
  if (is(name, "client_no_context_takeover")) place = &r->client_no;
  if (place && has_value) place = NULL;
  if (is(name, "server_max_window_bits") && bits > 0) place = &r->server_bits;
  if (is(name, "client_max_window_bits") && bits >= 0) place = &r->client_bits;
  if (!place || *place != -1) {
    r->is_fine = false;
    return;
  }
  *place = bits;
}

static struct reading read_element(struct ws_slice s) {
  struct reading r = {true, true, -1, -1, -1, -1};
  struct ws_slice name, rest, param;
  bool more = split(s, ';', &name, &rest);
  r.is_form = ws_http_is_token(name);
  r.is_fine = is(name, "permessage-deflate");
  while (more) {
    more = split(rest, ';', &param, &rest);
    read_param(&r, param);
  }
  return r;
}

/* The offer to be chosen from a list without quotes; false for none. */
static bool find_offer(const struct ws_http *h, const char *bytes,
                       struct reading *found) {
  bool is_found = false;
  for (uint32_t i = 0; i < h->n_fields; i++) {
    struct ws_slice rest = ws_http_value(bytes, &h->fields[i]), element;
    bool more = true;
    while (more) {
      more = split(rest, ',', &element, &rest);
      if (element.n == 0) continue;
      struct reading r = read_element(element);
      if (!r.is_form) return false; /* no list of extensions at all */
      if (is_found || !r.is_fine || r.server_bits == 8) continue;
      *found = r;
      is_found = true;
    }
  }
  return is_found;
}

/* ---- the checks ---- */

static void check_choice(const struct reading *offer,
                         const struct ws_extension *wish,
                         const struct ws_extension *out, struct ws_slice text) {
  struct reading a = read_element(text);
  FUZZ_CHECK(a.is_form && a.is_fine && out->is_on);
  FUZZ_CHECK(a.client_bits == -1 || offer->client_bits != -1);
  FUZZ_CHECK(out->client_bits == (a.client_bits == -1 ? 15 : a.client_bits));
  FUZZ_CHECK(offer->client_bits < 8 || a.client_bits <= offer->client_bits);
  FUZZ_CHECK(wish->client_bits == 15 || offer->client_bits == -1 ||
             a.client_bits <= wish->client_bits);
  FUZZ_CHECK(offer->server_no == -1 || a.server_no != -1);
  FUZZ_CHECK(offer->server_bits == -1 ||
             (a.server_bits != -1 && a.server_bits <= offer->server_bits));
  FUZZ_CHECK(out->server_bits <= wish->server_bits && out->server_bits >= 9);
  FUZZ_CHECK(out->server_bits == (a.server_bits == -1 ? 15 : a.server_bits));
  FUZZ_CHECK(out->server_takeover == (a.server_no == -1));
  FUZZ_CHECK(!out->server_takeover || wish->server_takeover);
  FUZZ_CHECK(!out->client_takeover || wish->client_takeover);
}

static void check_server(const struct ws_http *h, struct ws_slice text,
                         const struct ws_extension *wish) {
  struct ws_extension out;
  struct reading offer;
  char answer[WS_EXTENSION_MAX];
  size_t n = 0;
  bool is_chosen = ws_extension_choose(h, text.p, wish, &out, answer, &n);
  if (is_chosen) FUZZ_CHECK(n > 0 && n < sizeof answer);
  if (memchr(text.p, '"', text.n)) return;
  FUZZ_CHECK(is_chosen == find_offer(h, text.p, &offer));
  if (is_chosen) check_choice(&offer, wish, &out, (struct ws_slice){answer, n});
}

static void check_client(const struct ws_http *h, struct ws_slice text,
                         const struct ws_extension *wish) {
  struct ws_extension out;
  const char *why = ws_extension_check(h, text.p, wish, &out);
  if (why || !out.is_on) return;
  FUZZ_CHECK(wish->is_on && out.server_bits <= 15 && out.server_bits >= 8);
  FUZZ_CHECK(wish->server_bits == 15 || out.server_bits <= wish->server_bits);
  FUZZ_CHECK(out.client_bits <= wish->client_bits && out.client_bits >= 8);
  FUZZ_CHECK(!out.server_takeover || wish->server_takeover ||
             wish->bears_takeover);
  FUZZ_CHECK(!out.client_takeover || wish->client_takeover);
}

/* Two of ours. What the client may do beyond what the server knows of does
 * not matter: only a window or a context that is larger than the other's. */
static void check_both(const struct ws_extension *client,
                       const struct ws_extension *server) {
  char offer[WS_EXTENSION_MAX], answer[WS_EXTENSION_MAX];
  struct ws_http_field fields[FIELDS];
  struct ws_extension theirs, ours;
  struct ws_http h;
  struct ws_slice text = {offer, ws_extension_offer(client, offer)};
  FUZZ_CHECK(text.n > 0 && text.n < sizeof offer);
  FUZZ_CHECK(make_head(&h, fields, text));
  text.p = answer;
  FUZZ_CHECK(ws_extension_choose(&h, offer, server, &theirs, answer, &text.n));
  FUZZ_CHECK(make_head(&h, fields, text));
  FUZZ_CHECK(ws_extension_check(&h, answer, client, &ours) == NULL);
  FUZZ_CHECK(ours.is_on && ours.server_bits == theirs.server_bits);
  FUZZ_CHECK(ours.server_takeover == theirs.server_takeover);
  FUZZ_CHECK(ours.client_bits <= theirs.client_bits);
  FUZZ_CHECK(!ours.client_takeover || theirs.client_takeover);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  struct fuzz_input in = {bytes, n};
  struct ws_http_field fields[FIELDS];
  struct ws_http h;
  uint8_t a = fuzz_byte(&in), b = fuzz_byte(&in);
  struct ws_extension wish = wish_of(a, b), other = wish_of(b, a);
  if (in.n > FUZZ_MAX) return 0;
  check_both(&wish, &other);
  struct ws_slice text = {(char *)fuzz_fenced(&fence, in.p, in.n), in.n};
  if (in.n == 0 || !make_head(&h, fields, text)) return 0;
  check_server(&h, text, &wish);
  check_client(&h, text, &wish);
  return 0;
}
