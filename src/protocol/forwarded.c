/* forwarded.c: X-Forwarded-For, X-Forwarded-Proto and Forwarded (RFC 7239).
 *
 * The lists are read once, from the left: an entry that is trusted keeps the
 * client that was found before it, one that is not becomes the client, and
 * one that is malformed forgets it. What is left at the end is what a walk
 * from the right would have found. */
#include "protocol/forwarded.h"

#include <string.h>

#define NODE_MAX 64 /* an address and a port, in quotes */

bool ws_forwarded_is_trusted(const struct ws_trusted *trusted,
                             const struct ws_ip *ip) {
  for (size_t i = 0; i < trusted->n; i++)
    if (ws_ip_is_in(ip, &trusted->list[i])) return true;
  return false;
}

static bool is_field(const char *bytes, const struct ws_http_field *f,
                     struct ws_slice name) {
  return f->id == WS_HTTP_OTHER &&
         ws_slice_equal_nocase(ws_http_name(bytes, f), name);
}

static bool has_field(const struct ws_http *h, const char *bytes,
                      struct ws_slice name) {
  for (uint32_t i = 0; i < h->n_fields; i++)
    if (is_field(bytes, &h->fields[i], name)) return true;
  return false;
}

static struct ws_slice skip(struct ws_slice s, size_t n) {
  return (struct ws_slice){s.p + n, s.n - n};
}

static struct ws_slice trim(struct ws_slice s) {
  while (s.n && ws_is_blank(*s.p)) s = skip(s, 1);
  while (s.n && ws_is_blank(s.p[s.n - 1])) s.n--;
  return s;
}

/* Takes what stands before the next comma, quoted or not: no address has one,
 * and a quote that a client leaves open must not swallow what proxies have
 * added behind it. Empty entries are none (RFC 9110 5.6.1). */
static bool next_entry(struct ws_slice *list, struct ws_slice *entry) {
  while (list->n) {
    const char *comma = memchr(list->p, ',', list->n);
    size_t n = comma ? (size_t)(comma - list->p) : list->n;
    *entry = trim((struct ws_slice){list->p, n});
    if (comma) n++;
    *list = skip(*list, n);
    if (entry->n) return true;
  }
  return false;
}

/* RFC 7239 6.2: a port may be obfuscated. */
static bool parse_port(struct ws_slice s, uint16_t *port) {
  *port = 0;
  if (s.n > 1 && s.p[0] == '_') return ws_http_is_token(skip(s, 1));
  return ws_ip_parse_port(s, port);
}

/* address, address:port, [address], [address]:port. */
static bool parse_node(struct ws_slice s, struct ws_ip *out) {
  struct ws_slice address = s, port = {NULL, 0};
  const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
  if (s.n && s.p[0] == '[') {
    const char *end = memchr(s.p, ']', s.n);
    if (!end) return false;
    address = (struct ws_slice){s.p + 1, (size_t)(end - s.p) - 1};
    port = (struct ws_slice){end + 1, s.n - address.n - 2};
    if (!memchr(address.p, ':', address.n)) return false;
  } else if (colon &&
             !memchr(colon + 1, ':', s.n - (size_t)(colon - s.p) - 1)) {
    address.n = (size_t)(colon - s.p);
    port = (struct ws_slice){colon, s.n - address.n};
  }
  if (!ws_ip_parse(address, out)) return false;
  if (port.n == 0) return true;
  return port.p[0] == ':' && parse_port(skip(port, 1), &out->port);
}

static enum ws_scheme parse_scheme(struct ws_slice s) {
  if (ws_slice_equal_nocase(s, WS_SLICE("https")) ||
      ws_slice_equal_nocase(s, WS_SLICE("wss")))
    return WS_SCHEME_SECURE;
  if (ws_slice_equal_nocase(s, WS_SLICE("http")) ||
      ws_slice_equal_nocase(s, WS_SLICE("ws")))
    return WS_SCHEME_PLAIN;
  return WS_SCHEME_UNKNOWN;
}

/* One more entry at the right; false when the client is another one now. */
static bool take_entry(struct ws_forwarded *f, const struct ws_trusted *trusted,
                       const struct ws_ip *ip) {
  bool is_trusted = ip && ws_forwarded_is_trusted(trusted, ip);
  if (is_trusted && f->client.kind) return true;
  f->client = ip ? *ip : (struct ws_ip){.kind = WS_IP_NONE};
  return false;
}

/* ---- X-Forwarded-* ---- */

/* The scheme that stands `from_right` entries from the end. */
static enum ws_scheme scheme_at(const struct ws_http *h, const char *bytes,
                                size_t from_right) {
  static const struct ws_slice name = {"x-forwarded-proto", 17};
  struct ws_slice list, entry;
  enum ws_scheme scheme = WS_SCHEME_UNKNOWN;
  size_t n = 0, at = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (uint32_t i = 0; i < h->n_fields; i++) {
      if (!is_field(bytes, &h->fields[i], name)) continue;
      list = ws_http_value(bytes, &h->fields[i]);
      while (next_entry(&list, &entry)) {
        if (pass == 0)
          n++;
        else if (at++ == (n > from_right ? n - from_right - 1 : 0))
          scheme = parse_scheme(entry);
      }
    }
  }
  return scheme;
}

static struct ws_forwarded read_x(const struct ws_http *h, const char *bytes,
                                  const struct ws_trusted *trusted) {
  struct ws_forwarded f = {.scheme = WS_SCHEME_UNKNOWN};
  struct ws_slice list, entry;
  size_t behind = 0; /* entries behind the client's */
  for (uint32_t i = 0; i < h->n_fields; i++) {
    if (!is_field(bytes, &h->fields[i], WS_SLICE("x-forwarded-for"))) continue;
    list = ws_http_value(bytes, &h->fields[i]);
    while (next_entry(&list, &entry)) {
      struct ws_ip ip;
      bool is_node = parse_node(entry, &ip);
      behind = take_entry(&f, trusted, is_node ? &ip : NULL) ? behind + 1 : 0;
    }
  }
  f.scheme = (uint8_t)scheme_at(h, bytes, behind);
  return f;
}

/* ---- Forwarded ---- */

/* Takes the next name=value out of an element; a value in quotes is unquoted
 * into `room`. 1, 0 at the end, -1: malformed. */
static int next_pair(struct ws_slice *s, struct ws_slice *name,
                     struct ws_slice *value, char room[NODE_MAX]) {
  *s = trim(*s);
  if (s->n == 0) return 0;
  const char *equals = memchr(s->p, '=', s->n), *end = s->p + s->n;
  if (!equals) return -1;
  *name = (struct ws_slice){s->p, (size_t)(equals - s->p)};
  const char *at = equals + 1;
  size_t n = 0;
  if (at < end && *at == '"') {
    for (at++; at < end && *at != '"'; at++) {
      if (*at == '\\' && ++at == end) return -1;
      if (n < NODE_MAX) room[n] = *at;
      n++;
    }
    if (at++ == end) return -1;
    *value = (struct ws_slice){room, n < NODE_MAX ? n : 0}; /* no address */
  } else {
    while (at < end && *at != ';' && !ws_is_blank(*at)) at++;
    *value = (struct ws_slice){equals + 1, (size_t)(at - equals - 1)};
    if (!ws_http_is_token(*value)) return -1;
  }
  *s = trim((struct ws_slice){at, (size_t)(end - at)});
  if (s->n && *s->p != ';') return -1;
  if (s->n) *s = skip(*s, 1);
  return ws_http_is_token(*name) ? 1 : -1;
}

/* for= and proto=, each once at most (4). False: no address to go on with. */
static bool parse_element(struct ws_slice s, struct ws_ip *ip,
                          enum ws_scheme *scheme) {
  struct ws_slice name, value;
  char room[NODE_MAX];
  bool has_node = false, is_node = false;
  int r;
  *scheme = WS_SCHEME_UNKNOWN;
  while ((r = next_pair(&s, &name, &value, room)) > 0) {
    if (ws_slice_equal_nocase(name, WS_SLICE("for"))) {
      if (has_node) return false;
      has_node = true;
      is_node = parse_node(value, ip);
    } else if (ws_slice_equal_nocase(name, WS_SLICE("proto"))) {
      if (*scheme != WS_SCHEME_UNKNOWN) return false;
      *scheme = parse_scheme(value);
    }
  }
  return r == 0 && is_node;
}

static struct ws_forwarded read_standard(const struct ws_http *h,
                                         const char *bytes,
                                         const struct ws_trusted *trusted) {
  struct ws_forwarded f = {.scheme = WS_SCHEME_UNKNOWN};
  struct ws_slice list, element;
  for (uint32_t i = 0; i < h->n_fields; i++) {
    if (!is_field(bytes, &h->fields[i], WS_SLICE("forwarded"))) continue;
    list = ws_http_value(bytes, &h->fields[i]);
    while (next_entry(&list, &element)) {
      struct ws_ip ip;
      enum ws_scheme scheme;
      bool is_node = parse_element(element, &ip, &scheme);
      if (take_entry(&f, trusted, is_node ? &ip : NULL)) continue;
      f.scheme = (uint8_t)(is_node ? scheme : WS_SCHEME_UNKNOWN);
    }
  }
  return f;
}

struct ws_forwarded ws_forwarded_read(const struct ws_http *h,
                                      const char *bytes,
                                      const struct ws_trusted *trusted) {
  if (has_field(h, bytes, WS_SLICE("x-forwarded-for")) ||
      has_field(h, bytes, WS_SLICE("x-forwarded-proto")))
    return read_x(h, bytes, trusted);
  return read_standard(h, bytes, trusted);
}
