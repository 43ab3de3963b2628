/* reply.c: the answer that a client waits for. Its head has limits of its own;
 * of its body no more is kept than tells a person why. */
#include "protocol/reply.h"

#include <stdio.h>

#define HEAD_MAX (32 * 1024)
#define LINE_MAX 8192
#define INTERIM_MAX 16
#define REASON_SHOWN 100 /* bytes */

static void set_limits(struct ws_http *h, struct ws_http_field *fields) {
  h->fields = fields;
  h->max_fields = WS_REPLY_FIELDS_MAX;
  h->max_line = h->max_field_line = LINE_MAX;
  h->max_head = HEAD_MAX;
  ws_http_reset(h);
}

void ws_reply_begin(struct ws_reply *r) {
  ws_reply_free(r);
  r->head = 0;
  r->interim = 0;
  set_limits(&r->http, r->fields);
}

void ws_reply_free(struct ws_reply *r) {
  ws_buf_free(&r->bytes);
  ws_buf_free(&r->body);
}

static int read_head(struct ws_reply *r) {
  struct ws_http *h = &r->http;
  for (;;) {
    int n = ws_http_response(h, (char *)ws_buf_begin(&r->bytes), r->bytes.len);
    if (n <= 0 || h->status >= 200 || h->status == 101) return n;
    if (++r->interim > INTERIM_MAX) return WS_ERR_HEADERS_TOO_BIG;
    ws_buf_consume(&r->bytes, (size_t)n);
    ws_http_reset(h);
  }
}

int ws_reply_read(struct ws_reply *r, const char **why) {
  int n = read_head(r);
  if (n > 0)
    r->head = (size_t)n;
  else if (n == WS_ERR_HEADERS_TOO_BIG)
    *why = "the head of the answer is too big";
  else if (n == WS_ERR_BAD_REQUEST &&
           ws_http_has_bare_lf(&r->http, (char *)ws_buf_begin(&r->bytes),
                               r->bytes.len))
    *why = "lines of the answer end in LF without CR";
  else if (n < 0)
    *why = "the answer is not HTTP";
  return n;
}

/* RFC 9112 6.3. What is malformed is read like one that ends with the
 * connection: it is only looked at. */
void ws_reply_begin_body(struct ws_reply *r) {
  const char *bytes = (char *)ws_buf_begin(&r->bytes);
  struct ws_http_index index;
  uint64_t length;
  ws_http_index_fields(&r->http, &index);
  const struct ws_http_field *told = index.first[WS_HTTP_CONTENT_LENGTH];
  bool has_none = r->http.status == 204 || r->http.status == 304;
  if (ws_http_has_token(&r->http, bytes, index.first[WS_HTTP_TRANSFER_ENCODING],
                        WS_SLICE("chunked")))
    ws_body_init_chunked(&r->coding, UINT64_MAX);
  else if (told && ws_body_parse_length(ws_http_value(bytes, told), &length))
    ws_body_init_length(&r->coding, length, UINT64_MAX);
  else
    ws_body_init_length(&r->coding, has_none ? 0 : UINT64_MAX, UINT64_MAX);
}

bool ws_reply_read_body(struct ws_reply *r) {
  size_t at = r->head;
  bool is_over = false;
  while (at < r->bytes.len && !is_over) {
    struct ws_slice data;
    const char *from = (char *)ws_buf_begin(&r->bytes) + at;
    int64_t used = ws_body_feed(&r->coding, from, r->bytes.len - at, &data);
    size_t room = WS_REPLY_BODY_MAX - r->body.len;
    if (used > 0 && data.n)
      is_over = !ws_buf_append(&r->body, data.p, data.n < room ? data.n : room);
    is_over = is_over || used <= 0 || r->body.len == WS_REPLY_BODY_MAX;
    at += used > 0 ? (size_t)used : 0;
  }
  r->bytes.len = r->head;
  return is_over || ws_body_is_done(&r->coding);
}

size_t ws_reply_status(const struct ws_reply *r, char *out, size_t cap) {
  const char *reason = (char *)ws_buf_begin(&r->bytes) + r->http.reason;
  uint32_t len = r->http.reason_len;
  int n = snprintf(out, cap, "%d %.*s", r->http.status,
                   (int)(len < REASON_SHOWN ? len : REASON_SHOWN), reason);
  if ((size_t)n >= cap) n = (int)cap - 1;
  for (int i = 0; i < n; i++)
    if ((unsigned char)out[i] < 0x20 || (unsigned char)out[i] > 0x7E)
      out[i] = '?';
  while (n > 0 && out[n - 1] == ' ') n--;
  return (size_t)n;
}

struct ws_slice ws_reply_whole(struct ws_reply *r) {
  r->bytes.len = r->head;
  if (r->body.len)
    ws_buf_append(&r->bytes, ws_buf_begin(&r->body), r->body.len);
  return (struct ws_slice){(char *)ws_buf_begin(&r->bytes), r->bytes.len};
}

int ws_reply_parse(struct ws_http *h,
                   struct ws_http_field fields[WS_REPLY_FIELDS_MAX],
                   char *bytes, size_t n) {
  set_limits(h, fields);
  return ws_http_response(h, bytes, n);
}
