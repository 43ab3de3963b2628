/* json.c: see json.h. The grammar is that of RFC 8259, no more: no comments,
 * no comma behind the last, no NaN, no control characters in strings. */
#include "protocol/json.h"

enum wants {
  VALUE,        /* one has to come */
  VALUE_OR_END, /* or the end of the list that has begun */
  KEY,          /* one has to come */
  KEY_OR_END,   /* or the end of the object that has begun */
  COMMA_OR_END, /* of the level */
  END,          /* of the text: blanks */
  NOTHING,      /* it is over */
};

void ws_json_begin(struct ws_json *j, struct ws_slice text, size_t max_depth) {
  j->text = text;
  j->at = j->depth = 0;
  j->max_depth = max_depth;
  j->wants = VALUE;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Zero where the text ends: no token has one. */
static char peek(const struct ws_json *j) {
  return j->at < j->text.n ? j->text.p[j->at] : '\0';
}

static void skip_blanks(struct ws_json *j) {
  while (j->at < j->text.n && is_blank(j->text.p[j->at])) j->at++;
}

static enum ws_json_token fail(struct ws_json *j, enum ws_json_token why) {
  j->wants = NOTHING;
  return why;
}

bool ws_json_in_object(const struct ws_json *j) {
  size_t i = j->depth - 1;
  return j->is_object[i / 8] >> (i % 8) & 1;
}

static void after_value(struct ws_json *j) {
  j->wants = j->depth ? COMMA_OR_END : END;
}

static enum ws_json_token open_level(struct ws_json *j, bool is_object) {
  size_t i = j->depth;
  if (i == j->max_depth) return fail(j, WS_JSON_DEEP);
  uint8_t bit = (uint8_t)(1 << i % 8);
  j->is_object[i / 8] =
    is_object ? j->is_object[i / 8] | bit : j->is_object[i / 8] & (uint8_t)~bit;
  j->depth++;
  j->at++;
  j->wants = is_object ? KEY_OR_END : VALUE_OR_END;
  return is_object ? WS_JSON_OBJECT : WS_JSON_LIST;
}

/* 7: behind the backslash at `at`; false: no such escape. */
static bool skip_escape(struct ws_json *j) {
  char c = (j->at++, peek(j));
  if (c == 'u') {
    for (int i = 0; i < 4; i++)
      if ((j->at++, ws_hex_digit(peek(j)) < 0)) return false;
  } else if (c == '\0' || !strchr("\"\\/bfnrt", c)) {
    return false;
  }
  j->at++;
  return true;
}

/* Bytes that stand in a string for themselves. */
static size_t plain_run(const char *p, size_t n) {
  size_t i = 0;
  while (i < n && p[i] != '"' && p[i] != '\\' && (unsigned char)p[i] >= 0x20)
    i++;
  return i;
}

static bool read_string(struct ws_json *j, struct ws_slice *raw) {
  size_t start = j->at++;
  for (;;) {
    j->at += plain_run(j->text.p + j->at, j->text.n - j->at);
    char c = peek(j);
    if (c == '"') break;
    if (c != '\\' || !skip_escape(j)) return false;
  }
  j->at++;
  *raw = (struct ws_slice){j->text.p + start, j->at - start};
  return true;
}

static bool skip_digits(struct ws_json *j) {
  size_t start = j->at;
  while (is_digit(peek(j))) j->at++;
  return j->at > start;
}

/* 6 */
static bool read_number(struct ws_json *j) {
  if (peek(j) == '-') j->at++;
  if (peek(j) == '0')
    j->at++;
  else if (!skip_digits(j))
    return false;
  if (peek(j) == '.' && (j->at++, !skip_digits(j))) return false;
  if (peek(j) != 'e' && peek(j) != 'E') return true;
  j->at++;
  if (peek(j) == '+' || peek(j) == '-') j->at++;
  return skip_digits(j);
}

static bool read_word(struct ws_json *j, const char *word, size_t n) {
  if (j->text.n - j->at < n || memcmp(j->text.p + j->at, word, n) != 0)
    return false;
  j->at += n;
  return true;
}

static enum ws_json_token read_scalar(struct ws_json *j, struct ws_slice *raw) {
  size_t start = j->at;
  enum ws_json_token token = WS_JSON_NOT;
  char c = peek(j);
  if (c == '"')
    token = read_string(j, raw) ? WS_JSON_STRING : WS_JSON_NOT;
  else if (c == '-' || is_digit(c))
    token = read_number(j) ? WS_JSON_NUMBER : WS_JSON_NOT;
  else if (read_word(j, "true", 4))
    token = WS_JSON_TRUE;
  else if (read_word(j, "false", 5))
    token = WS_JSON_FALSE;
  else if (read_word(j, "null", 4))
    token = WS_JSON_NULL;
  if (token == WS_JSON_NOT) return fail(j, token);
  *raw = (struct ws_slice){j->text.p + start, j->at - start};
  after_value(j);
  return token;
}

static enum ws_json_token read_key(struct ws_json *j, struct ws_slice *raw) {
  if (peek(j) != '"' || !read_string(j, raw)) return fail(j, WS_JSON_NOT);
  skip_blanks(j);
  if (peek(j) != ':') return fail(j, WS_JSON_NOT);
  j->at++;
  j->wants = VALUE;
  return WS_JSON_KEY;
}

static enum ws_json_token close_level(struct ws_json *j, struct ws_slice *raw) {
  *raw = (struct ws_slice){j->text.p + j->at++, 1};
  j->depth--;
  after_value(j);
  return WS_JSON_CLOSE;
}

/* Where a level may end, does it? */
static bool is_end_of_level(const struct ws_json *j) {
  if (j->wants == VALUE_OR_END) return peek(j) == ']';
  if (j->wants == KEY_OR_END) return peek(j) == '}';
  return j->wants == COMMA_OR_END &&
         peek(j) == (ws_json_in_object(j) ? '}' : ']');
}

enum ws_json_token ws_json_next(struct ws_json *j, struct ws_slice *raw) {
  skip_blanks(j);
  *raw = (struct ws_slice){j->text.p + j->at, j->at < j->text.n};
  if (j->wants == NOTHING) return WS_JSON_END;
  if (j->wants == END)
    return fail(j, j->at == j->text.n ? WS_JSON_END : WS_JSON_NOT);
  if (is_end_of_level(j)) return close_level(j, raw);
  if (j->wants == COMMA_OR_END) {
    if (peek(j) != ',') return fail(j, WS_JSON_NOT);
    j->at++;
    skip_blanks(j);
    j->wants = ws_json_in_object(j) ? KEY : VALUE;
    *raw = (struct ws_slice){j->text.p + j->at, j->at < j->text.n};
  }
  if (j->wants == KEY || j->wants == KEY_OR_END) return read_key(j, raw);
  if (peek(j) == '{' || peek(j) == '[') return open_level(j, peek(j) == '{');
  return read_scalar(j, raw);
}

enum ws_json_token ws_json_skip(struct ws_json *j, struct ws_slice *raw) {
  size_t outside = j->depth - 1;
  const char *start = raw->p;
  struct ws_slice token;
  while (j->depth > outside) {
    enum ws_json_token what = ws_json_next(j, &token);
    if (what == WS_JSON_NOT || what == WS_JSON_DEEP) return what;
  }
  *raw = (struct ws_slice){start, (size_t)(j->text.p + j->at - start)};
  return WS_JSON_OBJECT;
}

/* ---- what a string says ---- */

bool ws_json_is_plain(struct ws_slice raw) {
  return !memchr(raw.p, '\\', raw.n);
}

static uint32_t hex4(const char *p) {
  uint32_t code = 0;
  for (int i = 0; i < 4; i++) code = code << 4 | (uint32_t)ws_hex_digit(p[i]);
  return code;
}

static size_t put_utf8(char *to, uint32_t code) {
  if (code < 0x80) return to[0] = (char)code, 1;
  size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = n - 1; i > 0; i--, code >>= 6)
    to[i] = (char)(0x80 | (code & 0x3F));
  to[0] = (char)((0xF00 >> n & 0xFF) | code);
  return n;
}

/* The character of the \uXXXX at p, which moves behind it, or behind both
 * halves of a pair (7). */
static uint32_t read_escaped(const char **p, const char *end) {
  uint32_t high = hex4(*p + 2);
  *p += 6;
  if (high < 0xD800 || high > 0xDFFF) return high;
  if (high > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
    return 0xFFFD;
  uint32_t low = hex4(*p + 2);
  if (low < 0xDC00 || low > 0xDFFF) return 0xFFFD;
  *p += 6;
  return 0x10000 + ((high - 0xD800) << 10 | (low - 0xDC00));
}

size_t ws_json_unescape(struct ws_slice raw, char *to) {
  static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
  const char *p = raw.p + 1, *end = raw.p + raw.n - 1;
  size_t n = 0;
  while (p < end) {
    if (*p != '\\') {
      to[n++] = *p++;
    } else if (p[1] == 'u') {
      n += put_utf8(to + n, read_escaped(&p, end));
    } else {
      const char *name = strchr(names, p[1]);
      to[n++] = name ? bytes[name - names] : p[1];
      p += 2;
    }
  }
  return n;
}
