/* handshake_client.c: the client's side of the opening handshake, RFC 6455
 * 4.1: its request, and what has to be true of the answer. */
#include "protocol/handshake_client.h"

#include <assert.h>

#include <openssl/evp.h>

/* A request in pieces, so that room for it is made once. */
struct parts {
  struct ws_slice part[24];
  size_t n, len;
};

static void add(struct parts *parts, struct ws_slice s) {
  if (s.n == 0) return;
  assert(parts->n < sizeof parts->part / sizeof *parts->part);
  parts->part[parts->n++] = s;
  parts->len += s.n;
}

static void add_field(struct parts *parts, struct ws_slice name,
                      struct ws_slice value) {
  add(parts, name);
  add(parts, value);
  add(parts, WS_SLICE("\r\n"));
}

void ws_handshake_make_key(const uint8_t nonce[16], char key[WS_KEY_LEN]) {
  unsigned char base64[WS_KEY_LEN + 1];
  EVP_EncodeBlock(base64, nonce, 16);
  memcpy(key, base64, WS_KEY_LEN);
}

/* 4.1, first list. What comes from the application was checked where it came
 * in; the assertions keep that true. */
bool ws_handshake_write_request(struct ws_buf *out, struct ws_slice host,
                                struct ws_slice target,
                                const char key[WS_KEY_LEN],
                                struct ws_slice origin,
                                struct ws_slice subprotocols,
                                struct ws_slice extensions,
                                struct ws_slice fields) {
  struct parts parts = {.n = 0};
  assert(target.n > 0 && target.p[0] == '/' && ws_http_is_value(target));
  assert(host.n > 0 && ws_http_is_value(host));
  assert(ws_http_is_value(origin) && ws_http_is_value(subprotocols));
  add(&parts, WS_SLICE("GET "));
  add(&parts, target);
  add_field(&parts, WS_SLICE(" HTTP/1.1\r\nHost: "), host);
  add_field(&parts,
            WS_SLICE("Upgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: "),
            (struct ws_slice){key, WS_KEY_LEN});
  if (origin.n > 0) add_field(&parts, WS_SLICE("Origin: "), origin);
  if (subprotocols.n > 0)
    add_field(&parts, WS_SLICE("Sec-WebSocket-Protocol: "), subprotocols);
  if (extensions.n > 0)
    add_field(&parts, WS_SLICE("Sec-WebSocket-Extensions: "), extensions);
  add(&parts, fields);
  add(&parts, WS_SLICE("\r\n"));
  if (!ws_buf_reserve(out, parts.len)) return false;
  for (size_t i = 0; i < parts.n; i++) /* there is room: none fails */
    ws_buf_append(out, parts.part[i].p, parts.part[i].n);
  return true;
}

/* 4.1: Upgrade is websocket and nothing else, Connection names upgrade. */
static const char *check_switch(const struct ws_http *h, const char *bytes,
                                const struct ws_http_index *index) {
  const struct ws_http_field *upgrade = index->first[WS_HTTP_UPGRADE];
  if (h->minor == 0) return "an answer in HTTP/1.0";
  if (index->n[WS_HTTP_UPGRADE] != 1 ||
      !ws_slice_equal_nocase(ws_http_value(bytes, upgrade),
                             WS_SLICE("websocket")))
    return "Upgrade is not websocket";
  if (!ws_http_has_token(h, bytes, index->first[WS_HTTP_CONNECTION],
                         WS_SLICE("upgrade")))
    return "Connection without upgrade";
  return NULL;
}

static const char *check_accept(const char *bytes,
                                const struct ws_http_index *index,
                                const char key[WS_KEY_LEN]) {
  char accept[WS_ACCEPT_LEN];
  if (index->n[WS_HTTP_SEC_WEBSOCKET_ACCEPT] != 1)
    return "not one Sec-WebSocket-Accept";
  ws_handshake_accept(key, accept);
  if (!ws_slice_equal(
        ws_http_value(bytes, index->first[WS_HTTP_SEC_WEBSOCKET_ACCEPT]),
        (struct ws_slice){accept, WS_ACCEPT_LEN}))
    return "wrong Sec-WebSocket-Accept";
  return NULL;
}

/* 4.1: at most one sub-protocol, and one of those offered; unlike tokens of
 * HTTP these are compared with case. */
static const char *check_subprotocol(const char *bytes,
                                     const struct ws_http_index *index,
                                     struct ws_slice offered,
                                     struct ws_slice *subprotocol) {
  const struct ws_http_field *f = index->first[WS_HTTP_SEC_WEBSOCKET_PROTOCOL];
  struct ws_slice chosen, name;
  if (!f) return NULL;
  if (index->n[WS_HTTP_SEC_WEBSOCKET_PROTOCOL] > 1)
    return "more than one Sec-WebSocket-Protocol";
  chosen = ws_http_value(bytes, f);
  if (chosen.n == 0) return "an empty Sec-WebSocket-Protocol";
  while (ws_http_next_element(&offered, &name))
    if (ws_slice_equal(name, chosen)) {
      *subprotocol = chosen;
      return NULL;
    }
  return "a sub-protocol that was not offered";
}

int ws_handshake_check_answer(const struct ws_http *h, const char *bytes,
                              const char key[WS_KEY_LEN],
                              struct ws_slice offered,
                              const struct ws_extension *wish,
                              struct ws_slice *subprotocol,
                              struct ws_extension *agreed, const char **why) {
  struct ws_http_index index;
  ws_http_index_fields(h, &index);
  *subprotocol = (struct ws_slice){0};
  *why = check_switch(h, bytes, &index);
  if (!*why) *why = check_accept(bytes, &index, key);
  if (!*why) *why = ws_extension_check(h, bytes, wish, agreed);
  if (!*why) *why = check_subprotocol(bytes, &index, offered, subprotocol);
  return *why ? WS_ERR_PROTOCOL : WS_OK;
}
