/* tunnel.h: a way through an HTTP proxy (RFC 9110 9.3.6): its URL, whom it is
 * not asked for, and what it is asked. */
#ifndef EVWS_TUNNEL_H
#define EVWS_TUNNEL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

#define WS_TUNNEL_LOGIN_MAX 512 /* "Basic " and user:password in base64 */

struct ws_proxy_url {
  struct ws_slice host;           /* a name or an address, without brackets */
  struct ws_slice user, password; /* as they stand there: percent-encoded */
  int port;
  bool has_user;
  bool is_secure; /* https */
};

/* [http[s]://][user[:password]@]host[:port][/]. Slices of the text. On false
 * *why says what is wrong, without a word of the text. */
bool ws_proxy_url_parse(struct ws_slice text, struct ws_proxy_url *url,
                        const char **why);

/* The value of Proxy-Authorization (RFC 7617) for its user; 0 bytes without
 * one. -1, and *why, for what cannot be sent. */
int ws_proxy_url_login(const struct ws_proxy_url *url,
                       char out[WS_TUNNEL_LOGIN_MAX], const char **why);

/* Does a list as in no_proxy hold the host? Entries, apart by commas or
 * blanks: "*"; names, which stand for all names below them as well, with or
 * without a dot in front; addresses and ranges of them; each but ranges with
 * ":port", if it is for that one alone. */
bool ws_tunnel_is_spared(struct ws_slice list, struct ws_slice host, int port);

/* CONNECT for host and port. login: n 0 for none. False without memory. */
bool ws_tunnel_write_request(struct ws_buf *out, struct ws_slice host, int port,
                             struct ws_slice login);

#endif
