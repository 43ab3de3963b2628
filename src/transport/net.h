/* net.h: listening and connecting sockets, and addresses as text. */
#ifndef EVWS_NET_H
#define EVWS_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/ip.h"
#include "transport/io.h"

#define WS_NET_LISTEN_MAX WS_ADDRESS_MAX
#define WS_NET_TEXT_MAX 128 /* of an address as text, a Unix path included */

struct ws_net_listen {
  const char *host;      /* a name, an address, "localhost", "*" */
  int port;              /* 0: any that is free, the same for all addresses */
  const char *unix_path; /* instead of host and port */
  int unix_mode;         /* of its file; 0: what umask leaves */
  int fd;                /* has_fd: a socket that listens already, instead */
  int backlog;
  const int *given; /* n_given: sockets that the supervisor has opened */
  int n_given;
  bool has_fd;
  bool reuse_port;
};

/* Opens the listening sockets, or takes over the one of what->fd (on failure
 * it stays the caller's): fds[0, n). On success the number of them, and
 * the port in what->port; otherwise a negated errno, and in *why what it does
 * not tell (or NULL). */
int ws_net_listen(struct ws_io *io, struct ws_net_listen *what,
                  int fds[WS_NET_LISTEN_MAX], const char **why);

/* A socket that is connecting to `to`; a negated errno when that failed at
 * once. */
int ws_net_connect(struct ws_io *io, const struct ws_address *to);

/* The address of a Unix socket; false when the path is too long. */
bool ws_net_unix(struct ws_address *a, const char *path);

/* The path of one, cut to fit; "" where it has none (or an abstract one). */
void ws_net_unix_path(const struct ws_address *a, char out[WS_NET_TEXT_MAX]);

/* The host part as text, IPv4 also where it came mapped into IPv6; "" for a
 * Unix socket. Returns the port, 0 where there is none. */
int ws_net_text(const struct ws_address *a, char out[WS_NET_TEXT_MAX]);

/* The same without the text's detour: a Unix socket's is of that kind alone,
 * in both directions. */
struct ws_ip ws_net_ip(const struct ws_address *a);
void ws_net_from_ip(struct ws_address *a, const struct ws_ip *ip);

/* Does it reach this machine only? */
bool ws_net_is_loopback(const struct ws_address *a);

#endif
