/* farewell.h: the end of a server: everybody is told, and waited for. */
#ifndef EVWS_FAREWELL_H
#define EVWS_FAREWELL_H

#include "engine/server.h"

/* So many close frames leave at once; further ones follow in steps, spread
 * over at most a quarter of the time that closing may take, so that clients
 * that come back do not all come in the same instant. */
#define WS_FAREWELL_BATCH 100
#define WS_FAREWELL_STEP 0.1 /* seconds between two, where there is time */

/* A connection that has not asked for anything when the listener is closed
 * has so long to do it; an upgrade is answered with 503. */
#define WS_FAREWELL_LATE 1.0 /* seconds */

/* Readies the timers of a server that starts. */
void ws_farewell_init(struct ws_server *s);

/* Tells host->server_gone when a closing server has nothing left. */
void ws_farewell_check(struct ws_server *s);

/* No timer of it runs any more. */
void ws_farewell_stop(struct ws_server *s);

#endif
