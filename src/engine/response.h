/* response.h: answers to HTTP requests, and the 101 that opens. The public
 * calls, ws_conn_respond and ws_conn_accept, are in upgrade.h. */
#ifndef EVWS_RESPONSE_H
#define EVWS_RESPONSE_H

#include "engine/upgrade.h"

/* RFC 9110 15.5.22, RFC 6455 4.4: what a 426 has to say. */
#define WS_RESPONSE_UPGRADE "Upgrade: websocket\r\n"
#define WS_RESPONSE_VERSION \
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

/* RFC 9110 15.5.6: what a 405 has to say; upgrades are by GET. */
#define WS_RESPONSE_ALLOW "Allow: GET\r\n"

/* An answer of the engine's own: the status as text. */
void ws_response_error(struct ws_conn *c, int status, struct ws_slice fields);

/* 100 Continue, for a request whose body is awaited. */
void ws_response_continue(struct ws_conn *c);

#endif
