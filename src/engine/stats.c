/* stats.c: what is counted. */
#include "engine/stats.h"

#include <errno.h>

const char *ws_refusal_name(enum ws_refusal why) {
  static const char *const names[WS_REFUSALS] = {
    [WS_REFUSED_CONNECTIONS] = "connections",
    [WS_REFUSED_ADDRESS] = "address",
    [WS_REFUSED_DESCRIPTORS] = "descriptors",
    [WS_REFUSED_PENDING] = "pending",
    [WS_REFUSED_MEMORY] = "memory",
    [WS_REFUSED_CLOSING] = "closing",
    [WS_REFUSED_LOST] = "lost",
    [WS_REFUSED_TIMEOUT] = "timeout",
    [WS_REFUSED_TLS] = "tls",
    [WS_REFUSED_PROXY] = "proxy",
    [WS_REFUSED_BAD_REQUEST] = "bad_request",
    [WS_REFUSED_TOO_BIG] = "too_big",
    [WS_REFUSED_HOST] = "host",
    [WS_REFUSED_NOT_FOUND] = "not_found",
    [WS_REFUSED_UPGRADE] = "upgrade",
    [WS_REFUSED_ORIGIN] = "origin",
    [WS_REFUSED_APPLICATION] = "application",
    [WS_REFUSED_HANDLER_ERROR] = "handler_error",
    [WS_REFUSED_HANDLER_TIMEOUT] = "handler_timeout"};
  return names[why];
}

enum ws_refusal ws_refusal_of(int status) {
  switch (status) {
  case 403: return WS_REFUSED_ORIGIN;
  case 404: return WS_REFUSED_NOT_FOUND;
  case 408: return WS_REFUSED_TIMEOUT;
  case 413:
  case 414:
  case 431: return WS_REFUSED_TOO_BIG;
  case 421: return WS_REFUSED_HOST;
  case 426: return WS_REFUSED_UPGRADE;
  case 429: return WS_REFUSED_ADDRESS;
  case 503: return WS_REFUSED_MEMORY;
  default: return WS_REFUSED_BAD_REQUEST;
  }
}

enum ws_refusal ws_refusal_of_error(int error) {
  switch (error) {
  case ENOMEM: return WS_REFUSED_MEMORY;
  case ENOSPC: /* of epoll's watches */
  case EPERM: return WS_REFUSED_DESCRIPTORS;
  case EPROTO: return WS_REFUSED_TLS;
  default: return WS_REFUSED_LOST;
  }
}

static void count(struct ws_closes *c, int code, uint64_t n) {
  if (code >= WS_CODE_FIRST && code < WS_CODE_FIRST + WS_CODES) {
    c->known[code - WS_CODE_FIRST] += n;
    return;
  }
  for (int i = 0; i < WS_OWN_CODES; i++) {
    if (c->own[i].code && c->own[i].code != code) continue;
    c->own[i].code = (uint16_t)code;
    c->own[i].n += n;
    return;
  }
  c->others += n;
}

void ws_closes_count(struct ws_closes *c, int code) {
  count(c, code, 1);
}

void ws_closes_add(struct ws_closes *sum, const struct ws_closes *c) {
  for (int i = 0; i < WS_CODES; i++) sum->known[i] += c->known[i];
  for (int i = 0; i < WS_OWN_CODES && c->own[i].code; i++)
    count(sum, c->own[i].code, c->own[i].n);
  sum->others += c->others;
}

void ws_traffic_add(struct ws_traffic *sum, const struct ws_traffic *t) {
  sum->messages_in += t->messages_in;
  sum->bytes_in += t->bytes_in;
  sum->messages_out += t->messages_out;
  sum->bytes_out += t->bytes_out;
  sum->dropped += t->dropped;
}
