/* origin.c: which web pages may connect (RFC 6455 4.2.2, 10.2; RFC 6454).
 *
 * Everything here is strict in one direction: what is not understood to the
 * last byte matches nothing. What takes apart a text returns NULL, or what is
 * wrong with it: only the author of a pattern is ever told. */
#include "protocol/origin.h"

#include <arpa/inet.h>
#include <string.h>

#define HOST_MAX 255

/* A host to look for: a whole name, or the end of longer ones. */
struct host {
  struct ws_slice name; /* an IPv6 address without its brackets */
  long port;            /* -1: none */
  bool is_wild;         /* "*." stood in front of the name */
};

struct origin {
  struct ws_slice scheme;
  struct host host; /* its port by default that of the scheme */
};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_alpha(char c) {
  return ws_lower(c) >= 'a' && ws_lower(c) <= 'z';
}

/* What is left of s behind its first n bytes. */
static struct ws_slice skip(struct ws_slice s, size_t n) {
  return (struct ws_slice){s.p + n, s.n - n};
}

static bool has_prefix(struct ws_slice s, struct ws_slice prefix) {
  return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

static bool has_byte_of(struct ws_slice s, const char *set) {
  for (; *set != '\0'; set++)
    if (memchr(s.p, *set, s.n) != NULL) return true;
  return false;
}

static bool is_ascii(struct ws_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] >= 0x80) return false;
  return true;
}

/* Letters, digits, "-" and "_" in labels that are not empty; one dot may end
 * the name. Narrower than RFC 3986 3.2.2: with no percent signs, two
 * spellings of a name can only differ in case. */
static bool is_name(struct ws_slice s) {
  bool was_dot = true; /* so a name cannot start with one */
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '.' && was_dot) return false;
    was_dot = c == '.';
    if (!was_dot && !is_alpha(c) && !is_digit(c) && c != '-' && c != '_')
      return false;
  }
  return s.n > 0;
}

static bool is_ipv6(struct ws_slice s) {
  char text[INET6_ADDRSTRLEN];
  struct in6_addr address;
  /* inet_pton would take what stands before a NUL for the whole. */
  if (s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL) return false;
  memcpy(text, s.p, s.n);
  text[s.n] = '\0';
  return inet_pton(AF_INET6, text, &address) == 1;
}

/* What follows a name: nothing, or ":" and a port of up to 5 digits. One of
 * none is as if there were no colon (RFC 3986 3.2.3). */
static bool parse_port(struct ws_slice s, long *port) {
  *port = -1;
  if (s.n == 0 || (s.n == 1 && s.p[0] == ':')) return true;
  if (s.p[0] != ':' || s.n > 6) return false;
  long v = 0;
  for (size_t i = 1; i < s.n; i++) {
    if (!is_digit(s.p[i])) return false;
    v = v * 10 + (s.p[i] - '0');
  }
  *port = v;
  return v <= 65535;
}

/* uri-host [":" port], RFC 9110 7.2; the name as it stands there. */
static const char *split_host(struct ws_slice s, struct host *h) {
  if (s.n == 0) return "no host";
  if (s.n > HOST_MAX) return "a host that is too long";
  h->is_wild = false;
  size_t used;
  if (s.p[0] == '[') {
    const char *end = memchr(s.p, ']', s.n);
    if (end == NULL) return "a bad host";
    used = (size_t)(end - s.p) + 1;
    h->name = (struct ws_slice){s.p + 1, used - 2};
    if (!is_ipv6(h->name)) return "a bad host";
  } else {
    const char *end = memchr(s.p, ':', s.n);
    used = end != NULL ? (size_t)(end - s.p) : s.n;
    h->name = (struct ws_slice){s.p, used};
    if (!is_name(h->name)) return "a bad host";
  }
  return parse_port(skip(s, used), &h->port) ? NULL : "a bad port";
}

/* The same, to be compared: the dot that ends a name stands for the root and
 * may be left out (RFC 1034 3.1). */
static const char *parse_host(struct ws_slice s, struct host *h) {
  const char *why = split_host(s, h);
  if (why == NULL && h->name.p[h->name.n - 1] == '.') h->name.n--;
  return why;
}

/* The same, or "*." in front of a name. */
static const char *parse_host_pattern(struct ws_slice s, struct host *h) {
  bool is_wild = has_prefix(s, WS_SLICE("*."));
  if (is_wild) s = skip(s, 2);
  const char *why = parse_host(s, h);
  if (why != NULL) return why;
  if (is_wild && s.p[0] == '[') return "a wildcard before an address";
  h->is_wild = is_wild;
  return NULL;
}

/* The scheme in front of "://" (RFC 3986 3.1), of no bytes without one. */
static struct ws_slice find_scheme(struct ws_slice s) {
  size_t n = 0;
  while (n < s.n &&
         (is_alpha(s.p[n]) ||
          (n > 0 && (is_digit(s.p[n]) || memchr("+-.", s.p[n], 3) != NULL))))
    n++;
  if (n == s.n || !has_prefix(skip(s, n), WS_SLICE("://"))) n = 0;
  return (struct ws_slice){s.p, n};
}

static long default_port(struct ws_slice scheme) {
  if (ws_slice_equal_nocase(scheme, WS_SLICE("http")) ||
      ws_slice_equal_nocase(scheme, WS_SLICE("ws")))
    return 80;
  if (ws_slice_equal_nocase(scheme, WS_SLICE("https")) ||
      ws_slice_equal_nocase(scheme, WS_SLICE("wss")))
    return 443;
  return -1;
}

/* RFC 6454 6.2: a serialised origin writes its port as a number. */
static bool has_leading_zero(struct ws_slice authority, long port) {
  if (port < 0) return false;
  size_t digits = 1;
  for (long v = port; v >= 10; v /= 10) digits++;
  return authority.p[authority.n - digits - 1] != ':';
}

/* What browsers send for pages that have no host: of sandboxed frames and
 * data: URLs (RFC 6454 7.1), and of files. Only a pattern that says the same
 * means them. */
static bool is_hostless(struct ws_slice s) {
  return ws_slice_equal(s, WS_SLICE("null")) ||
         ws_slice_equal_nocase(s, WS_SLICE("file://"));
}

static const char *parse_origin(struct ws_slice s, bool is_pattern,
                                struct origin *o) {
  o->scheme = find_scheme(s);
  if (o->scheme.n == 0) return "no scheme";
  struct ws_slice authority = skip(s, o->scheme.n + 3);
  const char *why = is_pattern ? parse_host_pattern(authority, &o->host)
                               : parse_host(authority, &o->host);
  if (why != NULL) return why;
  if (has_leading_zero(authority, o->host.port)) return "a bad port";
  if (o->host.port < 0) o->host.port = default_port(o->scheme);
  return NULL;
}

/* "." in front of the rest has to be there too, and since no label is empty,
 * another one before it. */
static bool is_name_matched(struct ws_slice name, const struct host *pattern) {
  struct ws_slice want = pattern->name;
  if (!pattern->is_wild) return ws_slice_equal_nocase(name, want);
  if (name.n < want.n + 2) return false;
  struct ws_slice end = skip(name, name.n - want.n);
  return end.p[-1] == '.' && ws_slice_equal_nocase(end, want);
}

/* What the author of a pattern may have meant, where that can be told; else
 * `why` it is none. s: from the host on. */
static const char *explain(struct ws_slice s, const char *why) {
  bool is_wild = has_prefix(s, WS_SLICE("*."));
  if (has_byte_of(s, "/?#\\")) return "a path after the host";
  if (has_byte_of(s, "@")) return "user info before the host";
  if (has_byte_of(skip(s, is_wild ? 2 : 0), "*"))
    return "a wildcard other than \"*.\" in front of the host";
  if (!is_ascii(s)) return "a host that is not in its ASCII form (punycode)";
  return why;
}

bool ws_origin_is_pattern(struct ws_slice pattern, const char **why) {
  struct origin o;
  *why = NULL;
  if (is_hostless(pattern)) return true;
  *why = parse_origin(pattern, true, &o);
  if (*why != NULL && o.scheme.n > 0)
    *why = explain(skip(pattern, o.scheme.n + 3), *why);
  return *why == NULL;
}

bool ws_origin_is_host_pattern(struct ws_slice entry, const char **why) {
  struct host h;
  *why = parse_host_pattern(entry, &h);
  if (*why != NULL && find_scheme(entry).n > 0)
    *why = "a scheme before the host";
  else if (*why != NULL)
    *why = explain(entry, *why);
  return *why == NULL;
}

bool ws_origin_matches(struct ws_slice origin, struct ws_slice pattern) {
  struct origin o, p;
  if (is_hostless(pattern) && is_hostless(origin))
    return ws_slice_equal_nocase(origin, pattern);
  if (parse_origin(origin, false, &o) != NULL) return false;
  if (parse_origin(pattern, true, &p) != NULL) return false;
  return o.host.port == p.host.port &&
         ws_slice_equal_nocase(o.scheme, p.scheme) &&
         is_name_matched(o.host.name, &p.host);
}

bool ws_origin_is_same(struct ws_slice origin, struct ws_slice host,
                       bool secure) {
  struct origin o;
  struct host h;
  if (parse_origin(origin, false, &o) != NULL) return false;
  if (!ws_slice_equal_nocase(o.scheme, WS_SLICE("http")) &&
      !ws_slice_equal_nocase(o.scheme, WS_SLICE("https")))
    return false;
  if (parse_host(host, &h) != NULL) return false;
  if (h.port < 0) h.port = secure ? 443 : 80;
  return o.host.port == h.port && ws_slice_equal_nocase(o.host.name, h.name);
}

bool ws_origin_parse_host(struct ws_slice host, struct ws_slice *name,
                          long *port) {
  struct host h;
  if (split_host(host, &h) != NULL) return false;
  *name = h.name;
  *port = h.port;
  return true;
}

bool ws_origin_is_same_host(struct ws_slice a, struct ws_slice b, long port) {
  struct host x, y;
  if (parse_host(a, &x) != NULL || parse_host(b, &y) != NULL) return false;
  if (x.port < 0) x.port = port;
  if (y.port < 0) y.port = port;
  return x.port == y.port && ws_slice_equal_nocase(x.name, y.name);
}

bool ws_origin_host_matches(struct ws_slice host, struct ws_slice entry) {
  struct host h, e;
  if (parse_host(host, &h) != NULL) return false;
  if (parse_host_pattern(entry, &e) != NULL) return false;
  if (e.port >= 0 && e.port != h.port) return false;
  return is_name_matched(h.name, &e);
}
