/* retire.h: a server that goes while others go on listening on its sockets. */
#ifndef EVWS_RETIRE_H
#define EVWS_RETIRE_H

#include "engine/server_base.h"

/* It listens no more, and whoever it has accepted is served as ever: nobody is
 * refused. After `linger` seconds, and when those that were on their way are
 * open or answered, and none is expected, it closes as by ws_farewell_begin
 * with `grace` as its timeout. Told again: the sooner one counts. */
void ws_retire_begin(struct ws_server *s, double linger, int code,
                     double grace);

#endif
