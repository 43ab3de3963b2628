/* head.c: RFC 9112 2 to 5 read off the page, for whole heads. */
#include "kit/head.h"

#include <stdio.h>
#include <strings.h>

#include "kit/fuzz.h"

static const char *const known[WS_HTTP_IDS] = {
  [WS_HTTP_CONNECTION] = "Connection",
  [WS_HTTP_CONTENT_LENGTH] = "Content-Length",
  [WS_HTTP_EXPECT] = "Expect",
  [WS_HTTP_HOST] = "Host",
  [WS_HTTP_ORIGIN] = "Origin",
  [WS_HTTP_SEC_WEBSOCKET_ACCEPT] = "Sec-WebSocket-Accept",
  [WS_HTTP_SEC_WEBSOCKET_EXTENSIONS] = "Sec-WebSocket-Extensions",
  [WS_HTTP_SEC_WEBSOCKET_KEY] = "Sec-WebSocket-Key",
  [WS_HTTP_SEC_WEBSOCKET_PROTOCOL] = "Sec-WebSocket-Protocol",
  [WS_HTTP_SEC_WEBSOCKET_VERSION] = "Sec-WebSocket-Version",
  [WS_HTTP_TRANSFER_ENCODING] = "Transfer-Encoding",
  [WS_HTTP_UPGRADE] = "Upgrade",
};

static bool is_name(struct ws_slice s, const char *name) {
  return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

static bool is_tchar(char c) {
  return c != 0 && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                          c) != NULL;
}

/* field-value and reason-phrase: no control byte but HTAB. */
static bool is_text(struct ws_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if (((uint8_t)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7F)
      return false;
  return true;
}

static struct ws_slice skip(struct ws_slice s, size_t n) {
  return (struct ws_slice){s.p + n, s.n - n};
}

/* WS_OK, or what is wrong with "HTTP/1.1". */
static int version(struct ws_slice s) {
  if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.' ||
      s.p[5] < '0' || s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
    return WS_ERR_BAD_REQUEST;
  return s.p[5] == '1' && s.p[7] <= '1' ? WS_OK : WS_ERR_VERSION;
}

static int request_line(struct ws_slice s) {
  size_t i = 0, target;
  while (i < s.n && is_tchar(s.p[i])) i++;
  if (i == 0 || i == s.n || s.p[i] != ' ') return WS_ERR_BAD_REQUEST;
  target = ++i;
  while (i < s.n && (uint8_t)s.p[i] > ' ' && s.p[i] != 0x7F) i++;
  if (i == target || i == s.n || s.p[i] != ' ') return WS_ERR_BAD_REQUEST;
  return version(skip(s, i + 1));
}

static int status_line(struct ws_slice s) {
  if (s.n < 12 || s.p[8] != ' ') return WS_ERR_BAD_REQUEST;
  if (s.p[9] < '1' || s.p[9] > '9') return WS_ERR_BAD_REQUEST;
  for (size_t i = 10; i < 12; i++)
    if (s.p[i] < '0' || s.p[i] > '9') return WS_ERR_BAD_REQUEST;
  if (s.n > 12 && (s.p[12] != ' ' || !is_text(skip(s, 13))))
    return WS_ERR_BAD_REQUEST;
  return version((struct ws_slice){s.p, 8});
}

/* How long is the name that a field line begins with? */
static size_t name_len(struct ws_slice s) {
  size_t i = 0;
  while (i < s.n && is_tchar(s.p[i])) i++;
  return i;
}

static int field(struct ws_slice s) {
  size_t i = name_len(s);
  if (i == 0 || i == s.n || s.p[i] != ':' || !is_text(skip(s, i)))
    return WS_ERR_BAD_REQUEST;
  return WS_OK;
}

/* What a field line says is what *f says. */
static void check_field(const struct ws_http_field *f, const char *bytes,
                        struct ws_slice s) {
  size_t i = name_len(s);
  struct ws_slice name = {s.p, i}, value = skip(s, i + 1);
  while (value.n > 0 && strchr(" \t", value.p[0])) value = skip(value, 1);
  while (value.n > 0 && strchr(" \t", value.p[value.n - 1])) value.n--;
  FUZZ_CHECK(bytes + f->name == name.p && f->name_len == name.n);
  FUZZ_CHECK(f->value_len == value.n);
  FUZZ_CHECK(value.n == 0 || bytes + f->value == value.p);
  FUZZ_CHECK((size_t)(bytes + f->value - s.p) <= s.n);
  for (int id = 1; id < WS_HTTP_IDS; id++)
    FUZZ_CHECK(is_name(name, known[id]) == (f->id == id));
}

/* A line is too long as soon as a byte lies beyond the limit that is not the
 * CR of its end. */
static bool is_over(struct ws_slice line, size_t max, bool has_end) {
  size_t len = line.n;
  if (has_end && len > 0 && line.p[len - 1] == '\r') len--;
  if (!has_end && len == max + 1 && line.p[max] == '\r') len--;
  return len > max;
}

enum { FIELD = 1, FOLD = 2 };

/* Reads the line at *at, of which the LF may be missing. FIELD or FOLD: go on.
 * head: where the field lines start, 0 for the line before them. */
static int line(const struct ws_http *h, struct ws_slice all, size_t *at,
                uint32_t n, size_t head, bool is_response) {
  const char *lf = memchr(all.p + *at, '\n', all.n - *at);
  size_t end = lf ? (size_t)(lf - all.p) : all.n;
  struct ws_slice s = {all.p + *at, end - *at};
  bool is_start = head == 0;
  bool is_empty = !is_start && (s.n == 0 || (s.n == 1 && *s.p == '\r'));
  bool is_fold =
    is_response && !is_start && s.n > 0 && strchr(" \t", *s.p) && *s.p != 0;
  if (is_start && is_over(s, h->max_line, lf)) return WS_ERR_URI_TOO_LONG;
  if (!is_start && !is_empty &&
      ((n == h->max_fields && !is_fold) ||
       end + (lf != NULL) - head > h->max_head ||
       is_over(s, h->max_field_line, lf)))
    return WS_ERR_HEADERS_TOO_BIG;
  if (!lf) return 0;
  *at = end + 1;
  if (s.n == 0 || s.p[--s.n] != '\r') return WS_ERR_BAD_REQUEST;
  if (is_empty) return (int)*at;
  if (is_fold) return n > 0 && is_text(s) ? FOLD : WS_ERR_BAD_REQUEST;
  int err =
    is_start ? (is_response ? status_line(s) : request_line(s)) : field(s);
  return err ? err : FIELD;
}

/* Of a whole head whose fields start at `at`: RFC 9112 5.2, then each line. */
static void check_fields(const struct ws_http *h, struct ws_slice bytes,
                         size_t at, const char *read, bool is_response) {
  static char text[FUZZ_MAX];
  memcpy(text, bytes.p, bytes.n);
  for (size_t i = at; is_response && i + 2 < bytes.n; i++)
    if (memcmp(text + i, "\r\n ", 3) == 0 || memcmp(text + i, "\r\n\t", 3) == 0)
      memset(text + i, ' ', 2);
  FUZZ_CHECK(memcmp(text, read, bytes.n) == 0);
  for (uint32_t i = 0; i < h->n_fields; i++) {
    const char *lf = memchr(text + at, '\n', bytes.n - at);
    FUZZ_CHECK(lf != NULL);
    size_t end = (size_t)(lf - text);
    check_field(&h->fields[i], text,
                (struct ws_slice){text + at, end - 1 - at});
    at = end + 1;
  }
  FUZZ_CHECK(bytes.n == at + 2);
}

void head_check(const struct ws_http *h, int result, struct ws_slice bytes,
                const char *read, bool is_response) {
  size_t at = 0, head = 0;
  uint32_t n = 0;
  for (int i = 0; i < 4 && !is_response; i++)
    if (bytes.n >= at + 2 && memcmp(bytes.p + at, "\r\n", 2) == 0) at += 2;
  int want = at < bytes.n ? line(h, bytes, &at, 0, 0, is_response) : 0;
  head = at;
  while (want == FIELD || want == FOLD) {
    want = at < bytes.n ? line(h, bytes, &at, n, head, is_response) : 0;
    if (want == FIELD) n++;
  }
  FUZZ_CHECK(result == want);
  if (want <= 0) return;
  FUZZ_CHECK(n == h->n_fields);
  bytes.n = (size_t)want;
  check_fields(h, bytes, head, read, is_response);
}

size_t head_count(const struct ws_http *h, struct ws_slice bytes,
                  const char *name) {
  size_t count = 0;
  for (uint32_t i = 0; i < h->n_fields; i++)
    count += is_name(ws_http_name(bytes.p, &h->fields[i]), name);
  return count;
}
