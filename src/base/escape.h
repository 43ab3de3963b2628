/* escape.h: text that somebody else has written, where it is shown: a byte
 * that is no plain character becomes \xNN, so that a line of a log stays one
 * line, and a terminal does nothing. */
#ifndef EVWS_ESCAPE_H
#define EVWS_ESCAPE_H

#include "base/slice.h"

/* What stays as it is. */
enum ws_escape {
  WS_ESCAPE_WORD,  /* printable ASCII, but no blank and no backslash */
  WS_ESCAPE_ASCII, /* and the blank */
  WS_ESCAPE_TEXT,  /* UTF-8: whatever is seen where it stands; no controls, no
                      ends of lines, nothing that turns the direction */
  WS_ESCAPE_LINES  /* the same, and line feeds and tabs */
};

#define WS_ESCAPE_SHOWN 128 /* bytes of a text, by ws_escape_short */
#define WS_ESCAPE_SHORT (WS_ESCAPE_SHOWN * 4 + 4)

/* Writes into `out`, whose size is `cap`, with a zero byte behind; what does
 * not fit is left out, and three dots say so. Returns the length. */
size_t ws_escape(char *out, size_t cap, struct ws_slice text,
                 enum ws_escape how);

/* The same of the first 128 bytes. */
size_t ws_escape_short(char out[WS_ESCAPE_SHORT], struct ws_slice text,
                       enum ws_escape how);

#endif
