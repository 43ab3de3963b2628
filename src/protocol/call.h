/* call.h: an invocation of SignalR's hub protocol "json", where nothing about
 * it is rare: one record, as JSON.stringify writes it. */
#ifndef EVWS_CALL_H
#define EVWS_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct ws_call {
  struct ws_slice target; /* what its quotes hold, and no escapes are there */
  struct ws_slice id;     /* likewise; p is NULL: it has none */
  struct ws_slice args;   /* the list with its brackets, not judged further */
  bool has_args;          /* is there anything between them? */
};

/* UTF-8, the 0x1E behind the record included. False: it is something else, or
 * needs a reader that knows all of JSON: blanks, escapes in names, lists that
 * are empty inside of the arguments. */
bool ws_call_read(struct ws_slice bytes, struct ws_call *call);

enum ws_call_type {
  WS_CALL_NULL,
  WS_CALL_BOOLEAN,
  WS_CALL_INTEGER, /* of 15 digits at most: a double has each of them */
  WS_CALL_TEXT,    /* without escapes */
};

struct ws_call_value {
  enum ws_call_type type;
  union {
    bool boolean;
    int64_t integer;
    struct ws_slice text;
  };
};

/* Takes the next argument off the front, with the comma or the bracket behind
 * it; *left begins behind the bracket of args and is empty after the last one.
 * False, and *left is meaningless: it is something else, or no JSON. */
bool ws_call_take(struct ws_slice *left, struct ws_call_value *value);

/* Is this text, between quotes, what it says (no quote, backslash, control)? */
bool ws_call_is_plain(struct ws_slice text);

#endif
