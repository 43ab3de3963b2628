/* extension.c: the negotiation of permessage-deflate, RFC 7692 5 and 7.1. */
#include "protocol/extension.h"

#include <stdio.h>
#include <string.h>

#define NAME "permessage-deflate"
#define BITS_MAX 15
#define BITS_MIN 9 /* zlib's raw deflate knows no window of 2^8 */
#define UNSAID 0

/* One element of the list: what its parameters say. */
struct offer {
  bool is_known; /* permessage-deflate */
  bool is_valid; /* and so are its parameters */
  bool server_no_takeover, client_no_takeover;
  bool has_client_bits;             /* with or without a value */
  uint8_t server_bits, client_bits; /* UNSAID without a value */
};

static void skip_blanks(struct ws_slice *s) {
  while (s->n && (*s->p == ' ' || *s->p == '\t')) {
    s->p++;
    s->n--;
  }
}

static bool take_char(struct ws_slice *s, char c) {
  skip_blanks(s);
  if (!s->n || *s->p != c) return false;
  s->p++;
  s->n--;
  skip_blanks(s);
  return true;
}

static bool take_token(struct ws_slice *s, struct ws_slice *token) {
  const char *from = s->p;
  while (s->n && !memchr(" \t;,=\"", *s->p, 6)) {
    s->p++;
    s->n--;
  }
  *token = (struct ws_slice){from, (size_t)(s->p - from)};
  return ws_http_is_token(*token);
}

/* A token, or text in quotes (RFC 6455 9.1). No value that is known needs a
 * backslash in there: one that has any stands for nothing known. */
static bool take_value(struct ws_slice *s, struct ws_slice *value) {
  static const char nothing_known[] = "\\";
  bool has_escape = false;
  if (!s->n || *s->p != '"') return take_token(s, value);
  size_t i = 1;
  while (i < s->n && s->p[i] != '"') {
    if (s->p[i] == '\\') {
      has_escape = true;
      i++;
    }
    i++;
  }
  if (i >= s->n) return false;
  *value = (struct ws_slice){s->p + 1, i - 1};
  if (has_escape) *value = (struct ws_slice){nothing_known, 1};
  s->p += i + 1;
  s->n -= i + 1;
  return true;
}

/* 7.1.2: a decimal number from 8 to 15 without leading zeros. */
static uint8_t parse_bits(struct ws_slice v) {
  if (v.n == 1 && (v.p[0] == '8' || v.p[0] == '9'))
    return (uint8_t)(v.p[0] - '0');
  if (v.n == 2 && v.p[0] == '1' && v.p[1] >= '0' && v.p[1] <= '5')
    return (uint8_t)(10 + v.p[1] - '0');
  return UNSAID;
}

/* 7.1: false for a name that is not known, one that comes twice, a value that
 * is not valid or out of place. */
static bool take_param(struct offer *o, struct ws_slice name, bool has_value,
                       struct ws_slice value, bool *has_server_bits) {
  uint8_t bits = has_value ? parse_bits(value) : UNSAID;
  bool *flag;
  if (ws_slice_equal_nocase(name, WS_SLICE("server_max_window_bits"))) {
    if (*has_server_bits || !bits) return false;
    *has_server_bits = true;
    o->server_bits = bits;
    return true;
  }
  if (ws_slice_equal_nocase(name, WS_SLICE("client_max_window_bits"))) {
    if (o->has_client_bits || (has_value && !bits)) return false;
    o->has_client_bits = true;
    o->client_bits = bits;
    return true;
  }
  if (ws_slice_equal_nocase(name, WS_SLICE("server_no_context_takeover")))
    flag = &o->server_no_takeover;
  else if (ws_slice_equal_nocase(name, WS_SLICE("client_no_context_takeover")))
    flag = &o->client_no_takeover;
  else
    return false;
  if (*flag || has_value) return false;
  return *flag = true;
}

/* Reads one element. False when it has not the form of an extension. */
static bool parse_offer(struct ws_slice s, struct offer *o) {
  struct ws_slice name, value = {NULL, 0};
  bool has_server_bits = false;
  *o = (struct offer){.is_known = false};
  if (!take_token(&s, &name)) return false;
  o->is_known = ws_slice_equal_nocase(name, WS_SLICE(NAME));
  o->is_valid = o->is_known;
  while (take_char(&s, ';')) {
    if (!take_token(&s, &name)) return false;
    bool has_value = take_char(&s, '=');
    if (has_value && !take_value(&s, &value)) return false;
    if (o->is_valid)
      o->is_valid = take_param(o, name, has_value, value, &has_server_bits);
  }
  return s.n == 0;
}

static uint8_t least(uint8_t a, uint8_t b) {
  return a < b ? a : b;
}

static size_t write(char text[WS_EXTENSION_MAX], bool server_no_takeover,
                    bool client_no_takeover, int server_bits,
                    const char *client_bits) {
  char bits[32] = "";
  if (server_bits)
    snprintf(bits, sizeof bits, "; server_max_window_bits=%d", server_bits);
  int n = snprintf(text, WS_EXTENSION_MAX, NAME "%s%s%s%s",
                   server_no_takeover ? "; server_no_context_takeover" : "",
                   client_no_takeover ? "; client_no_context_takeover" : "",
                   bits, client_bits);
  return (size_t)n;
}

/* The window that the answer asks of a client; UNSAID for none, which leaves it
 * all of 2^15 bytes. It may be limited only where the client said that it
 * knows how, and to no more than it said (7.1.2.2). What it said alone binds
 * nobody: many write it there and compress with another window. */
static uint8_t limit_client(const struct offer *o,
                            const struct ws_extension *wish) {
  if (!o->has_client_bits || wish->client_bits == BITS_MAX) return UNSAID;
  return o->client_bits ? least(o->client_bits, wish->client_bits)
                        : wish->client_bits;
}

/* 7.1: takes up an offer, if what it demands can be kept. */
static bool accept(const struct offer *o, const struct ws_extension *wish,
                   struct ws_extension *out, char text[WS_EXTENSION_MAX],
                   size_t *n) {
  char client[32] = "";
  uint8_t server_bits = wish->server_bits;
  if (!o->is_valid) return false;
  if (o->server_bits) server_bits = least(server_bits, o->server_bits);
  if (server_bits < BITS_MIN) return false;
  uint8_t client_bits = limit_client(o, wish);
  if (client_bits)
    snprintf(client, sizeof client, "; client_max_window_bits=%d", client_bits);
  *out = (struct ws_extension){
    .is_on = true,
    .server_takeover = wish->server_takeover && !o->server_no_takeover,
    .client_takeover = wish->client_takeover && !o->client_no_takeover,
    .server_bits = server_bits,
    .client_bits = client_bits ? client_bits : BITS_MAX};
  bool says_bits = o->server_bits || server_bits < BITS_MAX;
  *n = write(text, !out->server_takeover, !out->client_takeover,
             says_bits ? server_bits : 0, client);
  return true;
}

bool ws_extension_choose(const struct ws_http *h, const char *bytes,
                         const struct ws_extension *wish,
                         struct ws_extension *out, char text[WS_EXTENSION_MAX],
                         size_t *n) {
  bool is_chosen = false;
  for (uint32_t i = 0; i < h->n_fields; i++) {
    if (h->fields[i].id != WS_HTTP_SEC_WEBSOCKET_EXTENSIONS) continue;
    struct ws_slice list = ws_http_value(bytes, &h->fields[i]), element;
    while (ws_http_next_element(&list, &element)) {
      struct offer o;
      if (!parse_offer(element, &o)) return false;
      if (!is_chosen) is_chosen = accept(&o, wish, out, text, n);
    }
  }
  return is_chosen;
}

size_t ws_extension_offer(const struct ws_extension *wish,
                          char text[WS_EXTENSION_MAX]) {
  char client[32] = "; client_max_window_bits";
  if (!wish->is_on) return 0;
  if (wish->client_bits < BITS_MAX)
    snprintf(client, sizeof client, "; client_max_window_bits=%d",
             wish->client_bits);
  return write(text, !wish->server_takeover, !wish->client_takeover,
               wish->server_bits < BITS_MAX ? wish->server_bits : 0, client);
}

/* What was demanded must be granted; what is not demanded of us may be asked
 * in the answer (7.1.1.2, 7.1.2.2). */
static const char *check(const struct offer *o,
                         const struct ws_extension *wish) {
  if (!o->is_known) return "an extension that was not offered";
  if (!o->is_valid || (o->has_client_bits &&
                       (!o->client_bits || o->client_bits > wish->client_bits)))
    return "bad parameters of permessage-deflate";
  if (!wish->server_takeover && !wish->bears_takeover && !o->server_no_takeover)
    return "permessage-deflate with the server's context takeover";
  if (wish->server_bits < BITS_MAX &&
      (!o->server_bits || o->server_bits > wish->server_bits))
    return "permessage-deflate with too large a window";
  return NULL;
}

const char *ws_extension_check(const struct ws_http *h, const char *bytes,
                               const struct ws_extension *wish,
                               struct ws_extension *out) {
  *out = (struct ws_extension){.is_on = false};
  for (uint32_t i = 0; i < h->n_fields; i++) {
    if (h->fields[i].id != WS_HTTP_SEC_WEBSOCKET_EXTENSIONS) continue;
    struct ws_slice list = ws_http_value(bytes, &h->fields[i]), element;
    while (ws_http_next_element(&list, &element)) {
      struct offer o;
      if (!wish->is_on || out->is_on)
        return "an extension that was not offered";
      if (!parse_offer(element, &o)) return "a malformed extension";
      const char *why = check(&o, wish);
      if (why) return why;
      *out = (struct ws_extension){
        .is_on = true,
        .server_takeover = !o.server_no_takeover,
        .client_takeover = wish->client_takeover && !o.client_no_takeover,
        .server_bits = o.server_bits ? o.server_bits : BITS_MAX,
        .client_bits = o.client_bits ? o.client_bits : wish->client_bits};
    }
  }
  return NULL;
}
