/* upgrade.h: a connection before it is open: the request that may become a
 * WebSocket (RFC 6455 4.2), or plain HTTP (RFC 9112). */
#ifndef EVWS_UPGRADE_H
#define EVWS_UPGRADE_H

#include "engine/conn.h"
#include "engine/server.h"
#include "protocol/body.h"
#include "protocol/handshake.h"

enum ws_pending_step {
  WS_STEP_HEAD,    /* a request is awaited, or its head read */
  WS_STEP_BODY,    /* its body is read */
  WS_STEP_ASKED,   /* the host is thinking about it */
  WS_STEP_PROXY,   /* a PROXY header is read (peer.c) */
  WS_STEP_ANSWERED /* the last answer is given, the connection ends */
};

struct ws_pending {
  struct ws_list link; /* of the server, while the host is not asked */
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
  size_t used;       /* of them, by this request */
  uint32_t deadline;
  uint32_t requests;
  uint8_t step;
  bool is_idle;     /* between two requests */
  bool is_refusing; /* an upgrade: whatever the answer, it is the last */
  struct ws_http_field fields[];
};

/* A connection was accepted. False without memory. */
bool ws_upgrade_start(struct ws_conn *c, const struct ws_address *peer);

/* It has no more than so many seconds for its first request. */
void ws_upgrade_hurry(struct ws_conn *c, double seconds);

void ws_upgrade_on_ready(struct ws_conn *c, uint8_t got);
void ws_upgrade_on_deadline(struct ws_conn *c);
void ws_upgrade_after_flush(struct ws_conn *c);
void ws_upgrade_free(struct ws_conn *c);

/* The request was answered: the next one may follow, or stand behind it. */
void ws_upgrade_next(struct ws_conn *c);

/* Makes room: answers 503, or closes. */
void ws_upgrade_shed(struct ws_conn *c);

/* The answer to a request (or to an upgrade that is refused). fields: header
 * lines, each with CR LF, checked by the caller; Content-Length, Date and
 * Connection are added, a Content-Type where there is a body and none is
 * given (has_type). body.p NULL with a length: only the length is told, for
 * HEAD and 304. Ignored when there is nothing to answer any more. */
void ws_conn_respond(struct ws_conn *c, int status, struct ws_slice fields,
                     bool has_type, struct ws_slice body);

/* Counts what ws_conn_respond is about to answer as a refusal, if it is. */
void ws_conn_refused(struct ws_conn *c, enum ws_refusal why, int status);

/* The 101; the connection opens. subprotocol: static or the route's, p NULL
 * for none. */
void ws_conn_accept(struct ws_conn *c, struct ws_slice subprotocol,
                    struct ws_slice fields);

/* 403, and a line in the log. */
void ws_upgrade_refuse_origin(struct ws_conn *c);

/* Does the request offer this sub-protocol? */
bool ws_upgrade_offers(const struct ws_conn *c, struct ws_slice name);

/* The first of the route's sub-protocols that the request offers; p NULL when
 * there is none. */
struct ws_slice ws_upgrade_choose(const struct ws_conn *c);

#endif
