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

/* A control frame; always fits. */
enum ws_err ws_conn_send_control(struct ws_conn *c, uint8_t opcode,
                                 const void *data, size_t len);
enum ws_err ws_conn_send_close(struct ws_conn *c, int code,
                               struct ws_slice reason);

/* A ping; its pong tells the latency. Without data it carries its time. */
enum ws_err ws_conn_ping(struct ws_conn *c, const void *data, size_t len);

/* 7.1.7: a close frame, and no waiting for the peer's. */
void ws_conn_fail(struct ws_conn *c, int code, const char *cause);

/* Bytes that wait, those behind a writer included. */
size_t ws_conn_behind_writer(const struct ws_conn *c);
static inline size_t ws_conn_buffered(const struct ws_conn *c) {
  return c->stream.queued + (c->has_writer ? ws_conn_behind_writer(c) : 0);
}

/* ---- for those who send in other ways ---- */

/* A message that waits behind a writer's; its payload follows. */
struct ws_behind {
  size_t len;
  uint8_t opcode;
};

/* Open, and no Close of ours is on its way. */
bool ws_conn_can_send(const struct ws_conn *c);

/* Bytes at which the queue has drained. */
static inline uint64_t ws_conn_low_water(const struct ws_conn *c) {
  return c->needs_empty ? 0 : c->options->low_water;
}

/* Would a frame of so many bytes exceed max_queued? */
bool ws_conn_is_full(struct ws_conn *c, size_t len);

/* What is done with a message then. */
enum ws_err ws_conn_overflow(struct ws_conn *c);

/* Keeps a message behind the one that is being written; WS_ERR_CLOSED where
 * there is none. */
enum ws_err ws_conn_send_behind(struct ws_conn *c, uint8_t opcode,
                                const void *data, size_t len);

/* One frame; first: its opcode and bits. */
enum ws_err ws_conn_write_frame(struct ws_conn *c, uint8_t first,
                                const void *data, size_t len);

#endif
