/* call.c: see call.h. What it takes is a part of JSON; that the arguments are
 * JSON at all is for their reader to find. */
#include "protocol/call.h"

#define RECORD_END '\x1E'

enum field { TYPE = 1, TARGET = 2, ARGS = 4, ID = 8 };

struct cursor {
  const char *p, *end;
};

/* Zero, which stands in no record, at the end. */
static char peek(const struct cursor *c) {
  return c->p < c->end ? *c->p : '\0';
}

static bool take(struct cursor *c, char byte) {
  if (peek(c) != byte) return false;
  c->p++;
  return true;
}

static bool take_word(struct cursor *c, struct ws_slice word) {
  if ((size_t)(c->end - c->p) < word.n || memcmp(c->p, word.p, word.n) != 0)
    return false;
  c->p += word.n;
  return true;
}

static bool is_plain(char byte) {
  return byte != '"' && byte != '\\' && (unsigned char)byte >= 0x20;
}

bool ws_call_is_plain(struct ws_slice text) {
  for (size_t i = 0; i < text.n; i++)
    if (!is_plain(text.p[i])) return false;
  return true;
}

static bool take_text(struct cursor *c, struct ws_slice *text) {
  if (!take(c, '"')) return false;
  const char *start = c->p;
  while (c->p < c->end && is_plain(*c->p)) c->p++;
  *text = (struct ws_slice){start, (size_t)(c->p - start)};
  return take(c, '"') && text->n > 0;
}

/* Behind the quote of a string that may have escapes. */
static bool skip_text(struct cursor *c) {
  while (c->p < c->end) {
    char byte = *c->p++;
    if (byte == '"') return true;
    if (byte == '\\' && c->p < c->end) c->p++;
    if ((unsigned char)byte < 0x20) return false;
  }
  return false;
}

static bool is_empty_list(struct cursor c) {
  while (take(&c, ' ')) continue;
  return peek(&c) == ']';
}

/* Which bracket closes which is not looked at. */
static bool take_list(struct cursor *c, struct ws_call *call) {
  const char *start = c->p;
  if (!take(c, '[')) return false;
  call->has_args = !is_empty_list(*c);
  for (size_t depth = 1; depth > 0;) {
    char byte = peek(c);
    if ((unsigned char)byte < 0x20) return false;
    c->p++;
    if (byte == '"' && !skip_text(c)) return false;
    if (byte == '[' && is_empty_list(*c)) return false;
    if (byte == '[' || byte == '{') depth++;
    if (byte == ']' || byte == '}') depth--;
  }
  call->args = (struct ws_slice){start, (size_t)(c->p - start)};
  return true;
}

/* A name with its colon, and the value; what it was, or 0. */
static enum field take_field(struct cursor *c, struct ws_call *call) {
  if (take_word(c, WS_SLICE("\"arguments\":")))
    return take_list(c, call) ? ARGS : 0;
  if (take_word(c, WS_SLICE("\"invocationId\":")))
    return take_text(c, &call->id) ? ID : 0;
  if (take_word(c, WS_SLICE("\"target\":")))
    return take_text(c, &call->target) ? TARGET : 0;
  return take_word(c, WS_SLICE("\"type\":1")) ? TYPE : 0;
}

bool ws_call_read(struct ws_slice bytes, struct ws_call *call) {
  struct cursor c = {bytes.p, bytes.p + bytes.n};
  unsigned seen = 0;
  call->id = (struct ws_slice){NULL, 0};
  if (!take(&c, '{')) return false;
  do {
    enum field field = take_field(&c, call);
    if (!field || (seen & field)) return false;
    seen |= field;
  } while (take(&c, ','));
  return (seen | ID) == (TYPE | TARGET | ARGS | ID) && take(&c, '}') &&
         take(&c, RECORD_END) && c.p == c.end;
}

/* ---- the arguments ---- */

#define DIGITS_MAX 15

/* 6 of RFC 8259: no zeros in front. */
static bool take_integer(struct cursor *c, int64_t *integer) {
  bool is_negative = take(c, '-');
  const char *start = c->p;
  int64_t n = 0;
  while (peek(c) >= '0' && peek(c) <= '9' && c->p - start < DIGITS_MAX)
    n = n * 10 + (*c->p++ - '0');
  if (c->p == start || (*start == '0' && c->p - start > 1)) return false;
  *integer = is_negative ? -n : n;
  return true;
}

static bool take_any_text(struct cursor *c, struct ws_slice *text) {
  const char *start = c->p;
  while (c->p < c->end && is_plain(*c->p)) c->p++;
  *text = (struct ws_slice){start, (size_t)(c->p - start)};
  return take(c, '"');
}

static bool take_value(struct cursor *c, struct ws_call_value *value) {
  if (take(c, '"')) {
    value->type = WS_CALL_TEXT;
    return take_any_text(c, &value->text);
  }
  if (take_word(c, WS_SLICE("null"))) {
    value->type = WS_CALL_NULL;
    return true;
  }
  value->type = WS_CALL_BOOLEAN;
  value->boolean = peek(c) == 't';
  if (take_word(c, WS_SLICE("true")) || take_word(c, WS_SLICE("false")))
    return true;
  value->type = WS_CALL_INTEGER;
  return take_integer(c, &value->integer);
}

bool ws_call_take(struct ws_slice *left, struct ws_call_value *value) {
  struct cursor c = {left->p, left->p + left->n};
  if (!take_value(&c, value)) return false;
  bool is_last = peek(&c) == ']';
  if (!take(&c, ',') && !take(&c, ']')) return false;
  *left = (struct ws_slice){c.p, (size_t)(c.end - c.p)};
  return is_last == (left->n == 0);
}
