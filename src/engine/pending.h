/* pending.h: what a server knows of a connection that is not open: the request
 * that is read, judged and answered. What is done with it is upgrade.c's. */
#ifndef EVWS_PENDING_H
#define EVWS_PENDING_H

#include "engine/conn_base.h"
#include "protocol/body.h"
#include "protocol/handshake.h"
#include "protocol/proxy.h"

enum ws_pending_step {
  WS_STEP_HEAD,    /* a request is awaited, or its head read */
  WS_STEP_BODY,    /* its body is read */
  WS_STEP_ASKED,   /* the host is thinking about it */
  WS_STEP_STREAM,  /* the host writes the body of its answer (answer.c) */
  WS_STEP_PROXY,   /* a PROXY header is read (peer.c) */
  WS_STEP_ANSWERED /* the last answer is given, the connection ends */
};

struct ws_pending {
  struct ws_phase phase; /* first */
  struct ws_list link;   /* of the server, while the host is not asked */
  struct ws_conn *conn;
  struct ws_http http;
  struct ws_handshake shake;
  struct ws_proxy *proxy;   /* WS_STEP_PROXY */
  struct ws_address peer;   /* who has connected, or a PROXY header says so */
  struct ws_address client; /* of the request: the peer, or whom it names */
  struct ws_buf buf;        /* bytes kept between reads, from the head on */
  struct ws_buf body;       /* decoded */
  struct ws_buf out;
  struct ws_body coding;
  const char *bytes; /* the request: in buf, or in the loop's read buffer */
  size_t n;          /* bytes there */
  size_t head;       /* of them, by the head; 0 while it is read */
  size_t used;       /* of them, by this request as far as it was read */
  uint64_t left;     /* bytes that an answer of a known length still wants */
  uint32_t deadline;
  uint32_t requests;
  uint8_t step;
  uint8_t why;     /* enum ws_refusal: if it ends without an answer */
  bool is_told;    /* what has become of it: nobody has to be told at its end */
  bool is_idle;    /* between two requests */
  bool is_last;    /* WS_STEP_STREAM: the connection ends with it */
  bool is_counted; /* likewise: `left` counts */
  bool is_gone;    /* whoever answers knows that the client has gone */
  bool is_refusing; /* an upgrade: whatever the answer, it is the last */
  struct ws_http_field fields[];
};

/* NULL where there is none: it is open, or a client's. */
static inline struct ws_pending *ws_pending_of(const struct ws_conn *c) {
#ifdef WS_ANALYZE /* of a client it is asked only to be told that */
  return (struct ws_pending *)c->phase;
#else
  return ws_conn_is_client(c) ? NULL : (struct ws_pending *)c->phase;
#endif
}

/* The host is busy with a request; bytes behind it are kept meanwhile. */
static inline bool ws_pending_is_busy(const struct ws_pending *p) {
  return p->step == WS_STEP_ASKED || p->step == WS_STEP_STREAM;
}

/* Of a new connection, in PENDING; calls: what its phase does. NULL without
 * memory. */
struct ws_pending *ws_pending_new(struct ws_conn *c,
                                  const struct ws_address *peer,
                                  const struct ws_phase_calls *calls);

/* It ends without an answer: if it has had none before, it is counted as
 * refused for this reason (server_log.h). ws_conn_cut: its peer is lost, or its
 * stream's error says what. */
void ws_pending_cut(struct ws_conn *c, enum ws_refusal why, const char *cause);

/* There is no memory for what any connection, open or not, needs. */
void ws_conn_cut_memory(struct ws_conn *c);

/* It begins with a request that has been read elsewhere. False without
 * memory. */
bool ws_pending_begin(struct ws_conn *c, struct ws_slice bytes);

/* The end of the phase; harmless when repeated. */
void ws_pending_free(struct ws_conn *c);

/* Counts against max_pending, until the host is asked. */
void ws_pending_enter_list(struct ws_conn *c);
void ws_pending_leave_list(struct ws_conn *c);

/* From now, or from then; 0 seconds: none. */
void ws_pending_set_deadline(struct ws_conn *c, double seconds);

/* It has no more than so many seconds for its first request. */
void ws_pending_hurry(struct ws_conn *c, double seconds);

/* Reading and deadline follow the step. */
void ws_pending_update(struct ws_conn *c);

/* The tick at which it is looked at. */
uint32_t ws_pending_due(const struct ws_conn *c);

/* The request's bytes stand here now: what was found in them is found again
 * in their new place. */
void ws_pending_set_bytes(struct ws_pending *p, const char *bytes);

/* Keeps what stands in the loop's buffer: the head, and what was not read yet;
 * not what was read of the body. False without memory: it is cut. */
bool ws_pending_stash(struct ws_conn *c);

/* The same for n bytes behind the body of a request whose head is kept. */
bool ws_pending_keep(struct ws_conn *c, const char *bytes, size_t n);

/* Can it be answered (still)? */
bool ws_pending_is_answerable(const struct ws_conn *c);

/* Can it go on in another process? Nothing of an answer has been given. */
bool ws_pending_may_pass(const struct ws_conn *c);

/* It has gone there: the connection ends here without a word. */
void ws_pending_passed(struct ws_conn *c);

/* The request was answered: the next one may follow, or stand behind it. */
void ws_pending_next(struct ws_conn *c);

#endif
