/* reply.h: the answer that a client waits for: its head, behind any interim
 * ones, and the first bytes of the body of one that refuses. */
#ifndef EVWS_REPLY_H
#define EVWS_REPLY_H

#include "base/buf.h"
#include "protocol/body.h"
#include "protocol/http.h"

#define WS_REPLY_FIELDS_MAX 100
#define WS_REPLY_BODY_MAX 1024 /* bytes kept of a body */

struct ws_reply {
  struct ws_http http;
  struct ws_buf bytes; /* from the head on; the caller appends what comes */
  struct ws_buf body;  /* decoded */
  struct ws_body coding;
  size_t head; /* its length; 0 while it is read */
  int interim; /* answers with 1xx before the one that counts */
  struct ws_http_field fields[WS_REPLY_FIELDS_MAX];
};

/* Zeroed memory, or one that was read, waits for an answer. */
void ws_reply_begin(struct ws_reply *r);
void ws_reply_free(struct ws_reply *r);

/* Goes on with what was appended. The length of the head, which begins the
 * bytes then; 0 when more is needed; or an error, and *why. RFC 9110 15.2:
 * answers with 1xx may precede the one that counts, and 101 is one that
 * does. */
int ws_reply_read(struct ws_reply *r, const char **why);

/* What stands behind the head is its body, of a final answer. */
void ws_reply_begin_body(struct ws_reply *r);

/* Goes on with what was appended, which is dropped. True when no more of it
 * is wanted. */
bool ws_reply_read_body(struct ws_reply *r);

/* "403 Forbidden" in printable ASCII; returns its length, below cap. */
size_t ws_reply_status(const struct ws_reply *r, char *out, size_t cap);

/* The head, and the part of its body that was read. */
struct ws_slice ws_reply_whole(struct ws_reply *r);

/* Reads such a text again. The length of its head. */
int ws_reply_parse(struct ws_http *h,
                   struct ws_http_field fields[WS_REPLY_FIELDS_MAX],
                   char *bytes, size_t n);

#endif
