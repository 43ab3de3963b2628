/* url.c: taking WebSocket URLs apart. */
#include "protocol/url.h"

#include <stdint.h>

#include "protocol/origin.h"

#define ZONE_MAX 128 /* bytes, with its mark */

/* Cuts *rest off the text, from the first byte that is one of `stops`. */
static struct ws_slice cut_at(struct ws_slice text, const char *stops,
                              struct ws_slice *rest) {
  size_t i = 0;
  while (i < text.n && !strchr(stops, text.p[i])) i++;
  *rest = (struct ws_slice){text.p + i, text.n - i};
  return (struct ws_slice){text.p, i};
}

/* 3: no fragment; and nothing that would break the request line. */
static const char *check_bytes(struct ws_slice text) {
  for (size_t i = 0; i < text.n; i++) {
    unsigned char b = (unsigned char)text.p[i];
    if (b == '#') return "a fragment is not allowed";
    if (b <= 0x20 || b == 0x7F) return "a space or control character";
  }
  return NULL;
}

static bool is_ascii(struct ws_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] >= 0x80) return false;
  return true;
}

/* The path of the socket is the system's: any of its bytes may be above 127. */
static const char *parse_unix(struct ws_slice text, struct ws_url *url) {
  struct ws_slice rest;
  url->socket = cut_at(text, ":", &rest);
  if (url->socket.n == 0) return "the path of the socket is missing";
  if (rest.n) {
    rest.p++;
    rest.n--;
  }
  url->target = rest;
  url->host = url->authority = WS_SLICE("localhost");
  url->port = 0;
  return NULL;
}

/* "%25eth0" in front of the bracket that ends an address; n 0: none. */
static struct ws_slice find_zone(struct ws_slice authority) {
  const char *end = authority.p + authority.n;
  const char *mark = memchr(authority.p, '%', authority.n);
  const char *close = mark ? memchr(mark, ']', (size_t)(end - mark)) : NULL;
  if (!close || authority.p[0] != '[') return (struct ws_slice){end, 0};
  return (struct ws_slice){mark, (size_t)(close - mark)};
}

/* RFC 6874 2: one character at least; those that would have to be escaped are
 * in no interface's name. */
static bool is_zone(struct ws_slice s) {
  if (s.n < 4 || s.n > ZONE_MAX || memcmp(s.p, "%25", 3) != 0) return false;
  for (size_t i = 3; i < s.n; i++) {
    char c = ws_lower(s.p[i]);
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
        !memchr("-._~", c, 4))
      return false;
  }
  return true;
}

size_t ws_url_write_host(const struct ws_url *url, char out[WS_URL_HOST_MAX]) {
  struct ws_slice a = url->authority, zone = find_zone(a);
  size_t before = (size_t)(zone.p - a.p), after = a.n - before - zone.n;
  memcpy(out, a.p, before);
  if (after) memcpy(out + before, zone.p + zone.n, after);
  return before + after;
}

/* Judges host[:port] without its zone. */
static bool parse_authority(struct ws_url *url, size_t zone_len, long *port) {
  char text[WS_URL_HOST_MAX];
  struct ws_slice host = {text, 0};
  if (url->authority.n - zone_len > sizeof text) return false;
  host.n = ws_url_write_host(url, text);
  if (!ws_origin_parse_host(host, &url->host, port)) return false;
  /* what was found in the copy stands in the original */
  url->host.p = url->authority.p + (url->host.p - text);
  return true;
}

/* Is it malformed because of a port of too many or too large digits? */
static bool has_high_port(struct ws_slice authority) {
  struct ws_slice name;
  long port;
  size_t n = authority.n;
  while (n && authority.p[n - 1] >= '0' && authority.p[n - 1] <= '9') n--;
  if (n < 2 || n == authority.n || authority.p[n - 1] != ':') return false;
  authority.n = n - 1;
  return ws_origin_parse_host(authority, &name, &port) && port < 0;
}

/* host[:port], and what follows. */
static const char *parse_inet(struct ws_slice text, struct ws_url *url) {
  long port;
  url->authority = cut_at(text, "/?", &url->target);
  /* 3 has none; who gives it expects it to be used, or not to be sent on */
  if (memchr(url->authority.p, '@', url->authority.n))
    return "user info before the host: give headers = "
           "{ authorization = ... }";
  if (!is_ascii(url->authority))
    return "the host is not in its ASCII form (punycode)";
  struct ws_slice zone = find_zone(url->authority);
  if (zone.n && !is_zone(zone))
    return "the zone is not written as in [fe80::1%25eth0]";
  if (!parse_authority(url, zone.n, &port))
    return has_high_port(url->authority) ? "the port is above 65535"
                                         : "the host is malformed";
  if (zone.n) url->zone = (struct ws_slice){zone.p + 3, zone.n - 3};
  if (port == 0) return "the port is 0";
  if (port > 0) url->port = (int)port;
  /* RFC 3986 3.2.3: a colon without a port is left out */
  if (url->authority.p[url->authority.n - 1] == ':') url->authority.n--;
  return NULL;
}

static const char *parse(struct ws_slice text, struct ws_url *url) {
  const char *why = check_bytes(text);
  if (why) return why;
  if (ws_slice_cut_prefix(&text, "ws+unix:")) {
    if (text.n >= 2 && text.p[0] == '/' && text.p[1] == '/') {
      text.p += 2;
      text.n -= 2;
    }
    why = parse_unix(text, url);
  } else if (ws_slice_cut_prefix(&text, "wss://")) {
    url->is_secure = true;
    url->port = 443;
    why = parse_inet(text, url);
  } else if (ws_slice_cut_prefix(&text, "ws://")) {
    why = parse_inet(text, url);
  } else {
    why = WS_URL_NO_SCHEME;
  }
  if (!why && !is_ascii(url->target))
    why = "a character that must be percent-encoded";
  return why;
}

bool ws_url_parse(struct ws_slice text, struct ws_url *url, const char **why) {
  *url = (struct ws_url){.port = 80};
  *why = parse(text, url);
  return !*why;
}
