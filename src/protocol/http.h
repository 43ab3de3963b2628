/* http.h: heads of HTTP/1.1 requests and responses (RFC 9112), strictly.
 *
 * The parser is resumable: it is called again with the same bytes and more of
 * them, and goes on where it stopped; no byte is scanned twice. Everything is
 * reported as an offset into the caller's bytes, which may move between two
 * calls. Nothing is allocated: the caller lends the array of fields.
 *
 * Strict means: lines end in CR LF and in nothing else; no whitespace before
 * a colon; no line folding in requests; no empty name; names are tokens;
 * values hold no control byte but HTAB (bytes from 0x80 are passed on); one
 * space between the parts of a request line; a version that reads HTTP/1.0 or
 * HTTP/1.1 (another HTTP/d.d is WS_ERR_VERSION). Up to four empty lines, each
 * of CR LF, may stand in front of a request (2.2). */
#ifndef EVWS_HTTP_H
#define EVWS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* Fields that the handshake or the message framing looks at. */
enum ws_http_id {
  WS_HTTP_OTHER,
  WS_HTTP_CONNECTION,
  WS_HTTP_CONTENT_LENGTH,
  WS_HTTP_EXPECT,
  WS_HTTP_HOST,
  WS_HTTP_ORIGIN,
  WS_HTTP_SEC_WEBSOCKET_ACCEPT,
  WS_HTTP_SEC_WEBSOCKET_EXTENSIONS,
  WS_HTTP_SEC_WEBSOCKET_KEY,
  WS_HTTP_SEC_WEBSOCKET_PROTOCOL,
  WS_HTTP_SEC_WEBSOCKET_VERSION,
  WS_HTTP_TRANSFER_ENCODING,
  WS_HTTP_UPGRADE,
  WS_HTTP_IDS
};

struct ws_http_field {
  uint32_t name, value; /* offsets; value without surrounding whitespace */
  uint16_t name_len;
  uint8_t id;
  uint32_t value_len;
};

struct ws_http {
  /* Set by the caller before the first byte. */
  struct ws_http_field *fields; /* room for max_fields of them */
  uint32_t max_fields;          /* more: WS_ERR_HEADERS_TOO_BIG */
  uint32_t max_line;            /* start line without CR LF: URI_TOO_LONG */
  uint32_t max_field_line;      /* each field line: HEADERS_TOO_BIG */
  uint32_t max_head;            /* all field lines with their CR LFs, but not
                                   the empty one: HEADERS_TOO_BIG */

  /* The result, complete when the parser has returned a length. */
  uint32_t n_fields;
  uint32_t method, method_len; /* request: a token, case kept */
  uint32_t target, target_len; /* request: as sent */
  uint32_t reason, reason_len; /* response */
  uint16_t status;             /* response: 100 to 999 */
  uint8_t minor;               /* 0 or 1: HTTP/1.minor */

  /* The parser's own. */
  uint8_t step;
  uint8_t skipped; /* empty lines in front */
  uint32_t line;   /* where the line being read starts */
  uint32_t pos;    /* how far it was scanned */
  uint32_t head;   /* where the field lines start */
};

/* Readies *h for the next head; fields and limits are kept. */
void ws_http_reset(struct ws_http *h);

/* bytes[0, n) starts with the first byte of the head; n never shrinks between
 * calls. Returns the length of the head with its empty line, 0 when more is
 * needed, or an error: BAD_REQUEST, URI_TOO_LONG, HEADERS_TOO_BIG, VERSION.
 * A limit is enforced when it is passed, not when the line ends, and a bad
 * byte as soon as the line that holds it is complete or over its limit. */
int ws_http_request(struct ws_http *h, const char *bytes, size_t n);

/* Has a request begun, of which n bytes are there? Empty lines in front of it
 * are none yet. */
static inline bool ws_http_has_begun(const struct ws_http *h, size_t n) {
  return h->head > 0 || n > h->line;
}

/* The same for a response; what is malformed is BAD_REQUEST here too. A field
 * may be folded (RFC 9112 5.2): the line breaks in its value are written over
 * by blanks. Each of its lines has to keep to max_field_line. */
int ws_http_response(struct ws_http *h, char *bytes, size_t n);

/* Is a response a BAD_REQUEST for a line that ends in LF without CR? */
bool ws_http_has_bare_lf(const struct ws_http *h, const char *bytes, size_t n);

static inline struct ws_slice ws_http_name(const char *bytes,
                                           const struct ws_http_field *f) {
  return (struct ws_slice){bytes + f->name, f->name_len};
}

static inline struct ws_slice ws_http_value(const char *bytes,
                                            const struct ws_http_field *f) {
  return (struct ws_slice){bytes + f->value, f->value_len};
}

/* The fields of a head by their id. */
struct ws_http_index {
  const struct ws_http_field *first[WS_HTTP_IDS]; /* NULL: none */
  uint32_t n[WS_HTTP_IDS];
};

void ws_http_index_fields(const struct ws_http *h, struct ws_http_index *index);

/* Is the token, without case, an element of the list that all fields with the
 * id of `first` make up together (RFC 9110 5.3)? first, an entry of the
 * index, may be NULL: then not. */
bool ws_http_has_token(const struct ws_http *h, const char *bytes,
                       const struct ws_http_field *first,
                       struct ws_slice token);

/* Is s a token (RFC 9110 5.6.2), of one byte at least? */
bool ws_http_is_token(struct ws_slice s);

/* May s stand as a field value: no control byte but HTAB, no whitespace at
 * either end? Guards what applications put into a head. */
bool ws_http_is_value(struct ws_slice s);

/* Takes the next element of a comma-separated list (RFC 9110 5.6.1) out of
 * *list, whitespace trimmed, empty elements skipped; quoted strings are kept
 * whole. False at the end of the list. Linear in what it takes. */
bool ws_http_next_element(struct ws_slice *list, struct ws_slice *element);

#endif
