/* server_base.h: what a server is: its settings, its routes, its listeners,
 * and what is counted of its connections. For the files of the engine; what
 * others may do with a server is in server.h, farewell.h, route.h. */
#ifndef EVWS_SERVER_BASE_H
#define EVWS_SERVER_BASE_H

#include "engine/crowd.h"
#include "engine/host.h"
#include "engine/kept.h"
#include "engine/options.h"
#include "engine/router.h"
#include "engine/stats.h"
#include "engine/text.h"
#include "protocol/forwarded.h"
#include "transport/loop.h"
#include "transport/net.h"
#include "transport/tls_context.h"

struct ws_carrier;

/* Whose a connection is: a server counts it, a client that reconnects decides
 * whether it lives on. One table for each of the two; a connection finds its
 * own in its route. */
struct ws_keeper {
  /* It is open; the host is told next. */
  void (*opened)(struct ws_conn *);

  /* It is over; host->closed is next. */
  void (*lost)(struct ws_conn *);

  /* host->closed has been called. */
  void (*told)(struct ws_conn *);

  /* All is told and the descriptor is gone. True: it lives on, as it pleases
   * the keeper; false: it is freed. */
  bool (*keeps)(struct ws_conn *);

  /* The engine forgets it; nothing may come for it any more. */
  void (*stop)(struct ws_conn *);

  /* It has been forgotten, and its memory is given back next; not called when
   * it was abandoned. */
  void (*left)(struct ws_conn *);

  /* Its memory is given back: so is what belongs to it alone. */
  void (*dispose)(struct ws_conn *);
};

enum ws_origin_rule {
  WS_ORIGIN_ANY,
  WS_ORIGIN_SAME,
  WS_ORIGIN_LIST,
  WS_ORIGIN_ASK /* the host judges it when it is asked for the request */
};

/* What connections to the same pattern have in common. */
struct ws_route {
  struct ws_route *next;    /* of the server's further routes */
  struct ws_server *server; /* NULL: a client's own */
  const struct ws_keeper *keeper;
  struct ws_host *host;
  struct ws_traffic traffic;
  struct ws_conn_options options;
  struct ws_text *pattern; /* NULL: every path that has no other route */
  enum ws_origin_rule origin_rule;
  struct ws_strings origins;
  struct ws_strings subprotocols; /* in the order of preference */
  bool asks_upgrade; /* the host has on_upgrade (or judges the origin) */
  bool asks_request; /* it has on_request; of `route` in a server: for paths
                      * that no route has */
  int user;          /* the host's own */
};

struct ws_listener {
  struct ws_watch watch;
  struct ws_server *server;
  bool has_let_pass; /* whoever was ready in the turn in which it was */
};

/* What everybody is told at the end (farewell.c). */
struct ws_farewell {
  struct ws_timer timer;
  double step;    /* seconds */
  double timeout; /* of the whole */
  uint64_t left;  /* connections that may not have been told */
  uint16_t code;
  uint8_t reason_len;
  char reason[WS_REASON_MAX];
};

/* It listens no more, and all else goes on for a while (retire.c). */
struct ws_retiring {
  struct ws_timer timer;
  double linger, most; /* on the loop's clock: not before, and not after */
  double expects;      /* until then others may pass requests on to it */
  double grace;        /* seconds */
  int code;
  bool is_on;
};

struct ws_server {
  struct ws_loop *loop;
  struct ws_host *host;
  struct ws_http_options http;
  struct ws_route route;     /* before the path is known; may be served */
  struct ws_router router;   /* of the routes that have a pattern */
  struct ws_route *routes;   /* those beside `route` */
  bool serves_any;           /* `route` is for every path that has no other */
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
  struct ws_timer limit; /* of the farewell */
  struct ws_farewell farewell;
  struct ws_list conns;
  struct ws_crowd crowd;      /* by address, with max_per_address */
  struct ws_topics *topics;   /* from the first use */
  struct ws_kept_rules kept;  /* which of them have a history */
  struct ws_carrier *carrier; /* of topics, beyond it; NULL: nothing */
  struct ws_list pending;     /* struct ws_pending, the oldest first */
  uint64_t n_conns, n_pending, n_open;
  struct ws_stats stats;
  struct ws_text *last_origin; /* equal ones are shared */
  double warned_origin;        /* when a refusal was last logged */
  double warned_tls;           /* likewise, of a handshake */
  double warned_deaf;          /* likewise, of a socket to be watched */
  double warned_descriptors;   /* likewise, of none that is left */
  struct ws_tls_context *tls;  /* of the connections to come; NULL: plain */
  bool is_foreign;     /* the option fd: somebody else may listen on it too */
  bool tells_presence; /* the host wants to hear who comes and goes */
  bool is_closing, is_gone, was_cut;
  bool is_leaving; /* it is closing, and everybody is being told */

  struct ws_share *share; /* other workers listen too (share.c); or NULL */
  int share_at;           /* and this is its place among their servers */
  bool is_shared;         /* its sockets are the supervisor's */
  bool is_last;           /* and nobody will listen on them after us */
  bool warned_alone;      /* of topics that stay inside of this worker */
  bool is_waiting;        /* for a worker that has fewer connections, */
  uint32_t least;         /* which had so many then */
  uint32_t patience;      /* so many are taken when that one takes none */
  struct ws_retiring retiring;
};

/* Tells host->server_gone when a closing server has nothing left. */
void ws_server_check_gone(struct ws_server *s);

/* No timer of its farewell runs any more. */
void ws_server_stop_farewell(struct ws_server *s);

#endif
