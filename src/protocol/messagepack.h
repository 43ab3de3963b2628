/* messagepack.h: MessagePack, one value after the other; and the values that
 * are written most. */
#ifndef EVWS_MESSAGEPACK_H
#define EVWS_MESSAGEPACK_H

#include <stdint.h>

#include "base/slice.h"

enum ws_messagepack_type {
  WS_MESSAGEPACK_NIL,
  WS_MESSAGEPACK_BOOLEAN,
  WS_MESSAGEPACK_INTEGER,
  WS_MESSAGEPACK_FLOAT, /* integers of 2^63 and more, too */
  WS_MESSAGEPACK_TEXT,  /* not judged: it may be none */
  WS_MESSAGEPACK_BYTES,
  WS_MESSAGEPACK_LIST,
  WS_MESSAGEPACK_MAP
};

struct ws_messagepack {
  enum ws_messagepack_type type;
  union {
    bool boolean;
    int64_t integer;
    double number;
    struct ws_slice bytes; /* of text and bytes, where they were read */
    uint32_t count;        /* values of a list, pairs of a map: declared */
  };
};

/* Takes the next value off the front; of a list or a map the head alone. False,
 * and *left is meaningless: it is cut, an extension, or none. */
bool ws_messagepack_take(struct ws_slice *left, struct ws_messagepack *value);

/* The most that the following write: in front of text, without its bytes. */
#define WS_MESSAGEPACK_HEAD 9

/* In the shortest form; return the place behind it. */
char *ws_messagepack_put_integer(char *to, int64_t value);
char *ws_messagepack_put_float(char *to, double value);
char *ws_messagepack_put_text_head(char *to, uint32_t n);

#endif
