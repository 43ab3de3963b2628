/* tunnel.c: the words of a client to an HTTP proxy. */
#include "protocol/tunnel.h"

#include <assert.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "protocol/http.h"
#include "protocol/ip.h"
#include "protocol/origin.h"

#define TARGET_MAX 280 /* "[", a host, "]:65535" */

/* ---- its URL ---- */

static bool starts_with(struct ws_slice text, const char *scheme) {
  size_t n = strlen(scheme);
  return text.n >= n && ws_slice_equal_nocase((struct ws_slice){text.p, n},
                                              (struct ws_slice){scheme, n});
}

static const char *take_scheme(struct ws_slice *text, bool *is_secure) {
  *is_secure = starts_with(*text, "https://");
  if (*is_secure || starts_with(*text, "http://")) {
    size_t n = *is_secure ? 8 : 7;
    text->p += n;
    text->n -= n;
    return NULL;
  }
  for (size_t i = 0; i + 2 < text->n; i++)
    if (memcmp(text->p + i, "://", 3) == 0)
      return "only HTTP proxies are supported: http://host:port expected";
  return NULL;
}

/* user:password@, where the last @ ends it. */
static void take_user(struct ws_slice *text, struct ws_proxy_url *url) {
  size_t at = text->n;
  while (at > 0 && text->p[at - 1] != '@') at--;
  if (at == 0) return;
  struct ws_slice all = {text->p, at - 1};
  const char *colon = all.n ? memchr(all.p, ':', all.n) : NULL;
  size_t user = colon ? (size_t)(colon - all.p) : all.n;
  size_t behind = colon ? user + 1 : user;
  url->has_user = true;
  url->user = (struct ws_slice){all.p, user};
  url->password = (struct ws_slice){all.p + behind, all.n - behind};
  text->p += at;
  text->n -= at;
}

bool ws_proxy_url_parse(struct ws_slice text, struct ws_proxy_url *url,
                        const char **why) {
  long port;
  *url = (struct ws_proxy_url){.port = 80};
  if ((*why = take_scheme(&text, &url->is_secure))) return false;
  if (url->is_secure) url->port = 443;
  if (text.n && text.p[text.n - 1] == '/') text.n--;
  take_user(&text, url);
  *why = "http://host:port expected";
  if (!text.n || !ws_origin_parse_host(text, &url->host, &port)) return false;
  if (port == 0) *why = "the port is 0";
  if (port > 0) url->port = (int)port;
  return port != 0;
}

/* Appends s decoded to out[*n, cap). */
static const char *decode(struct ws_slice s, char *out, size_t *n, size_t cap) {
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '%') {
      int byte = ws_slice_escape(s, i);
      if (byte < 0) return "a malformed %-escape in user or password";
      c = (unsigned char)byte;
      i += 2;
    }
    if (c < 0x20 || c == 0x7F) return "a control byte in user or password";
    if (*n == cap) return "user and password are too long";
    out[(*n)++] = (char)c;
  }
  return NULL;
}

int ws_proxy_url_login(const struct ws_proxy_url *url,
                       char out[WS_TUNNEL_LOGIN_MAX], const char **why) {
  char plain[WS_TUNNEL_LOGIN_MAX * 3 / 4 - 16];
  size_t n = 0;
  if (!url->has_user) return 0;
  *why = decode(url->user, plain, &n, sizeof plain);
  /* RFC 7617 2: it would end the user's name */
  if (!*why && memchr(plain, ':', n)) *why = "a colon in the user's name";
  if (!*why) *why = decode(WS_SLICE(":"), plain, &n, sizeof plain);
  if (!*why) *why = decode(url->password, plain, &n, sizeof plain);
  memcpy(out, "Basic ", 6);
  int len = 0;
  if (!*why)
    len =
      EVP_EncodeBlock((unsigned char *)out + 6, (unsigned char *)plain, (int)n);
  OPENSSL_cleanse(plain, sizeof plain);
  return *why ? -1 : 6 + len;
}

/* ---- whom it is not asked for ---- */

static bool is_stop(char c) {
  return c == ',' || c == ' ' || c == '\t';
}

static struct ws_slice next_entry(struct ws_slice *list) {
  while (list->n && is_stop(*list->p)) list->p++, list->n--;
  struct ws_slice entry = {list->p, 0};
  while (list->n && !is_stop(*list->p)) list->p++, list->n--, entry.n++;
  return entry;
}

/* "a.test" holds b.a.test and itself. */
static bool is_below(struct ws_slice name, struct ws_slice host) {
  if (host.n < name.n || !name.n) return false;
  struct ws_slice tail = {host.p + host.n - name.n, name.n};
  if (!ws_slice_equal_nocase(tail, name)) return false;
  return host.n == name.n || tail.p[-1] == '.';
}

static struct ws_slice without_dot(struct ws_slice name) {
  if (name.n > 1 && name.p[name.n - 1] == '.') name.n--;
  return name;
}

static bool holds(struct ws_slice entry, struct ws_slice host, int port) {
  struct ws_ip_range range;
  struct ws_slice name;
  struct ws_ip ip;
  long only = -1;
  if (ws_slice_equal(entry, WS_SLICE("*"))) return true;
  if (ws_ip_parse(host, &ip) && !ws_ip_parse_range(entry, &range))
    return ws_ip_is_in(&ip, &range);
  if (entry.n > 2 && memcmp(entry.p, "*.", 2) == 0) entry.p++, entry.n--;
  if (entry.n && *entry.p == '.') entry.p++, entry.n--;
  if (!entry.n || !ws_origin_parse_host(entry, &name, &only)) return false;
  if (only >= 0 && only != port) return false;
  if (ws_ip_parse(host, &ip))
    return !ws_ip_parse_range(name, &range) && ws_ip_is_in(&ip, &range);
  return is_below(without_dot(name), without_dot(host));
}

bool ws_tunnel_is_spared(struct ws_slice list, struct ws_slice host, int port) {
  for (;;) {
    struct ws_slice entry = next_entry(&list);
    if (!entry.n) return false;
    if (holds(entry, host, port)) return true;
  }
}

/* ---- what it is asked ---- */

bool ws_tunnel_write_request(struct ws_buf *out, struct ws_slice host, int port,
                             struct ws_slice login) {
  char target[TARGET_MAX], head[3 * TARGET_MAX];
  bool is_ipv6 = memchr(host.p, ':', host.n) != NULL;
  assert(ws_http_is_value(host) && ws_http_is_value(login));
  snprintf(target, sizeof target, "%s%.*s%s:%d", is_ipv6 ? "[" : "",
           (int)(host.n < 256 ? host.n : 256), host.p, is_ipv6 ? "]" : "",
           port);
  int n = snprintf(head, sizeof head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n",
                   target, target);
  bool ok = ws_buf_append(out, head, (size_t)n);
  if (login.n)
    ok = ok && ws_buf_append(out, "Proxy-Authorization: ", 21) &&
         ws_buf_append(out, login.p, login.n) && ws_buf_append(out, "\r\n", 2);
  return ok && ws_buf_append(out, "\r\n", 2);
}
