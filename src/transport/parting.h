/* parting.h: the end of a stream where no turn follows any more, as at the end
 * of the process. */
#ifndef EVWS_PARTING_H
#define EVWS_PARTING_H

#include "transport/stream.h"

/* Waits until the peer has taken what is queued and ended its half, so many
 * seconds at most, and closes the stream; what the peer says is thrown away. */
void ws_parting(struct ws_stream *s, double seconds);

#endif
