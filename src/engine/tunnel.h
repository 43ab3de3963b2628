/* tunnel.h: a client's first words on a connected stream, where they are to a
 * proxy: until what follows reaches the server. */
#ifndef EVWS_ENGINE_TUNNEL_H
#define EVWS_ENGINE_TUNNEL_H

#include "protocol/reply.h"
#include "transport/stream.h"

struct ws_tunnel_to {
  struct ws_slice host;  /* of the proxy; n 0: there is none */
  struct ws_slice login; /* its Proxy-Authorization; n 0: none */
  struct ws_slice name;  /* whom TLS expects; n 0: the host */
  int port;
  bool is_secure;             /* an https URL */
  struct ws_tls_context *tls; /* of such a one */
};

#define WS_TUNNEL_NAME_MAX 64

enum ws_tunnel_state {
  WS_TUNNEL_WAITS,
  WS_TUNNEL_OPEN,    /* what is read next is the server's */
  WS_TUNNEL_REFUSED, /* the head of the answer is read, its body follows */
  WS_TUNNEL_FAILED   /* and *why; NULL: ws_stream_why knows */
};

/* Asks for the host and port; login: as in ws_tunnel_to. False without
 * memory. */
bool ws_tunnel_ask(struct ws_stream *s, struct ws_slice host, int port,
                   struct ws_slice login);

/* Reads what has come of the answer: of a refusal perhaps some of the body
 * behind its head, else no byte more. */
enum ws_tunnel_state ws_tunnel_read(struct ws_stream *s, struct ws_reply *reply,
                                    const char **why);

/* "127.0.0.1:3128", for a person; a long name is cut. */
void ws_tunnel_name(const struct ws_tunnel_to *to,
                    char out[WS_TUNNEL_NAME_MAX]);

#endif
