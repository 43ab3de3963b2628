/* model.c: RFC 6455 5 read off the page, for whole streams. */
#include "kit/model.h"

#include <stdlib.h>

#include "kit/fuzz.h"

struct head {
  unsigned first, opcode;
  bool is_masked;
  uint64_t len;
  uint8_t mask[4];
};

struct message {
  unsigned opcode; /* 0: none */
  bool is_compressed;
  uint64_t fragments;
  size_t len;
  struct fuzz_utf8 utf8;
  uint8_t *data;
};

/* How compressed messages are read. */
struct model_context {
  const struct ws_protocol_env *env;
  struct ws_inflater *inflater; /* NULL: there is no extension */
  bool is_kept;
};

/* Everything that the tests' longest input may inflate to, and more. */
#define INFLATED_MAX (8 * 1024 * 1024)

void model_add(struct model_events *events, const struct ws_event *ev) {
  FUZZ_CHECK(events->n < MODEL_EVENTS);
  struct model_event *e = &events->list[events->n++];
  *e = (struct model_event){.type = (uint8_t)ev->type};
  if (ev->type == WS_EVENT_MESSAGE) e->opcode = ev->opcode;
  if (ev->type >= WS_EVENT_CLOSE) e->code = ev->code;
  if (ev->type == WS_EVENT_ERROR) return;
  e->len = ev->len;
  e->hash = fuzz_hash(ev->data, ev->len);
}

void model_compare(const struct model_events *a, const struct model_events *b) {
  for (size_t i = 0; i < a->n && i < b->n; i++) {
    const struct model_event *x = &a->list[i], *y = &b->list[i];
    FUZZ_CHECK(x->type == y->type && x->opcode == y->opcode);
    FUZZ_CHECK(x->code == y->code ||
               (x->may_be_big && (x->code == 1009 || y->code == 1009)));
    FUZZ_CHECK(x->len == y->len && x->hash == y->hash);
  }
  FUZZ_CHECK(a->n == b->n);
}

static void add(struct model_events *events, enum ws_event_type type,
                unsigned opcode, unsigned code, const uint8_t *data,
                size_t len) {
  struct ws_event ev = {.type = type, .opcode = (uint8_t)opcode};
  ev.code = (uint16_t)code;
  ev.data = data;
  ev.len = len;
  model_add(events, &ev);
}

/* The head's length, 0 when it is cut off, -1 when its first bytes are
 * enough to see that it is none. */
static int read_head(struct head *h, const uint8_t *p, size_t n) {
  size_t size = 2;
  if (n >= 1 && (p[0] & 0x88) == 0x08) return -1; /* a fragmented control */
  if (n < 2) return 0;
  h->first = p[0];
  h->opcode = p[0] & 15;
  h->is_masked = p[1] >> 7;
  h->len = p[1] & 127;
  if (h->opcode >= 8 && h->len > 125) return -1;
  size_t more = h->len == 126 ? 2 : h->len == 127 ? 8 : 0;
  if (more > 0) {
    h->len = 0;
    for (size_t i = 0; i < more && size + i < n; i++) {
      h->len = h->len << 8 | p[2 + i];
      if (more == 8 && i == 0 && p[2] > 127) return -1;
      if (more == 8 && i == 5 && h->len == 0) return -1;
      if (more == 2 && i == 1 && h->len < 126) return -1;
    }
    size += more;
  }
  for (size_t i = 0; i < 4 && h->is_masked && size + i < n; i++)
    h->mask[i] = p[size + i];
  if (h->is_masked) size += 4;
  return n < size ? 0 : (int)size;
}

/* The code to fail with, 0 for none. */
static unsigned judge(const struct head *h, const struct message *m,
                      enum ws_role role, const struct ws_protocol_env *env,
                      bool is_extended) {
  bool is_data = h->opcode <= 2;
  /* RFC 7692 6: RSV1 on the first frame of a message */
  bool may_compress = is_extended && (h->opcode == 1 || h->opcode == 2);
  if (h->first & (may_compress ? 0x30 : 0x70)) return 1002;
  if (h->is_masked != (role == WS_SERVER)) return 1002;
  if (!is_data) return h->opcode >= 8 && h->opcode <= 10 ? 0 : 1002;
  if ((h->opcode == 0) != (m->opcode != 0)) return 1002;
  if (m->len > env->max_message || env->max_message - m->len < h->len)
    return 1009;
  if (h->opcode == 0 && m->fragments + 1 > env->max_fragments) return 1008;
  return 0;
}

static unsigned judge_close(const uint8_t *data, size_t len) {
  struct fuzz_utf8 u = {0};
  if (len == 0) return 0;
  if (len == 1) return 1002;
  unsigned code = (unsigned)data[0] * 256 + data[1];
  if (code < 1000 || code > 4999 || (code > 1014 && code < 3000) ||
      (code > 1003 && code < 1007))
    return 1002;
  for (size_t i = 2; i < len; i++)
    if (!fuzz_utf8_byte(&u, data[i])) return 1007;
  return u.missing ? 1007 : 0;
}

/* A whole control frame. False when it is the last one. */
static bool read_control(struct model_events *events, const struct head *h,
                         const uint8_t *data) {
  size_t len = (size_t)h->len;
  if (h->opcode != WS_OP_CLOSE) {
    add(events, h->opcode == WS_OP_PING ? WS_EVENT_PING : WS_EVENT_PONG, 0, 0,
        data, len);
    return true;
  }
  unsigned code = judge_close(data, len);
  if (code)
    add(events, WS_EVENT_ERROR, 0, code, NULL, 0);
  else if (len == 0)
    add(events, WS_EVENT_CLOSE, 0, 1005, data, 0);
  else
    add(events, WS_EVENT_CLOSE, 0, (unsigned)data[0] << 8 | data[1], data + 2,
        len - 2);
  return false;
}

/* What the message inflates to, by src/protocol/inflate.c in one go: that it
 * is right is for the target `inflate` to say. 0, or the code to fail with. */
static unsigned inflate_whole(struct model_context *c, struct message *m) {
  static uint8_t out[INFLATED_MAX];
  const char *why;
  struct fuzz_utf8 u = {0};
  int64_t n, len = 0;
  ws_inflater_begin(c->inflater, !c->is_kept, c->env->max_message,
                    c->env->max_ratio);
  ws_inflater_put(c->inflater, m->data, m->len, true);
  do {
    FUZZ_CHECK(len < INFLATED_MAX);
    n =
      ws_inflater_get(c->inflater, out + len, INFLATED_MAX - (size_t)len, &why);
    len += n;
  } while (n > 0);
  if (n < 0) return (unsigned)-n;
  m->data = out;
  m->len = (size_t)len;
  for (size_t i = 0; i < m->len && m->opcode == WS_OP_TEXT; i++)
    if (!fuzz_utf8_byte(&u, out[i])) return 1007;
  return u.missing ? 1007 : 0;
}

/* What has come of a data frame. False after an error. */
static bool read_data(struct model_events *events, struct message *m,
                      const struct head *h, const uint8_t *data, size_t have,
                      struct model_context *c) {
  if (h->opcode != 0)
    *m = (struct message){.opcode = h->opcode, .data = m->data};
  if (h->opcode != 0) m->is_compressed = h->first & 0x40;
  m->fragments++;
  bool is_text = m->opcode == WS_OP_TEXT && !m->is_compressed, is_good = true;
  bool is_last = have == h->len && (h->first & WS_FIN);
  if (have > 0) memcpy(m->data + m->len, data, have);
  m->len += have;
  for (size_t i = 0; i < have && is_text && is_good; i++)
    is_good = fuzz_utf8_byte(&m->utf8, data[i]);
  if (is_text && (!is_good || (is_last && m->utf8.missing))) {
    add(events, WS_EVENT_ERROR, 0, 1007, NULL, 0);
    return false;
  }
  if (is_last) {
    uint8_t *place = m->data;
    unsigned code = m->is_compressed ? inflate_whole(c, m) : 0;
    if (code) add(events, WS_EVENT_ERROR, 0, code, NULL, 0);
    /* Of a message that is wrong and inflates too much, what is seen first
     * depends on the room there was. */
    if (code && m->is_compressed)
      events->list[events->n - 1].may_be_big = c->env->max_ratio != WS_NO_LIMIT;
    if (!code) add(events, WS_EVENT_MESSAGE, m->opcode, 0, m->data, m->len);
    *m = (struct message){.data = place};
    return code == 0;
  }
  return true;
}

static void read_all(struct model_events *events, enum ws_role role,
                     struct model_context *c, const uint8_t *bytes, size_t n) {
  static uint8_t gathered[FUZZ_MAX], payload[FUZZ_MAX];
  struct message m = {.data = gathered};
  struct head h = {0};
  while (n > 0) {
    int size = read_head(&h, bytes, n);
    if (size == 0) return;
    unsigned code =
      size < 0 ? 1002 : judge(&h, &m, role, c->env, c->inflater != NULL);
    if (code) {
      add(events, WS_EVENT_ERROR, 0, code, NULL, 0);
      return;
    }
    bytes += size;
    n -= (size_t)size;
    size_t have = h.len < n ? (size_t)h.len : n;
    for (size_t i = 0; i < have; i++)
      payload[i] = bytes[i] ^ (h.is_masked ? h.mask[i % 4] : 0);
    if (h.opcode >= 8 && have < h.len) return;
    if (h.opcode >= 8 ? !read_control(events, &h, payload)
                      : !read_data(events, &m, &h, payload, have, c))
      return;
    if (have < h.len) return;
    bytes += have;
    n -= have;
  }
}

void model_read(struct model_events *events, enum ws_role role,
                const struct ws_protocol_env *env,
                const struct ws_extension *extension, const uint8_t *bytes,
                size_t n) {
  struct model_context c = {.env = env};
  events->n = 0;
  if (extension) {
    c.is_kept = role == WS_SERVER ? extension->client_takeover
                                  : extension->server_takeover;
    c.inflater = ws_inflater_new(WS_BITS_MAX, true);
    if (!c.inflater) abort();
  }
  read_all(events, role, &c, bytes, n);
  ws_inflater_free(c.inflater);
}
