/* resp.h: the protocol of Redis (RESP2). Bytes in, items out: hiredis' reader
 * parses, with functions of ours in place of its objects; and commands as
 * bytes. Where evws was built without hiredis only the commands work. */
#ifndef EVWS_RESP_H
#define EVWS_RESP_H

#include "base/buf.h"
#include "base/slice.h"

enum ws_resp_type {
  WS_RESP_STRING,
  WS_RESP_STATUS,
  WS_RESP_ERROR,
  WS_RESP_INTEGER,
  WS_RESP_NIL,
  WS_RESP_ARRAY
};

/* A reply, or a part of one: an array comes before what is in it. */
struct ws_resp_item {
  enum ws_resp_type type;
  unsigned depth;       /* 0: the reply itself */
  size_t index;         /* in its array */
  int64_t n;            /* of an integer; of an array, how many items follow */
  struct ws_slice text; /* during the call */
};

/* Neither function may feed or free it. */
struct ws_resp {
  void (*item)(struct ws_resp *, const struct ws_resp_item *);
  void (*done)(struct ws_resp *); /* a reply is whole */
  void *reader;
  size_t held;    /* bytes of the reply that is not whole */
  size_t max;     /* so many of them at most */
  bool is_over;   /* nothing more is read: set by whoever has had enough */
  bool is_inside; /* of a reply whose beginning was told */
};

/* Can replies be read at all? */
bool ws_resp_is_built_in(void);

/* For replies of at most so many bytes. False without memory. */
bool ws_resp_init(struct ws_resp *r, size_t max);
void ws_resp_free(struct ws_resp *r);

/* NULL, or why it is no reply; then nothing more may be fed. */
const char *ws_resp_feed(struct ws_resp *r, const void *bytes, size_t n);

/* The bytes of a command's head, of a word's length, which the word and a line
 * end follow, and of a whole word; each returns where it ends. A word of n
 * bytes takes WS_RESP_WORD_MAX + n at most. */
#define WS_RESP_HEAD_MAX 24
#define WS_RESP_WORD_MAX 26
char *ws_resp_write_head(char *to, size_t words);
char *ws_resp_write_length(char *to, size_t n);
char *ws_resp_write_word(char *to, struct ws_slice word);

/* Appends a command; false without memory, and nothing is appended. */
bool ws_resp_append(struct ws_buf *b, const struct ws_slice *words, size_t n);

#endif
