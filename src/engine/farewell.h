/* farewell.h: the end of a server: everybody is told, and waited for. */
#ifndef EVWS_FAREWELL_H
#define EVWS_FAREWELL_H

#include "engine/server_base.h"

/* So many close frames leave at once; further ones follow in steps, spread
 * over at most a quarter of the time that closing may take, so that clients
 * that come back do not all come in the same instant. */
#define WS_FAREWELL_BATCH 100
#define WS_FAREWELL_STEP 0.1 /* seconds between two, where there is time */

/* Readies the timers of a server that starts. */
void ws_farewell_init(struct ws_server *s);

/* The host has done what it had to do first (host->closing). Harmless when
 * repeated, or when the server is gone. */
void ws_farewell_go(struct ws_server *s);

/* Stops listening, lets the host do what it has to, sends a close frame with
 * this code to everyone, and cuts after `timeout` seconds what is left (0: at
 * once). host->server_gone follows in a later turn, was_cut tells whether
 * somebody had to be cut. */
void ws_farewell_begin(struct ws_server *s, int code, struct ws_slice reason,
                       double timeout);

#endif
