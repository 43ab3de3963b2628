/* signals.h: signals of the process as bytes of a pipe. */
#ifndef EVWS_SIGNALS_H
#define EVWS_SIGNALS_H

/* Catches these n signals until the end of the process. Returns a descriptor
 * whose bytes are their numbers, the same one each time; or a negative
 * errno. */
int ws_signals_open(const int *signums, int n);

#endif
