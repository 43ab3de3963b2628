/* conn_send.h: what leaves an open connection. */
#ifndef EVWS_CONN_SEND_H
#define EVWS_CONN_SEND_H

#include "engine/conn_base.h"

/* Queues a message, behind that of a writer where one is at work. WS_OK,
 * WS_ERR_CLOSED, WS_ERR_FULL, WS_ERR_MEMORY (the connection then ends). The
 * opcode is WS_OP_TEXT (checked by the caller to be UTF-8) or WS_OP_BINARY. */
enum ws_err ws_conn_send(struct ws_conn *c, uint8_t opcode, const void *data,
                         size_t len);

/* The same, never compressed. */
enum ws_err ws_conn_send_plain(struct ws_conn *c, uint8_t opcode,
                               const void *data, size_t len);

/* A message that may go: while the kernel refuses bytes it waits unframed,
 * and what is sent meanwhile waits behind it. */
enum ws_err ws_conn_send_fleeting(struct ws_conn *c, uint8_t opcode,
                                  struct ws_slice message,
                                  const struct ws_fleet *how);

/* What waits behind other messages follows: as much as the kernel takes, or
 * all. Not while a writer is at work. */
void ws_conn_follow(struct ws_conn *c, bool all);

/* A control frame; always fits. */
enum ws_err ws_conn_send_control(struct ws_conn *c, uint8_t opcode,
                                 const void *data, size_t len);
enum ws_err ws_conn_send_close(struct ws_conn *c, int code,
                               struct ws_slice reason);

/* A ping; its pong tells the latency. Without data it carries its time. */
enum ws_err ws_conn_ping(struct ws_conn *c, const void *data, size_t len);

/* 7.1.7: a close frame, and no waiting for the peer's. */
void ws_conn_fail(struct ws_conn *c, int code, const char *cause);

/* Bytes that wait, those behind other messages included. */
size_t ws_conn_behind(const struct ws_conn *c);
static inline size_t ws_conn_buffered(const struct ws_conn *c) {
  return c->stream.queued + (ws_conn_has_behind(c) ? ws_conn_behind(c) : 0);
}

/* ---- for those who send in other ways ---- */

/* How the payload of a message that waits behind others leaves. */
enum ws_behind_kind {
  WS_BEHIND_FRAME,   /* as it stands, of this first byte */
  WS_BEHIND_MESSAGE, /* compressed, where that is due then */
  WS_BEHIND_FLEETING /* it is a pointer to a struct ws_fleeting */
};

/* A message that waits behind others; its payload follows. */
struct ws_behind {
  size_t len;
  uint8_t first, kind;
};

/* Open, and no Close of ours is on its way. */
bool ws_conn_can_send(const struct ws_conn *c);

/* Bytes at which the queue has drained. */
static inline uint64_t ws_conn_low_water(const struct ws_conn *c) {
  return c->needs_empty ? 0 : c->route->options.low_water;
}

/* Would a frame of so many bytes exceed max_queued? */
bool ws_conn_is_full(struct ws_conn *c, size_t len);

/* What is done with a message then. */
enum ws_err ws_conn_overflow(struct ws_conn *c);

/* Keeps a message behind those that wait or the one that is being written;
 * WS_ERR_CLOSED where there is none. first: its opcode, and RSV1. */
enum ws_err ws_conn_send_behind(struct ws_conn *c, uint8_t first,
                                const void *data, size_t len);

/* One frame; first: its opcode and bits. */
enum ws_err ws_conn_write_frame(struct ws_conn *c, uint8_t first,
                                const void *data, size_t len);

#endif
