/* handshake.c: the server's side of the opening handshake, RFC 6455 4.2.
 *
 * A request is first judged as HTTP: wherever two implementations could
 * disagree about its target, its host or the length of its body, it is
 * refused. Only then is it asked whether it wants to be a WebSocket. */

/* SHA1_Init and its kin are deprecated in OpenSSL 3, but the EVP digests look
 * up their implementation each time, which takes longer than the hash. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "protocol/handshake.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "protocol/body.h"
#include "protocol/origin.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* A request while it is being looked at. */
struct check {
  const struct ws_http *h;
  const char *bytes;
  struct ws_http_index index;
  struct ws_handshake *out;
  const char **why;
  uint16_t port; /* of an absolute target that names none */
};

static int refuse(struct check *c, enum ws_err err, const char *why) {
  *c->why = why;
  c->out->keep_alive = false;
  return err;
}

static uint32_t count(const struct check *c, enum ws_http_id id) {
  return c->index.n[id];
}

/* The first field with this id; there has to be one. */
static struct ws_slice value(const struct check *c, enum ws_http_id id) {
  return ws_http_value(c->bytes, c->index.first[id]);
}

static bool has_token(const struct check *c, enum ws_http_id id,
                      struct ws_slice token) {
  return ws_http_has_token(c->h, c->bytes, c->index.first[id], token);
}

static void look_at_method(struct check *c) {
  static const struct ws_slice names[] = {[WS_GET] = {"GET", 3},
                                          [WS_HEAD] = {"HEAD", 4},
                                          [WS_OPTIONS] = {"OPTIONS", 7},
                                          [WS_CONNECT] = {"CONNECT", 7}};
  struct ws_slice method = {c->bytes + c->h->method, c->h->method_len};
  int i = 0;
  while (i < WS_METHOD_OTHER && !ws_slice_equal(method, names[i])) i++;
  c->out->method = (enum ws_handshake_method)i;
}

/* RFC 9112 9.3 */
static void look_at_connection(struct check *c) {
  c->out->keep_alive = !has_token(c, WS_HTTP_CONNECTION, WS_SLICE("close")) &&
                       (c->h->minor == 1 || has_token(c, WS_HTTP_CONNECTION,
                                                      WS_SLICE("keep-alive")));
}

/* RFC 9112 3.2.2: takes scheme and authority off an absolute target. */
static bool take_authority(struct check *c, struct ws_slice *target) {
  static const struct {
    struct ws_slice text;
    uint16_t port;
  } schemes[] = {{{"http://", 7}, 80},
                 {{"https://", 8}, 443},
                 {{"ws://", 5}, 80},
                 {{"wss://", 6}, 443}};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    size_t n = schemes[i].text.n, end = n;
    struct ws_slice start = {target->p, n};
    if (target->n < n || !ws_slice_equal_nocase(start, schemes[i].text))
      continue;
    while (end < target->n && target->p[end] != '/' && target->p[end] != '?')
      end++;
    c->out->host = (struct ws_slice){target->p + n, end - n};
    c->port = schemes[i].port;
    target->p += end;
    target->n -= end;
    return true;
  }
  return false;
}

/* RFC 9112 3.2.3: host and port, of one we are to connect to. */
static int check_authority(struct check *c, struct ws_slice target) {
  struct ws_slice name;
  long port;
  if (!ws_origin_parse_host(target, &name, &port) || port <= 0)
    return refuse(c, WS_ERR_BAD_REQUEST, "target is no host with port");
  c->out->host = target;
  c->port = (uint16_t)port;
  return WS_OK;
}

/* RFC 9110 4.2.3: an empty path is "/", but for one who asks about the server
 * as a whole (RFC 9112 3.2.4). */
static struct ws_slice empty_path(const struct check *c) {
  bool is_whole = c->out->method == WS_OPTIONS && !c->out->query.p;
  return is_whole ? WS_SLICE("*") : WS_SLICE("/");
}

/* The parser has refused whitespace and control bytes in it. */
static int check_target(struct check *c) {
  struct ws_slice target = {c->bytes + c->h->target, c->h->target_len};
  bool is_whole = c->out->method == WS_OPTIONS && target.n == 1;
  const char *mark;
  if (c->out->method == WS_CONNECT) return check_authority(c, target);
  if (memchr(target.p, '#', target.n)) /* RFC 9112 3.2: no fragment */
    return refuse(c, WS_ERR_BAD_REQUEST, "fragment in the target");
  if (target.p[0] != '/' && !(is_whole && target.p[0] == '*') &&
      !take_authority(c, &target))
    return refuse(c, WS_ERR_BAD_REQUEST, "target is no path");
  mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
  if (mark) {
    size_t path = (size_t)(mark - target.p);
    c->out->query = (struct ws_slice){mark + 1, target.n - path - 1};
    target.n = path;
  }
  c->out->path = target.n > 0 ? target : empty_path(c);
  return WS_OK;
}

static bool is_host(struct ws_slice host) {
  struct ws_slice name;
  long port;
  return ws_origin_parse_host(host, &name, &port);
}

/* RFC 9112 3.2: one Host, well-formed. An absolute target counts for it
 * (3.2.2); but where they name two hosts, who is in front of us may have
 * meant the other one. */
static int check_host(struct check *c, bool may_lack) {
  struct ws_slice *host = &c->out->host, field;
  uint32_t n = count(c, WS_HTTP_HOST);
  if (n > 1) return refuse(c, WS_ERR_BAD_REQUEST, "more than one Host");
  if (n == 0 && !may_lack) return refuse(c, WS_ERR_BAD_REQUEST, "no Host");
  if (host->p && !is_host(*host))
    return refuse(c, WS_ERR_BAD_REQUEST, "malformed host in the target");
  if (n == 0) return WS_OK;
  field = value(c, WS_HTTP_HOST);
  if (!is_host(field)) return refuse(c, WS_ERR_BAD_REQUEST, "malformed Host");
  if (!host->p)
    *host = field;
  else if (!ws_origin_is_same_host(*host, field, c->port))
    return refuse(c, WS_ERR_BAD_REQUEST, "Host is not the target's");
  return WS_OK;
}

static int check_origin(struct check *c) {
  uint32_t n = count(c, WS_HTTP_ORIGIN);
  if (n > 1) return refuse(c, WS_ERR_BAD_REQUEST, "more than one Origin");
  if (n == 1) c->out->origin = value(c, WS_HTTP_ORIGIN);
  return WS_OK;
}

/* RFC 9112 6.3, 4: without chunked as the last coding the length is not
 * known, 400; with another one in front of it, 501 (6.1). Codings have no
 * case, but only smugglers write this one otherwise. */
static int check_codings(struct check *c) {
  const struct ws_slice chunked = WS_SLICE("chunked");
  struct ws_slice list = value(c, WS_HTTP_TRANSFER_ENCODING), coding;
  size_t n = 0;
  bool is_last = false;
  while (ws_http_next_element(&list, &coding)) {
    if (is_last) return refuse(c, WS_ERR_BAD_REQUEST, "chunked is not last");
    is_last = ws_slice_equal(coding, chunked);
    n++;
  }
  if (!is_last) return refuse(c, WS_ERR_BAD_REQUEST, "bad Transfer-Encoding");
  if (n > 1)
    return refuse(c, WS_ERR_NOT_IMPLEMENTED, "unknown transfer coding");
  c->out->is_chunked = true;
  return WS_OK;
}

/* RFC 9112 6.3: how long is the body? */
static int check_framing(struct check *c) {
  uint32_t lengths = count(c, WS_HTTP_CONTENT_LENGTH);
  uint32_t codings = count(c, WS_HTTP_TRANSFER_ENCODING);
  if (lengths > 1)
    return refuse(c, WS_ERR_BAD_REQUEST, "more than one Content-Length");
  if (codings > 1)
    return refuse(c, WS_ERR_BAD_REQUEST, "more than one Transfer-Encoding");
  if (lengths > 0 && codings > 0)
    return refuse(c, WS_ERR_BAD_REQUEST,
                  "Content-Length beside Transfer-Encoding");
  if (codings > 0 && c->h->minor == 0) /* RFC 9112 6.1 */
    return refuse(c, WS_ERR_BAD_REQUEST, "Transfer-Encoding in HTTP/1.0");
  if (codings > 0) return check_codings(c);
  c->out->has_length = lengths > 0;
  if (lengths > 0 && !ws_body_parse_length(value(c, WS_HTTP_CONTENT_LENGTH),
                                           &c->out->content_length))
    return refuse(c, WS_ERR_BAD_REQUEST, "bad Content-Length");
  return WS_OK;
}

/* RFC 9110 10.1.1: the only expectation there is; not heard in HTTP/1.0 */
static int check_expect(struct check *c) {
  const struct ws_http_field *f = c->index.first[WS_HTTP_EXPECT];
  for (; f && f < c->h->fields + c->h->n_fields; f++) {
    if (f->id != WS_HTTP_EXPECT) continue;
    if (!ws_slice_equal_nocase(ws_http_value(c->bytes, f),
                               WS_SLICE("100-continue")))
      return refuse(c, WS_ERR_EXPECTATION, "unknown expectation");
    c->out->expects_continue = c->h->minor == 1;
  }
  return WS_OK;
}

/* 4.1: 16 bytes in base64 are 22 digits and two fillers. */
static bool is_key(struct ws_slice key) {
  if (key.n != WS_KEY_LEN || key.p[22] != '=' || key.p[23] != '=') return false;
  for (size_t i = 0; i < 22; i++) {
    char c = ws_lower(key.p[i]);
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' &&
        c != '/')
      return false;
  }
  return true;
}

/* 4.2.1 and 4.4, of a request whose Upgrade names websocket. The version
 * comes before what only this version has: older drafts are told so. */
static int check_upgrade(struct check *c) {
  struct ws_handshake *out = c->out;
  uint32_t versions = count(c, WS_HTTP_SEC_WEBSOCKET_VERSION);
  if (out->method != WS_GET)
    return refuse(c, WS_ERR_METHOD, "upgrade by another method than GET");
  if (c->h->minor == 0) return refuse(c, WS_ERR_UPGRADE, "upgrade in HTTP/1.0");
  if (versions > 1)
    return refuse(c, WS_ERR_BAD_REQUEST, "more than one version");
  if (versions == 0 ||
      !ws_slice_equal(value(c, WS_HTTP_SEC_WEBSOCKET_VERSION), WS_SLICE("13")))
    return refuse(c, WS_ERR_UPGRADE, "not version 13");
  if (!has_token(c, WS_HTTP_CONNECTION, WS_SLICE("upgrade")))
    return refuse(c, WS_ERR_BAD_REQUEST, "Connection without upgrade");
  if (count(c, WS_HTTP_SEC_WEBSOCKET_KEY) != 1)
    return refuse(c, WS_ERR_BAD_REQUEST, "not one Sec-WebSocket-Key");
  out->key = value(c, WS_HTTP_SEC_WEBSOCKET_KEY);
  if (!is_key(out->key))
    return refuse(c, WS_ERR_BAD_REQUEST, "bad Sec-WebSocket-Key");
  /* its bytes would be taken for frames */
  if (out->is_chunked || out->content_length > 0)
    return refuse(c, WS_ERR_BAD_REQUEST, "body in an upgrade request");
  out->is_upgrade = true;
  return WS_OK;
}

int ws_handshake_check(const struct ws_http *h, const char *bytes,
                       struct ws_handshake *out, const char **why) {
  struct check c = {.h = h, .bytes = bytes, .out = out, .why = why};
  bool asks;
  int err;
  *out = (struct ws_handshake){0};
  *why = NULL;
  ws_http_index_fields(h, &c.index);
  asks = has_token(&c, WS_HTTP_UPGRADE, WS_SLICE("websocket"));
  look_at_method(&c);
  look_at_connection(&c);
  err = check_target(&c);
  if (!err) err = check_host(&c, h->minor == 0 && !asks);
  if (!err) err = check_origin(&c);
  if (!err) err = check_framing(&c);
  if (!err) err = check_expect(&c);
  if (!err && out->method == WS_CONNECT)
    err = refuse(&c, WS_ERR_METHOD, "CONNECT");
  if (!err && asks) err = check_upgrade(&c);
  return err;
}

void ws_handshake_accept(const char key[WS_KEY_LEN], char out[WS_ACCEPT_LEN]) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  unsigned char base64[WS_ACCEPT_LEN + 1]; /* it is terminated */
  SHA_CTX sha;
  SHA1_Init(&sha);
  SHA1_Update(&sha, key, WS_KEY_LEN);
  SHA1_Update(&sha, GUID, sizeof GUID - 1);
  SHA1_Final(digest, &sha);
  EVP_EncodeBlock(base64, digest, sizeof digest);
  memcpy(out, base64, WS_ACCEPT_LEN);
}

/* The number of the first field that ends at `offset` or behind it. Found by
 * halving: a list of n elements asks n times. */
static uint32_t field_at(const struct ws_http *h, size_t offset) {
  uint32_t first = 0, end = h->n_fields;
  while (first < end) {
    uint32_t middle = first + (end - first) / 2;
    const struct ws_http_field *f = &h->fields[middle];
    if ((size_t)f->value + f->value_len < offset)
      first = middle + 1;
    else
      end = middle;
  }
  return first;
}

/* *iter: the offset of the first byte that was not read yet. */
int ws_handshake_next_subprotocol(const struct ws_http *h, const char *bytes,
                                  size_t *iter, struct ws_slice *name) {
  for (uint32_t i = field_at(h, *iter); i < h->n_fields; i++) {
    const struct ws_http_field *f = &h->fields[i];
    size_t from = *iter > f->value ? *iter : f->value;
    struct ws_slice list = {bytes + from, f->value + f->value_len - from};
    if (f->id != WS_HTTP_SEC_WEBSOCKET_PROTOCOL) continue;
    if (!ws_http_next_element(&list, name)) continue;
    if (!ws_http_is_token(*name)) return WS_ERR_BAD_REQUEST;
    *iter = (size_t)(list.p - bytes);
    return 1;
  }
  return 0;
}

static uint8_t *put(uint8_t *p, struct ws_slice s) {
  if (s.n > 0) memcpy(p, s.p, s.n);
  return p + s.n;
}

bool ws_handshake_write_101(struct ws_buf *out, const char key[WS_KEY_LEN],
                            struct ws_slice subprotocol,
                            struct ws_slice extensions,
                            struct ws_slice fields) {
  const struct ws_slice head = WS_SLICE("HTTP/1.1 101 Switching Protocols\r\n"
                                        "Upgrade: websocket\r\n"
                                        "Connection: Upgrade\r\n"
                                        "Sec-WebSocket-Accept: ");
  const struct ws_slice name = WS_SLICE("Sec-WebSocket-Protocol: ");
  const struct ws_slice extension = WS_SLICE("Sec-WebSocket-Extensions: ");
  const struct ws_slice crlf = WS_SLICE("\r\n");
  size_t len = head.n + WS_ACCEPT_LEN + crlf.n + fields.n + crlf.n;
  uint8_t *p;
  assert(!subprotocol.p || ws_http_is_token(subprotocol));
  if (subprotocol.p) len += name.n + subprotocol.n + crlf.n;
  if (extensions.n) len += extension.n + extensions.n + crlf.n;
  if (!ws_buf_reserve(out, len)) return false;
  p = put(ws_buf_end(out), head);
  ws_handshake_accept(key, (char *)p);
  p = put(p + WS_ACCEPT_LEN, crlf);
  if (subprotocol.p) p = put(put(put(p, name), subprotocol), crlf);
  if (extensions.n) p = put(put(put(p, extension), extensions), crlf);
  put(put(p, fields), crlf);
  ws_buf_commit(out, len);
  return true;
}

/* RFC 9110 15 */
static const struct {
  int status;
  const char *phrase;
} reasons[] = {{100, "Continue"},
               {101, "Switching Protocols"},
               {200, "OK"},
               {201, "Created"},
               {202, "Accepted"},
               {204, "No Content"},
               {206, "Partial Content"},
               {301, "Moved Permanently"},
               {302, "Found"},
               {303, "See Other"},
               {304, "Not Modified"},
               {307, "Temporary Redirect"},
               {308, "Permanent Redirect"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {406, "Not Acceptable"},
               {408, "Request Timeout"},
               {409, "Conflict"},
               {410, "Gone"},
               {411, "Length Required"},
               {413, "Content Too Large"},
               {414, "URI Too Long"},
               {415, "Unsupported Media Type"},
               {416, "Range Not Satisfiable"},
               {417, "Expectation Failed"},
               {421, "Misdirected Request"},
               {422, "Unprocessable Content"},
               {426, "Upgrade Required"},
               {429, "Too Many Requests"}, /* RFC 6585 */
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {502, "Bad Gateway"},
               {503, "Service Unavailable"},
               {504, "Gateway Timeout"},
               {505, "HTTP Version Not Supported"}};

const char *ws_handshake_reason(int status) {
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].phrase;
  return "Status";
}
