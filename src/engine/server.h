/* server.h: a listener, the routes behind it, and its connections. */
#ifndef EVWS_SERVER_H
#define EVWS_SERVER_H

#include "engine/host.h"
#include "engine/options.h"
#include "engine/router.h"
#include "engine/stats.h"
#include "protocol/forwarded.h"
#include "transport/loop.h"
#include "transport/net.h"
#include "transport/tls_context.h"

/* A list of strings, owned. */
struct ws_strings {
  char **list;
  size_t n;
};

bool ws_strings_add(struct ws_strings *s, const char *text, size_t len);
void ws_strings_free(struct ws_strings *s);

enum ws_origin_rule {
  WS_ORIGIN_ANY,
  WS_ORIGIN_SAME,
  WS_ORIGIN_LIST,
  WS_ORIGIN_ASK /* the host judges it when it is asked for the request */
};

struct ws_route {
  struct ws_route *next;    /* of the server's further routes */
  struct ws_server *server; /* NULL: a client's own */
  struct ws_host *host;
  struct ws_traffic traffic;
  struct ws_conn_options options;
  struct ws_text *pattern; /* NULL: every path that has no other route */
  enum ws_origin_rule origin_rule;
  struct ws_strings origins;
  struct ws_strings subprotocols; /* in the order of preference */
  bool asks_upgrade; /* the host has on_upgrade (or judges the origin) */
  int user;          /* the host's own */
};

struct ws_listener {
  struct ws_watch watch;
  struct ws_server *server;
};

/* What everybody is told at the end (farewell.c). */
struct ws_farewell {
  struct ws_timer timer;
  double step;   /* seconds */
  uint64_t left; /* connections that may not have been told */
  uint16_t code;
  uint8_t reason_len;
  char reason[WS_REASON_MAX];
};

struct ws_server {
  struct ws_loop *loop;
  struct ws_host *host;
  struct ws_http_options http;
  struct ws_route route;     /* before the path is known; may be served */
  struct ws_router router;   /* of the routes that have a pattern */
  struct ws_route *routes;   /* those beside `route` */
  bool serves_any;           /* `route` is for every path that has no other */
  bool asks_request;         /* the host has on_request */
  struct ws_strings hosts;   /* to answer to; none: any */
  struct ws_trusted trusted; /* proxies that may name a client */
  bool proxy_protocol;       /* by a PROXY header, which they have to send */
  double warned_proxy;       /* when a refusal of one was last logged */
  char *unix_path;           /* to unlink */
  char *address;             /* what was listened on */
  int port;
  struct ws_listener listeners[WS_NET_LISTEN_MAX];
  int n_listeners;
  int spare_fd; /* given up to shed a connection when there are no more */
  struct ws_timer accept_again;
  struct ws_timer limit; /* of close */
  struct ws_farewell farewell;
  struct ws_list conns;
  struct ws_topics *topics; /* from the first use */
  struct ws_list pending;   /* struct ws_pending, the oldest first */
  uint64_t n_conns, n_pending, n_open;
  struct ws_stats stats;
  struct ws_text *last_origin; /* equal ones are shared */
  double warned_origin;        /* when a refusal was last logged */
  double warned_tls;           /* likewise, of a handshake */
  struct ws_tls_context *tls;  /* of the connections to come; NULL: plain */
  bool is_foreign; /* the option fd: somebody else may listen on it too */
  bool is_closing, is_gone, was_cut;
};

/* Opens the listening sockets of a server whose settings are filled in.
 * Returns 0 or a negated errno and *why. */
int ws_server_start(struct ws_server *s, struct ws_loop *loop,
                    struct ws_net_listen *what, const char **why);

/* Stops listening, sends a close frame with this code to everyone (a hundred
 * at a time, see farewell.h), and cuts
 * after `timeout` seconds what is left (0: at once). host->server_gone follows
 * in a later turn, was_cut tells whether somebody had to be cut. */
void ws_server_close(struct ws_server *s, int code, struct ws_slice reason,
                     double timeout);

/* At the end of everything: listeners are closed, the connections are
 * abandoned (ws_conn_abandon), the host is not called. */
void ws_server_abandon(struct ws_server *s);

/* Gives back what the settings hold; after server_gone, or when it never
 * started. */
void ws_server_free(struct ws_server *s);

/* Serves a pattern that is one and is not there yet: by s->route, or by a
 * further route, which takes over what `from` holds. False without memory:
 * nothing has happened. */
bool ws_server_set_pattern(struct ws_server *s, struct ws_slice pattern);
bool ws_server_add_route(struct ws_server *s, struct ws_route *from,
                         struct ws_slice pattern);

/* Gives back what a route holds, not the route. */
void ws_route_free(struct ws_route *r);

/* The address of a socket that somebody else has opened becomes s->address;
 * without memory that stays as it was. */
void ws_server_read_address(struct ws_server *s);

/* Says once what a careful owner wants to know about the settings. */
void ws_server_warn(struct ws_server *s);

/* Called by the engine. */
void ws_server_stop_listening(struct ws_server *s);
void ws_server_opened(struct ws_server *s, struct ws_conn *c);
void ws_server_left(struct ws_server *s, struct ws_conn *c);
/* Lines in the log, at most one a minute: TLS has failed with EPROTO, or come
 * where it is not spoken; an origin (p NULL: none) is not accepted. */
void ws_server_warn_tls(struct ws_server *s, struct ws_conn *c);
void ws_server_warn_origin(struct ws_server *s, struct ws_slice origin);
/* Events for the log. c: NULL where there is none yet; status: 0 without an
 * answer. */
void ws_server_refused(struct ws_server *s, const struct ws_conn *c,
                       enum ws_refusal why, int status);
void ws_server_tell_accepted(const struct ws_conn *c);

/* What the connections of all its routes have sent and received. */
struct ws_traffic ws_server_traffic(const struct ws_server *s);
/* Bytes that wait in their queues. Looks at each of them. */
uint64_t ws_server_queued(const struct ws_server *s);

/* The route of a path; NULL: none, 404. */
struct ws_route *ws_server_find(struct ws_server *s, struct ws_slice path);

/* A line for the log: printf-like, network text must be escaped by
 * ws_server_escape. */
void ws_server_log(struct ws_server *s, enum ws_log_level level,
                   const char *format, ...)
  __attribute__((format(printf, 3, 4)));

/* Printable ASCII as it is, everything else as \xNN, cut at 128 bytes. */
#define WS_ESCAPED_MAX (128 * 4 + 4)
const char *ws_server_escape(char out[WS_ESCAPED_MAX], struct ws_slice text);

#endif
