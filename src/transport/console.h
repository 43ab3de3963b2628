/* console.h: lines on standard error. Writing one neither ends the process,
 * where the reader is gone, nor stops it, where nobody reads: then the line is
 * left out, and the next one that can be written says how many are missing. */
#ifndef EVWS_CONSOLE_H
#define EVWS_CONSOLE_H

#include <stddef.h>

#define WS_CONSOLE_MAX 4000 /* bytes of a record, its line feed included */

/* One record; what is beyond WS_CONSOLE_MAX bytes is left out. */
void ws_console_write(const char *record, size_t n);

#endif
