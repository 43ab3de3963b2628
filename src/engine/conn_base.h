/* conn_base.h: what a connection is, from accept (or connect) to its last
 * byte, and the marks of its end. For the files of the engine; what others
 * may do with one stands in conn.h, conn_send.h, conn_read.h, conn_flow.h,
 * conn_event.h and conn_writer.h.
 *
 *   PENDING  the opening handshake, or plain HTTP: its phase knows
 *   OPEN     messages both ways
 *   CLOSING  we have begun the closing handshake and wait for the peer's half
 *   CLOSED   over: the application learns it (once) by host->closed; bytes
 *            that are owed still leave, then the descriptor lingers
 *
 * The end is a mark. From wherever something fails, ws_conn_end and its like
 * note state, code and cause, and nothing is parsed or sent any more; what
 * the connection held is given back at the end of the turn (conn.c). So
 * whatever can fail need not know what has to be torn down. */
#ifndef EVWS_CONN_BASE_H
#define EVWS_CONN_BASE_H

#include "base/buf.h"
#include "engine/fleeting.h"
#include "engine/server_base.h"
#include "protocol/protocol.h"
#include "transport/stream.h"

enum ws_conn_state {
  WS_CONN_PENDING,
  WS_CONN_OPEN,
  WS_CONN_CLOSING,
  WS_CONN_CLOSED
};

/* How messages reach the application. */
enum ws_conn_mode { WS_PULL, WS_CALLBACK, WS_DISCARD };

#define WS_PONGS_MAX 16    /* unsent; of more only the last is sent */
#define WS_CONTROLS_MAX 16 /* untold; of more the application does not hear */

/* What is known of a connection for as long as it lives, in one block. */
struct ws_meta {
  struct ws_text *origin;  /* NULL without */
  struct ws_text *pattern; /* of the route, NULL where it has none */
  uint16_t path_len, query_len, subprotocol_len, port;
  uint8_t address_len; /* 4 or 16 bytes; 0: none, as of a Unix socket */
  bool has_subprotocol;
  uint16_t answer_len;
  char text[]; /* path, query, sub-protocol, address; a client's answer */
};

/* What a connection is before it is open; the first member of what a server
 * (pending.h) or a client (client.c) knows of it until then. */
struct ws_phase {
  const struct ws_phase_calls *calls;
};

struct ws_phase_calls {
  void (*on_ready)(struct ws_conn *, uint8_t got);
  void (*on_deadline)(struct ws_conn *);
  void (*after_flush)(struct ws_conn *);
  void (*free)(struct ws_conn *); /* leaves c->phase NULL; may be repeated */
};

/* What stands before anything that is sent: a log of messages of which it has
 * not taken its part yet. The first member of whatever keeps it (topic.h). */
struct ws_ahead {
  const struct ws_ahead_calls *calls;
};

struct ws_ahead_calls {
  /* All of its part is sent or queued now. */
  void (*catch_up)(struct ws_conn *);
  /* The kernel refuses its bytes or takes them again, a writer was opened or
   * has ended. */
  void (*note)(struct ws_conn *);
  /* It sends nothing any more: leaves c->ahead NULL. */
  void (*leave)(struct ws_conn *);
};

/* Bytes read from the descriptor that may not be parsed yet. */
struct ws_rest {
  size_t off, len;
  uint8_t data[];
};

/* A message that is sent in fragments. */
struct ws_writing {
  struct ws_buf behind; /* messages that wait for its end, or for the kernel
                         * behind one that may go (is_held): records */
  const void *by;       /* the host's mark of who writes */
  uint32_t id;
  uint8_t first; /* opcode of the next fragment */
};

/* What few connections ever need. */
struct ws_rare {
  struct ws_buf queue; /* messages that wait for the application: records */
  uint32_t queue_n;
  bool is_marked;         /* the last record tells of a loss */
  uint8_t queue_controls; /* of these are pings and pongs */
  uint8_t controls_n;
  struct ws_writing writing;
  struct ws_fleetings *fleetings; /* of what is behind, those that may go */
  struct ws_buf controls; /* pull mode: pings and pongs for their handler */
  uint16_t peer_code;     /* of a Close that waits for what came before it */
  uint16_t status;        /* a client's: of an answer that was no 101, */
  uint32_t retry_after;   /* which asks to be left alone for so many seconds */
  uint64_t missed;        /* publishes that met a full queue, messages that
                           * have gone; drops_unread */
  double message_spent;   /* of message_rate's burst, at tick message_at */
  uint32_t message_at;
  uint8_t pongs; /* queued while the kernel refuses bytes */
  bool has_pong; /* and the latest one beyond WS_PONGS_MAX */
  bool has_ping; /* our last ping had a payload of the application's */
  uint8_t pong_len, ping_len, reason_len;
  uint8_t ping[WS_CONTROL_MAX];
  uint8_t pong[WS_CONTROL_MAX];
  char reason[WS_REASON_MAX];
  struct ws_retry *retry;  /* of a client with reconnect */
  struct ws_text **topics; /* once it is over: those that it had */
  size_t n_topics;
};

struct ws_conn {
  struct ws_stream stream; /* first */
  struct ws_deadline deadline;
  struct ws_protocol protocol;
  struct ws_list link;              /* of the server's connections */
  struct ws_neighbours *neighbours; /* of its address, where they count */
  struct ws_route *route; /* options, keeper; the server, NULL of a client's */
  struct ws_meta *meta;
  struct ws_phase *phase; /* until it is open */
  struct ws_rest *rest;
  struct ws_rare *rare;
  struct ws_ahead *ahead; /* it has subscribed to something */
  const char *cause;      /* why it ended, when no close frame says so */
  uint64_t id;
  double ping_at;    /* when our last ping left, 0 when it was answered */
  float latency;     /* seconds, of the last answered one; negative: none */
  uint32_t messaged; /* tick of the last message */
  uint32_t opened;   /* tick of opening */
  uint32_t closing_since; /* our close frame has left, or the peer's came */
  float control_spent;    /* of control_rate's burst, at tick control_at */
  uint32_t control_at;
  uint32_t user; /* the host's own */
  uint16_t code;
  uint16_t busy;  /* handlers that have not returned */
  uint16_t pings; /* of ours that were not answered */
  uint8_t state, mode;
  uint8_t scheme : 2;    /* enum ws_scheme: what a trusted proxy says of it */
  bool is_receiving : 1; /* pull mode: a receiver waits */
  bool is_paused : 1;    /* by the application */
  bool is_braked : 1;    /* message_rate: nothing is read for a while */
  bool is_backed_up : 1; /* too much waits behind a writer to read on */
  bool was_high : 1;     /* above high_water: on_drain is due */
  bool is_drain_awaited : 1; /* a task waits for low_water */
  bool is_close_sent : 1;    /* our close frame is queued */
  bool has_writer : 1;       /* messages wait behind one that is written, */
  bool is_held : 1;          /* or behind one that may go: fleeting.h */
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
  bool is_retrying : 1;      /* a loss is not its end: retry.h */
  bool is_unheard : 1;       /* a client's: nobody has ever received */
  bool drops_unread : 1;     /* and does not seem to: what comes is dropped */
  bool needs_empty : 1; /* what was refused fits into an empty queue alone */
};

static inline struct ws_host *ws_conn_host(const struct ws_conn *c) {
  return c->route->host;
}

static inline bool ws_conn_is_client(const struct ws_conn *c) {
  return c->protocol.is_client;
}

/* Are there messages that wait for the application? */
static inline bool ws_conn_has_queue(const struct ws_conn *c) {
  return c->rare && c->rare->queue_n > 0;
}

/* The connection's rare part, made if need be; NULL without memory. */
struct ws_rare *ws_conn_rare(struct ws_conn *c);

/* The block for these facts; answer: that to a client's request. NULL without
 * memory. */
struct ws_meta *ws_conn_new_meta(struct ws_slice path, struct ws_slice query,
                                 struct ws_slice subprotocol,
                                 const struct ws_address *peer,
                                 struct ws_slice answer);

/* The peer's address as text, its length; 0 where it has none. */
size_t ws_conn_address(const struct ws_meta *m, char out[WS_NET_TEXT_MAX]);

/* ---- what the handlers see ---- */

/* Did the client come over TLS, to us or as a trusted proxy says? */
bool ws_conn_is_secure(const struct ws_conn *c);
int ws_conn_code(const struct ws_conn *c);
struct ws_slice ws_conn_reason(const struct ws_conn *c);

/* Remembers the peer's words; WS_ERR_MEMORY loses them, nothing else. */
enum ws_err ws_conn_set_reason(struct ws_conn *c, const void *reason, size_t n);

/* ---- the marks of the end ---- */

/* The end; what is queued still leaves. */
void ws_conn_end(struct ws_conn *c, int code, const char *cause);

/* The end, without a farewell. */
void ws_conn_cut(struct ws_conn *c, int code, const char *cause);

/* As ws_conn_cut, and messages that wait for a handler are dropped. */
void ws_conn_terminate(struct ws_conn *c, int code, const char *cause);

/* The messages that wait are not wanted any more; their memory stays, for
 * somebody may be looking at the one taken last. */
void ws_conn_drop_queue(struct ws_conn *c);

/* What came before an end that is not the peer's word is of no interest. */
void ws_conn_drop_unread(struct ws_conn *c);

/* Does what is sent now wait behind other messages, as a record? */
static inline bool ws_conn_has_behind(const struct ws_conn *c) {
  return c->has_writer || c->is_held;
}

/* No message in fragments goes on, and those that wait are dropped. */
void ws_conn_drop_writer(struct ws_conn *c);

#endif
