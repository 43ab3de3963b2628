/* body.c: the body of an HTTP/1.1 message, RFC 9112 6 and 7.
 *
 * Data is never looked at, only counted; everything around it in the chunked
 * coding goes through a state machine of one byte a step, so it does not
 * matter how the bytes are cut. Leniency with chunk heads is what smuggling
 * lives on: there is none. */
#include "protocol/body.h"

#include "protocol/http.h"

#define DIGITS_MAX 16      /* of a 64-bit size */
#define HEADS_RATIO 8      /* bytes around the data, for each byte of it */
#define HEADS_FREE 4096    /* and without any */
#define TRAILERS_MAX 16384 /* bytes */

/* The steps of the chunked coding in their order; a body whose length is
 * known stays in DATA. */
enum {
  SIZE,
  EXTENSION,
  SIZE_LF,
  DATA,
  DATA_CR,
  DATA_LF,
  TRAILER,
  TRAILER_NAME,
  TRAILER_VALUE,
  TRAILER_LF,
  LAST_LF,
  DONE
};

int ws_body_init_length(struct ws_body *b, uint64_t length, uint64_t max) {
  *b = (struct ws_body){.left = length, .max = max, .step = DATA};
  if (length > max) return WS_ERR_BODY_TOO_BIG;
  if (length == 0) b->step = DONE;
  return WS_OK;
}

void ws_body_init_chunked(struct ws_body *b, uint64_t max) {
  *b = (struct ws_body){.max = max, .step = SIZE, .is_chunked = true};
}

bool ws_body_is_done(const struct ws_body *b) {
  return b->step == DONE;
}

/* The value of a hexadecimal digit; -1 for what is none. */
static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = ws_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* chunk-size = 1*HEXDIG. RFC 9112 7.1.1 knows whitespace before an
 * extension, as bad; nothing sends it, and none is taken. */
static int take_size(struct ws_body *b, char c) {
  int digit = digit_value(c);
  if (digit < 0) {
    if (b->digits == 0 || (c != '\r' && c != ';')) return WS_ERR_BAD_REQUEST;
    b->step = c == '\r' ? SIZE_LF : EXTENSION;
    return WS_OK;
  }
  if (b->digits == DIGITS_MAX) return WS_ERR_BAD_REQUEST;
  b->digits++;
  b->left = b->left << 4 | (uint64_t)digit;
  return WS_OK;
}

/* The end of a chunk head. Trailers are weighed by themselves: a large body
 * does not allow for large trailers. */
static int end_head(struct ws_body *b) {
  if (b->left > b->max - b->total) return WS_ERR_BODY_TOO_BIG;
  b->digits = 0;
  b->step = b->left > 0 ? DATA : TRAILER;
  if (b->left == 0) b->overhead = 0;
  return WS_OK;
}

static int expect(struct ws_body *b, char c, char expected, uint8_t next) {
  if (c != expected) return WS_ERR_BAD_REQUEST;
  b->step = next;
  return WS_OK;
}

static bool is_tchar(char c) {
  return ws_http_is_token((struct ws_slice){&c, 1});
}

static bool is_control(char c) {
  return (unsigned char)c < ' ' || c == 0x7f;
}

/* RFC 9112 7.1.2: trailer fields obey the grammar of fields */
static int take_trailer(struct ws_body *b, char c) {
  switch (b->step) {
  case TRAILER:
    if (c == '\r') return expect(b, c, '\r', LAST_LF);
    b->step = TRAILER_NAME;
    return is_tchar(c) ? WS_OK : WS_ERR_BAD_REQUEST;
  case TRAILER_NAME:
    if (c == ':') b->step = TRAILER_VALUE;
    return c == ':' || is_tchar(c) ? WS_OK : WS_ERR_BAD_REQUEST;
  case TRAILER_VALUE:
    if (c == '\r') b->step = TRAILER_LF;
    return c == '\r' || c == '\t' || !is_control(c) ? WS_OK
                                                    : WS_ERR_BAD_REQUEST;
  case TRAILER_LF: return expect(b, c, '\n', TRAILER);
  default: return expect(b, c, '\n', DONE); /* LAST_LF */
  }
}

/* One byte that is not data. */
static int take_byte(struct ws_body *b, char c) {
  switch (b->step) {
  case SIZE: return take_size(b, c);
  case EXTENSION:
    if (c == '\r') b->step = SIZE_LF;
    return c == '\r' || !is_control(c) ? WS_OK : WS_ERR_BAD_REQUEST;
  case SIZE_LF: return c == '\n' ? end_head(b) : WS_ERR_BAD_REQUEST;
  case DATA_CR: return expect(b, c, '\r', DATA_LF);
  case DATA_LF: return expect(b, c, '\n', SIZE);
  default: return take_trailer(b, c);
  }
}

/* Extensions and chunks of one byte cost their sender little and everybody
 * else a lot. */
static bool is_overweight(const struct ws_body *b) {
  if (b->step >= TRAILER) return b->overhead > TRAILERS_MAX;
  return b->overhead > HEADS_FREE + HEADS_RATIO * b->total;
}

static size_t take_data(struct ws_body *b, const char *bytes, size_t n,
                        struct ws_slice *data) {
  size_t taken = n < b->left ? n : (size_t)b->left;
  *data = (struct ws_slice){bytes, taken};
  b->left -= taken;
  b->total += taken;
  if (b->left == 0) b->step = b->is_chunked ? DATA_CR : DONE;
  return taken;
}

int64_t ws_body_feed(struct ws_body *b, const char *bytes, size_t n,
                     struct ws_slice *data) {
  size_t i = 0;
  *data = (struct ws_slice){bytes, 0};
  while (i < n && b->step != DONE) {
    int err;
    if (b->step == DATA) {
      i += take_data(b, bytes + i, n - i, data);
      break;
    }
    b->overhead++;
    err = take_byte(b, bytes[i++]);
    if (err) return err;
    if (is_overweight(b)) return WS_ERR_BAD_REQUEST;
  }
  return (int64_t)i;
}

bool ws_body_parse_length(struct ws_slice value, uint64_t *length) {
  uint64_t sum = 0;
  for (size_t i = 0; i < value.n; i++) {
    uint64_t digit = (uint64_t)(value.p[i] - '0');
    if (value.p[i] < '0' || value.p[i] > '9') return false;
    if (sum > (UINT64_MAX - digit) / 10) return false;
    sum = sum * 10 + digit;
  }
  *length = sum;
  return value.n > 0;
}
