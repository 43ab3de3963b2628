/* rare.h: what few connections ever need, behind one pointer of the
 * connection. For the files of the engine. */
#ifndef EVWS_RARE_H
#define EVWS_RARE_H

#include "base/buf.h"
#include "engine/conn.h"

#define WS_PONGS_MAX 16    /* unsent; of more only the last is sent */
#define WS_CONTROLS_MAX 16 /* untold; of more the application does not hear */

struct ws_rare {
  struct ws_buf queue; /* messages that wait for the application: records */
  uint32_t queue_n;
  uint8_t queue_controls; /* of these are pings and pongs */
  uint8_t controls_n;
  struct ws_buf controls; /* pull mode: pings and pongs for their handler */
  uint16_t peer_code;     /* of a Close that waits for what came before it */
  double message_left;    /* of message_rate's burst, at tick message_at */
  uint32_t message_at;
  uint8_t pongs; /* queued while the kernel refuses bytes */
  bool has_pong; /* and the latest one beyond WS_PONGS_MAX */
  bool has_ping; /* our last ping had a payload of the application's */
  uint8_t pong_len, ping_len, reason_len;
  uint8_t ping[WS_CONTROL_MAX];
  uint8_t pong[WS_CONTROL_MAX];
  char reason[WS_REASON_MAX];
};

/* Bytes read from the descriptor that may not be parsed yet. */
struct ws_rest {
  size_t off, len;
  uint8_t data[];
};

/* The connection's rare part, made if need be; NULL without memory. */
struct ws_rare *ws_conn_rare(struct ws_conn *c);

#endif
