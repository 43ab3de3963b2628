/* packed_call.h: an invocation of SignalR's hub protocol "messagepack", where
 * nothing about it is rare, as call.h has it of "json". */
#ifndef EVWS_PACKED_CALL_H
#define EVWS_PACKED_CALL_H

#include <stdint.h>

#include "base/slice.h"

struct ws_packed_call {
  struct ws_slice target; /* not judged to be UTF-8, nor is the id */
  struct ws_slice id;     /* p is NULL: it has none */
  struct ws_slice args;   /* the values of the list, and what is behind it */
  uint32_t n_args;        /* declared */
  bool has_streams;       /* an empty list of them is behind the arguments */
};

/* One record with its length in front. False: it is something else, or needs a
 * reader that knows all of it. */
bool ws_packed_call_read(struct ws_slice bytes, struct ws_packed_call *call);

/* What is left behind the arguments: is it all that may be there? */
bool ws_packed_call_ends(const struct ws_packed_call *call,
                         struct ws_slice left);

#endif
