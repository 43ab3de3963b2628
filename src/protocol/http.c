/* http.c: heads of HTTP/1.1 requests and responses, RFC 9112 2 to 5.
 *
 * A head is read line by line. memchr looks for the end of the line, from
 * where the last call stopped; limits are judged on what is there, and what
 * the line says is looked at once, when it is whole. So the work is linear
 * in the bytes however they arrive, and the verdict is the same for every
 * way of cutting them: in each line limits come before grammar. */
#include "protocol/http.h"

#include <limits.h>

enum { START_LINE, FIELD_LINES, DONE };

#define VERSION_LEN 8 /* of "HTTP/1.1" */
#define SKIPPED_MAX 4 /* empty lines in front of a request */

/* RFC 9110 5.6.2: tchar */
static const bool is_tchar[256] = {
  ['!'] = true,         ['#' ... '\''] = true, ['*'] = true,
  ['+'] = true,         ['-'] = true,          ['.'] = true,
  ['0' ... '9'] = true, ['A' ... 'Z'] = true,  ['^' ... 'z'] = true,
  ['|'] = true,         ['~'] = true};

static inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* How many token bytes p starts with. The caller knows of a byte behind them
 * that is none: every line has its CR. */
static inline size_t token_len(const char *p) {
  size_t n = 0;
  while (is_tchar[(uint8_t)p[n]]) n++;
  return n;
}

/* One vector register of the machine's baseline (SSE2, NEON); the compiler
 * makes do with less where there is none. */
typedef uint8_t block __attribute__((vector_size(16)));

/* All ones in place of each byte at p that lies below `low`, or is DEL. */
static inline block controls(const char *p, uint8_t low) {
  block x;
  memcpy(&x, p, sizeof x);
  return (block)(x < (block){0} + low) | (block)(x == (block){0} + 0x7f);
}

/* Are all bytes at least `low`, and none DEL? */
static inline bool is_clean(const char *p, size_t n, uint8_t low) {
  block found = {0};
  uint64_t half[2];
  if (n < sizeof found) {
    for (size_t i = 0; i < n; i++)
      if ((uint8_t)p[i] < low || p[i] == 0x7f) return false;
    return true;
  }
  for (size_t i = 0; i + sizeof found < n; i += sizeof found)
    found |= controls(p + i, low);
  found |= controls(p + n - sizeof found, low); /* overlaps the last */
  memcpy(half, &found, sizeof half);
  return (half[0] | half[1]) == 0;
}

/* RFC 9110 5.5: field content; HTAB is its only control byte */
static bool is_text(const char *p, size_t n) {
  if (is_clean(p, n, ' ')) return true;
  for (size_t i = 0; i < n; i++)
    if (p[i] != '\t' && ((uint8_t)p[i] < ' ' || p[i] == 0x7f)) return false;
  return true;
}

static inline uint64_t load8(const char *p) {
  uint64_t x;
  memcpy(&x, p, sizeof x);
  return x;
}

static inline uint32_t load4(const char *p) {
  uint32_t x;
  memcpy(&x, p, sizeof x);
  return x;
}

/* Is a token the name `known`, which is in lower case? n, the length of both,
 * is 4 at least; the last word may overlap the one before. Setting bit 5 of a
 * token byte makes it equal to a lower-case letter or "-" only where it is
 * that letter in either case, or "-". */
static inline bool is_name(const char *p, const char *known, size_t n) {
  const uint64_t lower = 0x2020202020202020;
  if (n < 8)
    return ((load4(p) | (uint32_t)lower) ^ load4(known)) == 0 &&
           ((load4(p + n - 4) | (uint32_t)lower) ^ load4(known + n - 4)) == 0;
  for (size_t i = 0; i + 8 < n; i += 8)
    if ((load8(p + i) | lower) != load8(known + i)) return false;
  return (load8(p + n - 8) | lower) == load8(known + n - 8);
}

static inline uint8_t id_if(const char *p, const char *known, size_t n,
                            enum ws_http_id id) {
  return is_name(p, known, n) ? (uint8_t)id : WS_HTTP_OTHER;
}

/* The length of a name leaves one candidate, or two. */
static uint8_t field_id(const char *p, size_t n) {
  switch (n) {
  case 4: return id_if(p, "host", n, WS_HTTP_HOST);
  case 6:
    return id_if(p, "origin", n, WS_HTTP_ORIGIN) |
           id_if(p, "expect", n, WS_HTTP_EXPECT);
  case 7: return id_if(p, "upgrade", n, WS_HTTP_UPGRADE);
  case 10: return id_if(p, "connection", n, WS_HTTP_CONNECTION);
  case 14: return id_if(p, "content-length", n, WS_HTTP_CONTENT_LENGTH);
  case 17:
    return id_if(p, "sec-websocket-key", n, WS_HTTP_SEC_WEBSOCKET_KEY) |
           id_if(p, "transfer-encoding", n, WS_HTTP_TRANSFER_ENCODING);
  case 20:
    return id_if(p, "sec-websocket-accept", n, WS_HTTP_SEC_WEBSOCKET_ACCEPT);
  case 21:
    return id_if(p, "sec-websocket-version", n, WS_HTTP_SEC_WEBSOCKET_VERSION);
  case 22:
    return id_if(p, "sec-websocket-protocol", n,
                 WS_HTTP_SEC_WEBSOCKET_PROTOCOL);
  case 24:
    return id_if(p, "sec-websocket-extensions", n,
                 WS_HTTP_SEC_WEBSOCKET_EXTENSIONS);
  default: return WS_HTTP_OTHER;
  }
}

/* RFC 9112 2.3: HTTP-version, case-sensitive, one digit on each side */
static int take_version(struct ws_http *h, const char *p) {
  if (memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' ||
      !is_digit(p[7]))
    return WS_ERR_BAD_REQUEST;
  if (p[5] != '1' || p[7] > '1') return WS_ERR_VERSION;
  h->minor = (uint8_t)(p[7] - '0');
  return WS_OK;
}

/* RFC 9112 3: method SP request-target SP HTTP-version. The target holds
 * neither whitespace nor control bytes; the rest is the handshake's. */
static int take_request_line(struct ws_http *h, const char *line, size_t len) {
  size_t method = token_len(line), target = method + 1, target_len;
  if (method == 0 || line[method] != ' ' || len < target + 2 + VERSION_LEN)
    return WS_ERR_BAD_REQUEST;
  target_len = len - VERSION_LEN - 1 - target;
  if (line[target + target_len] != ' ' ||
      !is_clean(line + target, target_len, ' ' + 1))
    return WS_ERR_BAD_REQUEST;
  h->method = h->line;
  h->method_len = (uint32_t)method;
  h->target = h->line + (uint32_t)target;
  h->target_len = (uint32_t)target_len;
  return take_version(h, line + target + target_len + 1);
}

/* RFC 9112 4: HTTP-version SP 3DIGIT SP [reason]. Many servers leave out the
 * space together with the reason; nothing can be smuggled by that. */
static int take_status_line(struct ws_http *h, const char *line, size_t len) {
  size_t code = VERSION_LEN + 1, reason = code + 4, status = 0;
  if (len < code + 3 || line[VERSION_LEN] != ' ') return WS_ERR_BAD_REQUEST;
  for (size_t i = code; i < code + 3; i++) {
    if (!is_digit(line[i])) return WS_ERR_BAD_REQUEST;
    status = status * 10 + (size_t)(line[i] - '0');
  }
  if (status < 100) return WS_ERR_BAD_REQUEST;
  if (len < reason) /* no space */
    reason = len;
  else if (line[reason - 1] != ' ')
    return WS_ERR_BAD_REQUEST;
  if (!is_text(line + reason, len - reason)) return WS_ERR_BAD_REQUEST;
  h->status = (uint16_t)status;
  h->reason = h->line + (uint32_t)reason;
  h->reason_len = (uint32_t)(len - reason);
  return take_version(h, line);
}

/* RFC 9112 5: field-name ":" OWS field-value OWS. Whitespace before the colon
 * (5.1) and folding (5.2) fail as bytes that are in no token. */
static int take_field(struct ws_http *h, const char *line, size_t len) {
  struct ws_http_field *f = &h->fields[h->n_fields];
  size_t name_len = token_len(line), value = name_len + 1;
  if (name_len == 0 || line[name_len] != ':') return WS_ERR_BAD_REQUEST;
  if (name_len > UINT16_MAX) return WS_ERR_HEADERS_TOO_BIG;
  if (!is_text(line, len)) return WS_ERR_BAD_REQUEST;
  while (value < len && ws_is_blank(line[value])) value++;
  while (len > value && ws_is_blank(line[len - 1])) len--;
  f->name = h->line;
  f->name_len = (uint16_t)name_len;
  f->value = h->line + (uint32_t)value;
  f->value_len = (uint32_t)(len - value);
  f->id = field_id(line, name_len);
  h->n_fields++;
  return WS_OK;
}

/* RFC 9112 5.2: a line that starts with a blank goes on with the field before
 * it. The line break becomes blanks, so that the value is one again. */
static int take_fold(struct ws_http *h, char *line, size_t len) {
  size_t from = 0;
  if (h->n_fields == 0 || !is_text(line, len)) return WS_ERR_BAD_REQUEST;
  struct ws_http_field *f = &h->fields[h->n_fields - 1];
  memset(line - 2, ' ', 2);
  while (from < len && ws_is_blank(line[from])) from++;
  while (len > from && ws_is_blank(line[len - 1])) len--;
  if (from == len) return WS_OK; /* nothing but blanks */
  if (f->value_len == 0) f->value = h->line + (uint32_t)from;
  f->value_len = h->line + (uint32_t)len - f->value;
  return WS_OK;
}

/* Is a line, of which len bytes without LF are there, longer than max? A CR
 * right behind the limit may be the one that ends the line. */
static bool is_over(const char *line, size_t len, size_t max) {
  return len > max + 1 || (len == max + 1 && line[max] != '\r');
}

/* The limits, for the line of which bytes[h->line, end) are there without LF,
 * bytes[h->line, taken) with it. The empty line at the end is no field, nor is
 * a line that goes on with one. */
static int check_limits(const struct ws_http *h, const char *bytes, size_t end,
                        size_t taken, bool may_fold) {
  const char *line = bytes + h->line;
  size_t len = end - h->line;
  if (h->step == START_LINE)
    return is_over(line, len, h->max_line) ? WS_ERR_URI_TOO_LONG : WS_OK;
  if (len == 0 || (len == 1 && *line == '\r')) return WS_OK;
  bool is_field = !may_fold || !ws_is_blank(*line);
  if ((is_field && h->n_fields == h->max_fields) ||
      taken - h->head > h->max_head || is_over(line, len, h->max_field_line))
    return WS_ERR_HEADERS_TOO_BIG;
  return WS_OK;
}

/* RFC 9112 2.2: an empty line in front of a request is no part of it. Some
 * clients end a body by one that its length does not count. */
static bool is_skipped(struct ws_http *h, size_t len) {
  if (len > 0 || h->skipped == SKIPPED_MAX) return false;
  h->skipped++;
  return true;
}

/* One whole line, without its CR LF; of a response, `response` is it, too. */
static int take_line(struct ws_http *h, const char *line, size_t len,
                     char *response) {
  if (h->step == START_LINE) {
    if (!response && is_skipped(h, len)) return WS_OK;
    int err = response ? take_status_line(h, line, len)
                       : take_request_line(h, line, len);
    if (err) return err;
    h->step = FIELD_LINES;
    h->head = h->line + (uint32_t)len + 2;
    return WS_OK;
  }
  if (len > 0 && response && ws_is_blank(*line))
    return take_fold(h, response, len);
  if (len > 0) return take_field(h, line, len);
  h->step = DONE;
  return WS_OK;
}

/* After an error nothing has moved: to ask again is to be told the same. Of a
 * response, `response` are the bytes, too. */
static int read_head(struct ws_http *h, const char *bytes, size_t n,
                     char *response) {
  if (n > INT_MAX) n = INT_MAX; /* offsets and lengths have to fit */
  while (h->step != DONE && h->pos < n) {
    const char *lf = memchr(bytes + h->pos, '\n', n - h->pos);
    size_t end = lf ? (size_t)(lf - bytes) : n, taken = lf ? end + 1 : n;
    int err = check_limits(h, bytes, end, taken, response != NULL);
    if (err) return err;
    if (!lf) {
      h->pos = (uint32_t)n;
      break;
    }
    /* RFC 9112 2.2 allows a bare LF; whoever reads it otherwise than its
     * neighbour opens the door to smuggling */
    if (end == h->line || bytes[end - 1] != '\r') return WS_ERR_BAD_REQUEST;
    err = take_line(h, bytes + h->line, end - 1 - h->line,
                    response ? response + h->line : NULL);
    if (err) return err;
    h->line = h->pos = (uint32_t)taken;
  }
  if (h->step == DONE) return (int)h->pos;
  return n == INT_MAX ? WS_ERR_HEADERS_TOO_BIG : 0;
}

void ws_http_reset(struct ws_http *h) {
  h->n_fields = 0;
  h->method = h->method_len = h->target = h->target_len = 0;
  h->reason = h->reason_len = 0;
  h->status = 0;
  h->minor = 0;
  h->step = START_LINE;
  h->skipped = 0;
  h->line = h->pos = h->head = 0;
}

int ws_http_request(struct ws_http *h, const char *bytes, size_t n) {
  return read_head(h, bytes, n, NULL);
}

int ws_http_response(struct ws_http *h, char *bytes, size_t n) {
  return read_head(h, bytes, n, bytes);
}

bool ws_http_has_bare_lf(const struct ws_http *h, const char *bytes, size_t n) {
  const char *line = bytes + h->line;
  size_t len = n - h->line;
  const char *lf = memchr(line, '\n', len);
  bool is_http =
    h->step != START_LINE || (len >= 5 && !memcmp(line, "HTTP/", 5));
  return lf && is_http && (lf == line || lf[-1] != '\r');
}

void ws_http_index_fields(const struct ws_http *h,
                          struct ws_http_index *index) {
  memset(index, 0, sizeof *index);
  for (uint32_t i = 0; i < h->n_fields; i++) {
    uint8_t id = h->fields[i].id;
    if (index->n[id]++ == 0) index->first[id] = &h->fields[i];
  }
}

bool ws_http_has_token(const struct ws_http *h, const char *bytes,
                       const struct ws_http_field *first,
                       struct ws_slice token) {
  const struct ws_http_field *f = first;
  for (; f && f < h->fields + h->n_fields; f++) {
    struct ws_slice list = ws_http_value(bytes, f), element;
    if (f->id != first->id) continue;
    while (ws_http_next_element(&list, &element))
      if (ws_slice_equal_nocase(element, token)) return true;
  }
  return false;
}

bool ws_http_is_token(struct ws_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if (!is_tchar[(uint8_t)s.p[i]]) return false;
  return s.n > 0;
}

bool ws_http_is_value(struct ws_slice s) {
  if (s.n == 0) return true;
  return !ws_is_blank(s.p[0]) && !ws_is_blank(s.p[s.n - 1]) &&
         is_text(s.p, s.n);
}

bool ws_http_next_element(struct ws_slice *list, struct ws_slice *element) {
  const char *p = list->p, *end = p + list->n, *from;
  bool is_quoted = false;
  while (p < end && (*p == ',' || ws_is_blank(*p))) p++;
  for (from = p; p < end && (is_quoted || *p != ','); p++) {
    if (*p == '"')
      is_quoted = !is_quoted;
    else if (*p == '\\' && is_quoted && p + 1 < end)
      p++; /* RFC 9110 5.6.4: quoted-pair */
  }
  *list = (struct ws_slice){p, (size_t)(end - p)};
  *element = (struct ws_slice){from, (size_t)(p - from)};
  while (element->n > 0 && ws_is_blank(from[element->n - 1])) element->n--;
  return element->n > 0;
}
