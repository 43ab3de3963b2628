/* rare.h: what few connections ever need, behind one pointer of the
 * connection. For the files of the engine. */
#ifndef EVWS_RARE_H
#define EVWS_RARE_H

#include "base/buf.h"
#include "engine/conn.h"

#define WS_PONGS_MAX 16    /* unsent; of more only the last is sent */
#define WS_CONTROLS_MAX 16 /* untold; of more the application does not hear */

struct ws_retry; /* retry.c */

/* A message that is sent in fragments. */
struct ws_writing {
  struct ws_buf behind; /* messages that wait for its end: records */
  const void *by;       /* the host's mark of who writes */
  uint32_t id;
  uint8_t first; /* opcode of the next fragment */
};

struct ws_rare {
  struct ws_buf queue; /* messages that wait for the application: records */
  uint32_t queue_n;
  bool is_marked;         /* the last record tells of a loss */
  uint8_t queue_controls; /* of these are pings and pongs */
  uint8_t controls_n;
  struct ws_writing writing;
  struct ws_buf controls; /* pull mode: pings and pongs for their handler */
  uint16_t peer_code;     /* of a Close that waits for what came before it */
  uint64_t missed;        /* publishes that met a full queue */
  double message_spent;   /* of message_rate's burst, at tick message_at */
  uint32_t message_at;
  uint8_t pongs; /* queued while the kernel refuses bytes */
  bool has_pong; /* and the latest one beyond WS_PONGS_MAX */
  bool has_ping; /* our last ping had a payload of the application's */
  uint8_t pong_len, ping_len, reason_len;
  uint8_t ping[WS_CONTROL_MAX];
  uint8_t pong[WS_CONTROL_MAX];
  char reason[WS_REASON_MAX];
  struct ws_retry *retry; /* of a client with reconnect */
};

/* Bytes read from the descriptor that may not be parsed yet. */
struct ws_rest {
  size_t off, len;
  uint8_t data[];
};

/* The connection's rare part, made if need be; NULL without memory. */
struct ws_rare *ws_conn_rare(struct ws_conn *c);

/* ---- conn_send.c, for conn_writer.c ---- */

/* Open, and no Close of ours is on its way. */
bool ws_conn_can_send(const struct ws_conn *c);

/* What is done with a message when ws_conn_is_full. */
enum ws_err ws_conn_refuse(struct ws_conn *c);

/* One frame; first: its opcode and bits. */
enum ws_err ws_conn_write_frame(struct ws_conn *c, uint8_t first,
                                const void *data, size_t len);

/* ---- conn_writer.c, for conn.c and conn_send.c ---- */

/* Keeps a message behind the one that is being written; WS_ERR_CLOSED where
 * there is none. */
enum ws_err ws_conn_hold(struct ws_conn *c, uint8_t opcode, const void *data,
                         size_t len);

/* A Close: the message stays unfinished, those behind it are dropped. */
void ws_conn_drop_writer(struct ws_conn *c);

#endif
