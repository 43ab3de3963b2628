/* head.h: the head of an HTTP/1.1 message by a reader that has all of it
 * before it: for comparison with src/protocol/http.c. */
#ifndef EVWS_FUZZ_HEAD_H
#define EVWS_FUZZ_HEAD_H

#include "protocol/http.h"

/* Is this what ws_http_request (or ws_http_response) has to answer for these
 * bytes and limits? read: the bytes as it has left them, line breaks inside of
 * values as blanks. Ends the process when it is not. */
void head_check(const struct ws_http *h, int result, struct ws_slice bytes,
                const char *read, bool is_response);

/* How many fields have this name? */
size_t head_count(const struct ws_http *h, struct ws_slice bytes,
                  const char *name);

#endif
