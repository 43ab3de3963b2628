/* json: a text is taken exactly where a reader made for reading takes it, its
 * tokens make the text up again, in order, and what was skipped is what would
 * have been walked. What a string says is UTF-8 and no longer than it is.
 *
 * The first byte is the depth, the rest the text. */
#include "kit/fuzz.h"

#include <string.h>

#include "protocol/json.h"
#include "protocol/utf8.h"

/* The grammar of RFC 8259, as it is written there: recursive, for 64 levels. */
struct reader {
  const char *p, *end;
  size_t depth;
};

static void blanks(struct reader *r) {
  while (r->p < r->end && memchr(" \t\r\n", *r->p, 4)) r->p++;
}

static bool eat(struct reader *r, char c) {
  if (r->p == r->end || *r->p != c) return false;
  r->p++;
  return true;
}

static bool digits(struct reader *r) {
  const char *start = r->p;
  while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
  return r->p > start;
}

static bool number(struct reader *r) {
  eat(r, '-');
  if (!eat(r, '0') && !digits(r)) return false;
  if (eat(r, '.') && !digits(r)) return false;
  if (!eat(r, 'e') && !eat(r, 'E')) return true;
  if (!eat(r, '+')) eat(r, '-');
  return digits(r);
}

static bool string(struct reader *r) {
  if (!eat(r, '"')) return false;
  while (r->p < r->end && *r->p != '"') {
    if ((unsigned char)*r->p < 0x20) return false;
    if (*r->p++ != '\\') continue;
    if (r->p == r->end || !memchr("\"\\/bfnrtu", *r->p, 9)) return false;
    if (*r->p++ != 'u') continue;
    for (int i = 0; i < 4; i++, r->p++)
      if (r->p == r->end || ws_hex_digit(*r->p) < 0) return false;
  }
  return eat(r, '"');
}

static bool word(struct reader *r, const char *text) {
  size_t n = strlen(text);
  if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0) return false;
  r->p += n;
  return true;
}

static bool value(struct reader *r);

static bool members(struct reader *r, char close, bool is_object) {
  if (r->depth == 0) return false;
  r->depth--;
  blanks(r);
  if (!eat(r, close)) {
    do {
      blanks(r);
      if (is_object && !string(r)) return false;
      blanks(r);
      if (is_object && !eat(r, ':')) return false;
      if (!value(r)) return false;
    } while (eat(r, ','));
    if (!eat(r, close)) return false;
  }
  r->depth++;
  return true;
}

static bool value(struct reader *r) {
  bool ok;
  blanks(r);
  if (eat(r, '{'))
    ok = members(r, '}', true);
  else if (eat(r, '['))
    ok = members(r, ']', false);
  else if (r->p < r->end && *r->p == '"')
    ok = string(r);
  else
    ok = word(r, "true") || word(r, "false") || word(r, "null") || number(r);
  blanks(r);
  return ok;
}

static void check_string(struct ws_slice raw) {
  static char said[FUZZ_MAX];
  FUZZ_CHECK(raw.n >= 2 && raw.p[0] == '"' && raw.p[raw.n - 1] == '"');
  size_t n = ws_json_unescape(raw, said);
  FUZZ_CHECK(n <= raw.n - 2 && ws_utf8_is_valid(said, n));
  if (ws_json_is_plain(raw))
    FUZZ_CHECK(n == raw.n - 2 && memcmp(said, raw.p + 1, n) == 0);
}

/* Every token of the text; how far it goes. */
static enum ws_json_token walk(struct ws_slice text, size_t depth) {
  struct ws_json j;
  struct ws_slice raw;
  const char *last = text.p;
  ws_json_begin(&j, text, depth);
  for (;;) {
    enum ws_json_token token = ws_json_next(&j, &raw);
    if (token <= WS_JSON_END) {
      FUZZ_CHECK(ws_json_next(&j, &raw) == WS_JSON_END);
      return token;
    }
    FUZZ_CHECK(raw.p >= last && raw.n > 0 && raw.p + raw.n <= text.p + text.n);
    last = raw.p + raw.n;
    if (token == WS_JSON_KEY || token == WS_JSON_STRING) check_string(raw);
  }
}

/* The same, with everything inside of the outermost skipped. */
static enum ws_json_token skip(struct ws_slice text, size_t depth) {
  struct ws_json j;
  struct ws_slice raw;
  ws_json_begin(&j, text, depth);
  enum ws_json_token token = ws_json_next(&j, &raw);
  if (token == WS_JSON_OBJECT || token == WS_JSON_LIST) {
    token = ws_json_skip(&j, &raw);
    if (token <= WS_JSON_END) return token;
    FUZZ_CHECK(raw.n >= 2 && j.depth == 0);
    FUZZ_CHECK(raw.p[raw.n - 1] == (raw.p[0] == '{' ? '}' : ']'));
  }
  return token <= WS_JSON_END ? token : ws_json_next(&j, &raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  if (n < 1 || n > FUZZ_MAX) return 0;
  size_t depth = bytes[0] % 65;
  struct ws_slice text = {(char *)fuzz_fenced(&fence, bytes + 1, n - 1), n - 1};
  if (!ws_utf8_is_valid(text.p, text.n)) return 0;
  struct reader r = {text.p, text.p + text.n, depth};
  bool is_json = value(&r) && r.p == r.end;
  enum ws_json_token token = walk(text, depth);
  FUZZ_CHECK(is_json == (token == WS_JSON_END));
  FUZZ_CHECK(skip(text, depth) == token);
  return 0;
}
