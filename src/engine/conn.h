/* conn.h: one connection, from accept (or connect) to its last byte.
 *
 *   PENDING  the opening handshake, or plain HTTP
 *   OPEN     messages both ways
 *   CLOSING  we have begun the closing handshake and wait for the peer's half
 *   CLOSED   over: the application learns it (once) by host->closed; bytes
 *            that are owed still leave, then the descriptor lingers
 *
 * conn.c is the life, conn_deadline.c what time does to it, conn_read.c what
 * arrives, conn_event.c what control frames do, conn_send.c what leaves,
 * conn_writer.c a message in fragments, upgrade.c the HTTP in front. */
#ifndef EVWS_CONN_H
#define EVWS_CONN_H

#include "engine/host.h"
#include "engine/options.h"
#include "protocol/protocol.h"
#include "transport/net.h"
#include "transport/stream.h"

enum ws_conn_state {
  WS_CONN_PENDING,
  WS_CONN_OPEN,
  WS_CONN_CLOSING,
  WS_CONN_CLOSED
};

/* How messages reach the application. */
enum ws_conn_mode { WS_PULL, WS_CALLBACK, WS_DISCARD };

/* What is known of a connection for as long as it lives, in one block. */
struct ws_text { /* shared by count */
  uint32_t refs;
  uint32_t len;
  char text[];
};

struct ws_text *ws_text_new(struct ws_slice text); /* one reference */
void ws_text_release(struct ws_text *t);           /* t may be NULL */

struct ws_meta {
  struct ws_text *origin;  /* NULL without */
  struct ws_text *pattern; /* of the route, NULL where it has none */
  uint16_t path_len, query_len, subprotocol_len, port;
  uint8_t address_len;
  bool has_subprotocol;
  char text[]; /* path, query, sub-protocol, address */
};

struct ws_pending; /* upgrade.c */
struct ws_member;
struct ws_rest; /* bytes that were read and are not parsed yet */
struct ws_rare; /* what few connections ever need */
struct ws_route;
struct ws_client; /* client.c */

struct ws_conn {
  struct ws_stream stream; /* first */
  struct ws_deadline deadline;
  struct ws_protocol protocol;
  struct ws_list link;      /* of the server's connections */
  struct ws_server *server; /* NULL for a client */
  struct ws_route *route;
  const struct ws_conn_options *options; /* the route's */
  struct ws_meta *meta;
  union {
    struct ws_pending *pending; /* until it is open, on a server */
    struct ws_client *client;   /* until it is open, on a client */
  };
  struct ws_rest *rest;
  struct ws_rare *rare;
  struct ws_member *member; /* topic.c: it has subscribed to something */
  const char *cause;        /* why it ended, when no close frame says so */
  uint64_t id;
  double ping_at;      /* when our last ping left, 0 when it was answered */
  float latency;       /* seconds, of the last answered one; negative: none */
  uint32_t heard;      /* tick of the last byte */
  uint32_t messaged;   /* tick of the last message */
  uint32_t opened;     /* tick of opening */
  uint32_t began;      /* tick of opening; then of our close frame's leaving */
  float control_spent; /* of control_rate's burst, at tick control_at */
  uint32_t control_at;
  uint16_t code;
  uint16_t status; /* a client's: of an answer that was no 101 */
  uint16_t busy;   /* handlers that have not returned */
  uint8_t state, mode;
  uint8_t scheme; /* enum ws_scheme: what a trusted proxy says of it */
  bool is_client : 1;
  bool is_receiving : 1;     /* pull mode: a receiver waits */
  bool is_paused : 1;        /* by the application */
  bool is_backed_up : 1;     /* too much waits behind a writer to read on */
  bool was_high : 1;         /* above high_water: on_drain is due */
  bool is_drain_awaited : 1; /* a task waits for low_water */
  bool is_close_sent : 1;    /* our close frame is queued */
  bool has_writer : 1;       /* messages wait behind one that is written */
  bool is_close_left : 1;    /* and the kernel has it */
  bool is_close_pending : 1; /* the peer's waits for what came before it */
  bool is_ours : 1;          /* we began the close, for the cause that is set */
  bool is_shutdown : 1;      /* our close frame is out, reading goes on */
  bool is_eof : 1;           /* the peer's half has ended */
  bool is_cut : 1;           /* no farewell: the descriptor is closed at once */
  bool was_opened : 1;       /* host->opened was called */
  bool is_told : 1;          /* host->closed was called */
  bool is_tell_due : 1;      /* it had no memory: it is called again */
  bool is_freed : 1;         /* the engine has forgotten it */
  bool is_control_due : 1;   /* pull mode: its handler comes before messages */
  bool wants_control : 1;    /* the application has on_ping or on_pong */
  bool is_telling : 1;       /* the host runs such a handler */
};

/* ---- life ---- */

struct ws_loop *ws_conn_loop(const struct ws_conn *c);
struct ws_host *ws_conn_host(const struct ws_conn *c);

/* Makes zeroed memory a connection on a connected descriptor. */
void ws_conn_init(struct ws_conn *c, struct ws_loop *loop,
                  struct ws_route *route, int fd, uint64_t id);

/* PENDING becomes OPEN: host->opened is called. agreed: of extensions. */
void ws_conn_open(struct ws_conn *c, enum ws_role role,
                  const struct ws_extension *agreed);

/* Our close frame, then the peer's, at most close_timeout later. cause: NULL
 * when the application asks; else what on_close will say. Harmless when the
 * connection is closing already. */
void ws_conn_close(struct ws_conn *c, int code, struct ws_slice reason,
                   const char *cause);

/* As ws_conn_close, but messages are received until the peer's close. */
void ws_conn_shutdown(struct ws_conn *c, int code, struct ws_slice reason);

/* 7.1.7: a close frame, and no waiting for the peer's. */
void ws_conn_fail(struct ws_conn *c, int code, const char *cause);

/* The end, without a farewell. */
void ws_conn_cut(struct ws_conn *c, int code, const char *cause);

/* As ws_conn_cut, and messages that wait for a handler are dropped. */
void ws_conn_terminate(struct ws_conn *c, int code, const char *cause);

/* A client that was lost, and has been told so, is PENDING again: everything
 * of the old connection is given back but what the application has of it:
 * id, meta, mode, unread messages, why it ended. */
void ws_conn_renew(struct ws_conn *c);

/* The end; what is queued still leaves. Used by the files of the engine. */
void ws_conn_end(struct ws_conn *c, int code, const char *cause);

/* At the end of everything: queued bytes and Close 1001 are offered to the
 * kernel once, then all is given back; the host is not called. */
void ws_conn_abandon(struct ws_conn *c);

/* Gives back what outlives the end: address, path, the reason. For the owner
 * of the memory, after free_conn. */
void ws_conn_dispose(struct ws_conn *c);

/* The on_deadline of every loop with connections. */
void ws_conn_on_deadline(struct ws_deadline *d);

/* Something has changed that a deadline or the watching depends on. */
void ws_conn_update(struct ws_conn *c);

/* What the handlers see. Did the client come over TLS, to us or as a trusted
 * proxy says? */
bool ws_conn_is_secure(const struct ws_conn *c);
int ws_conn_code(const struct ws_conn *c);
struct ws_slice ws_conn_reason(const struct ws_conn *c);

/* The block for these facts; NULL without memory. */
struct ws_meta *ws_conn_new_meta(struct ws_slice path, struct ws_slice query,
                                 struct ws_slice subprotocol,
                                 const struct ws_address *peer);

/* Remembers the peer's words; WS_ERR_MEMORY loses them, nothing else. */
enum ws_err ws_conn_set_reason(struct ws_conn *c, const void *reason, size_t n);

/* ---- conn_read.c ---- */

/* The next message, or chunk of one (protocol.wants_chunks), in order; in
 * callback mode with pings and pongs between, where wants_control; in pull
 * mode of a client that reconnects with the loss of a connection between.
 * False when there is none now, or none may be taken.
 * Its data stay until ws_conn_release or the next call. */
bool ws_conn_next(struct ws_conn *c, struct ws_event *ev);
void ws_conn_release(struct ws_conn *c);

/* Keeps a message that was taken for whoever takes the next one, behind all
 * that is kept already. False without memory: the connection ends. */
bool ws_conn_enqueue(struct ws_conn *c, const struct ws_event *ev);

/* Puts the end of this connection, an event WS_EVENT_CLOSE for ws_conn_next,
 * behind what nobody has taken yet. False without memory. */
bool ws_conn_mark_loss(struct ws_conn *c);

/* Bytes that came with or before the upgrade's last one. */
void ws_conn_input(struct ws_conn *c, uint8_t *bytes, size_t n);

/* Deliveries may go on: mode, receiver, busy or pause changed. */
void ws_conn_resume(struct ws_conn *c);
void ws_conn_pause(struct ws_conn *c, bool on);
bool ws_conn_has_queue(const struct ws_conn *c);

/* Used by conn.c. */
void ws_conn_read(struct ws_conn *c);
bool ws_conn_wants_read(const struct ws_conn *c);
void ws_conn_drop_input(struct ws_conn *c, bool queue_too);
void ws_conn_drop_queue(struct ws_conn *c);
/* In the next turn, if there is something and it may be. */
void ws_conn_deliver_later(struct ws_conn *c);

/* ---- conn_event.c ---- */

/* Does what an event asks for that is no message; true when it is one for the
 * application too. */
bool ws_conn_take_event(struct ws_conn *c, const struct ws_event *ev);

/* Chunks of a message go to a handler; there may be none any more. */
static inline bool ws_conn_takes_chunks(const struct ws_conn *c) {
  return c->mode == WS_CALLBACK || c->protocol.wants_chunks;
}

/* Takes the oldest ping or pong that host->control told of; false when there
 * is none. While is_telling is set messages do not wait for further ones. The
 * data stay until the next call that reads. */
bool ws_conn_next_control(struct ws_conn *c, struct ws_event *ev);
/* Keeps one for it. */
void ws_conn_keep_control(struct ws_conn *c, const struct ws_event *ev);

/* One more message, where message_rate is set; false when it was one too
 * many, and the connection has failed. */
bool ws_conn_spend_message(struct ws_conn *c);

/* The peer's Close has waited for what came before it: now it is answered. */
void ws_conn_answer_close(struct ws_conn *c);

/* ---- conn_send.c ---- */

/* Queues a message, behind that of a writer where one is at work. WS_OK,
 * WS_ERR_CLOSED, WS_ERR_FULL, WS_ERR_MEMORY (the connection then ends). The
 * opcode is WS_OP_TEXT (checked by the caller to
 * be UTF-8) or WS_OP_BINARY. */
enum ws_err ws_conn_send(struct ws_conn *c, uint8_t opcode, const void *data,
                         size_t len);

/* The same, never compressed. */
enum ws_err ws_conn_send_plain(struct ws_conn *c, uint8_t opcode,
                               const void *data, size_t len);

/* Would a frame of so many bytes exceed max_queued? */
bool ws_conn_is_full(struct ws_conn *c, size_t len);

/* A control frame; always fits. */
enum ws_err ws_conn_send_control(struct ws_conn *c, uint8_t opcode,
                                 const void *data, size_t len);
enum ws_err ws_conn_send_close(struct ws_conn *c, int code,
                               struct ws_slice reason);

/* Bytes that wait, those behind a writer included. */
size_t ws_conn_behind_writer(const struct ws_conn *c);
static inline size_t ws_conn_buffered(const struct ws_conn *c) {
  return c->stream.queued + (c->has_writer ? ws_conn_behind_writer(c) : 0);
}

/* A ping; its pong tells the latency. Without data it carries its time. */
enum ws_err ws_conn_ping(struct ws_conn *c, const void *data, size_t len);

/* ---- conn_writer.c ---- */

/* Begins a message in fragments; *id names it in the calls below. WS_OK,
 * WS_ERR_CLOSED (also where another one is open), WS_ERR_MEMORY. */
enum ws_err ws_conn_writer_begin(struct ws_conn *c, uint8_t opcode,
                                 uint32_t *id);

/* Sends one fragment, as ws_conn_send does; nothing for no bytes. */
enum ws_err ws_conn_writer_write(struct ws_conn *c, uint32_t id,
                                 const void *data, size_t len);

/* Sends the last, empty one, and all that has waited for it. */
enum ws_err ws_conn_writer_finish(struct ws_conn *c, uint32_t id);

/* Can it be written to? */
bool ws_conn_writer_is_open(const struct ws_conn *c, uint32_t id);

/* The host's mark of who writes: set, and compared. */
void ws_conn_writer_set_by(struct ws_conn *c, const void *by);
bool ws_conn_writer_is_by(const struct ws_conn *c, const void *by);

#endif
