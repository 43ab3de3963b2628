/* client.h: connecting: look-up, TCP, and the client's side of the opening
 * handshake (RFC 6455 4.1). */
#ifndef EVWS_CLIENT_H
#define EVWS_CLIENT_H

#include "engine/backoff.h"
#include "engine/conn_base.h"
#include "engine/tunnel.h"
#include "protocol/url.h"

struct ws_client_request {
  struct ws_url url;             /* slices need not outlive the call */
  struct ws_slice origin;        /* n 0: none */
  struct ws_slice subprotocols;  /* "a, b"; n 0: none */
  struct ws_slice fields;        /* checked header lines, each with CR LF */
  struct ws_slice server_name;   /* whom TLS expects; n 0: the URL's host */
  struct ws_tls_context *tls;    /* of a wss URL */
  struct ws_tunnel_to proxy;     /* which is asked for the way to it */
  double timeout;                /* seconds for all of it, 0: none */
  struct ws_reconnect reconnect; /* after a loss; see retry.h */
  bool is_awaited; /* the first attempt: when it fails, that is the end */
};

/* Starts to connect; c is zeroed memory, the route is c's from now on. The
 * outcome is host->opened, or host->closed with ws_conn_reason and c->status;
 * never before this has returned. False without memory: nothing happened. */
bool ws_client_start(struct ws_conn *c, struct ws_loop *loop,
                     struct ws_route *route, uint64_t id,
                     const struct ws_client_request *what);

/* One more attempt of a connection that waits in PENDING. Its outcome is that
 * of ws_client_start; without memory it has failed. */
void ws_client_again(struct ws_conn *c, const struct ws_client_request *what);

#endif
