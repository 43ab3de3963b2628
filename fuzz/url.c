/* url: a URL that is taken has its parts in its own bytes, they make it up
 * again, and they cannot break the head of a request. The same of a proxy's,
 * which no_proxy spares where it names its host. */
#include "kit/fuzz.h"

#include "protocol/http.h"
#include "protocol/origin.h"
#include "protocol/tunnel.h"
#include "protocol/url.h"

static bool is_inside(struct ws_slice whole, struct ws_slice part) {
  return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void check_inet(struct ws_slice text, const struct ws_url *url) {
  const char *scheme = url->is_secure ? "wss://" : "ws://";
  size_t n = strlen(scheme);
  struct ws_slice start = {text.p, n}, name;
  long port;
  FUZZ_CHECK(ws_slice_equal_nocase(start, (struct ws_slice){scheme, n}));
  FUZZ_CHECK(url->authority.p == text.p + n);
  const char *end = url->authority.p + url->authority.n;
  FUZZ_CHECK(end[-1] != ':');
  FUZZ_CHECK(url->target.p == end + (url->target.p > end && *end == ':'));
  FUZZ_CHECK(url->target.p + url->target.n == text.p + text.n);
  FUZZ_CHECK(url->target.n == 0 || strchr("/?", url->target.p[0]));
  char text_of_host[WS_URL_HOST_MAX];
  struct ws_slice host = {text_of_host, ws_url_write_host(url, text_of_host)};
  FUZZ_CHECK(is_inside(url->authority, url->host) && url->host.n > 0);
  FUZZ_CHECK(ws_origin_parse_host(host, &name, &port));
  FUZZ_CHECK(ws_slice_equal(name, url->host));
  FUZZ_CHECK(host.n == url->authority.n - (url->zone.n ? url->zone.n + 3 : 0));
  if (url->zone.n)
    FUZZ_CHECK(is_inside(url->authority, url->zone) && host.p[0] == '[' &&
               url->zone.p == url->host.p + url->host.n + 3);
  FUZZ_CHECK(url->port == (port > 0 ? port : url->is_secure ? 443 : 80));
  FUZZ_CHECK(url->port > 0 && url->port <= 65535);
}

static void check_request(const struct ws_proxy_url *url,
                          struct ws_slice login) {
  struct ws_buf out = {0};
  FUZZ_CHECK(ws_tunnel_write_request(&out, url->host, url->port, login));
  const char *bytes = (char *)ws_buf_begin(&out);
  size_t lines = 0;
  for (size_t i = 0; i + 1 < out.len; i++)
    if (bytes[i] == '\r' && bytes[i + 1] == '\n') lines++;
  FUZZ_CHECK(lines == (login.n ? 4 : 3));
  FUZZ_CHECK(!memchr(bytes, 0, out.len));
  ws_buf_free(&out);
}

static void check_proxy(struct ws_slice text) {
  struct ws_proxy_url url;
  char login[WS_TUNNEL_LOGIN_MAX];
  const char *why = NULL;
  ws_tunnel_is_spared(text, WS_SLICE("a.test"), 80);
  ws_tunnel_is_spared(text, WS_SLICE("10.0.0.1"), 80);
  bool is_url = ws_proxy_url_parse(text, &url, &why);
  if (!is_url) FUZZ_CHECK(why != NULL);
  if (!is_url) return;
  FUZZ_CHECK(url.host.n > 0 && is_inside(text, url.host));
  FUZZ_CHECK(url.port > 0 && url.port <= 65535);
  FUZZ_CHECK(ws_tunnel_is_spared(url.host, url.host, url.port));
  FUZZ_CHECK(!url.has_user || is_inside(text, url.user));
  FUZZ_CHECK(!url.has_user || is_inside(text, url.password));
  why = NULL;
  int n = ws_proxy_url_login(&url, login, &why);
  FUZZ_CHECK(n >= 0 ? n < WS_TUNNEL_LOGIN_MAX : why != NULL);
  FUZZ_CHECK(n < 0 || url.has_user == (n > 0));
  if (n >= 0) check_request(&url, (struct ws_slice){login, (size_t)n});
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  struct ws_url url;
  const char *why;
  if (n > FUZZ_MAX) return 0;
  struct ws_slice text = {(char *)fuzz_fenced(&fence, bytes, n), n};
  check_proxy(text);
  bool is_url = ws_url_parse(text, &url, &why);
  if (!is_url) FUZZ_CHECK(why != NULL);
  if (!is_url) return 0;
  FUZZ_CHECK(ws_http_is_value(text) && !memchr(text.p, ' ', n));
  FUZZ_CHECK(!memchr(text.p, '#', n) && !memchr(text.p, 0, n));
  FUZZ_CHECK(url.authority.n > 0 && is_inside(text, url.target));
  for (size_t i = 0; i < url.target.n; i++)
    FUZZ_CHECK((unsigned char)url.target.p[i] < 0x80);
  if (!url.socket.p)
    check_inet(text, &url);
  else
    FUZZ_CHECK(url.socket.n > 0 && is_inside(text, url.socket));
  return 0;
}
