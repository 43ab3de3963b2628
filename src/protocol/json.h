/* json.h: a JSON text (RFC 8259), checked and taken apart, without recursion
 * and without memory of its own. What it hands out are slices of the text. */
#ifndef EVWS_JSON_H
#define EVWS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define WS_JSON_DEPTH_MAX 1024 /* lists and objects inside of one another */

enum ws_json_token {
  WS_JSON_NOT,  /* no JSON: what is wrong stands at `at` */
  WS_JSON_DEEP, /* more levels than max_depth */
  WS_JSON_END,  /* of the text */
  WS_JSON_OBJECT,
  WS_JSON_LIST,
  WS_JSON_CLOSE, /* of the innermost object or list */
  WS_JSON_KEY,
  WS_JSON_STRING,
  WS_JSON_NUMBER,
  WS_JSON_TRUE,
  WS_JSON_FALSE,
  WS_JSON_NULL,
};

struct ws_json {
  struct ws_slice text;
  size_t at;    /* bytes read so far */
  size_t depth; /* levels that are open */
  size_t max_depth;
  uint8_t wants; /* what may come next; json.c's own */
  uint8_t is_object[WS_JSON_DEPTH_MAX / 8]; /* a bit for each level */
};

/* The text is to be UTF-8 and stay where it is; max_depth at most
 * WS_JSON_DEPTH_MAX. */
void ws_json_begin(struct ws_json *j, struct ws_slice text, size_t max_depth);

/* The next token. raw: where it stands; of a key or a string with its quotes,
 * of an object or a list the first byte alone. After NOT, DEEP and END no
 * other comes. */
enum ws_json_token ws_json_next(struct ws_json *j, struct ws_slice *raw);

/* From an object or a list that has just begun to its end: *raw becomes all of
 * it, and the token is OBJECT, or what stood in the way (NOT, DEEP). */
enum ws_json_token ws_json_skip(struct ws_json *j, struct ws_slice *raw);

/* Is the innermost level an object? There has to be one. */
bool ws_json_in_object(const struct ws_json *j);

/* Has this raw string escapes, or is it what stands between its quotes? */
bool ws_json_is_plain(struct ws_slice raw);

/* What a raw string says, written to `to`, which has room for raw.n bytes: how
 * many. Half a surrogate pair is U+FFFD. */
size_t ws_json_unescape(struct ws_slice raw, char *to);

#endif
