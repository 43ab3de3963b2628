/* tls_context.h: what the TLS connections of a server, or of clients with the
 * same settings, have in common: certificates, trust, versions, ciphers.
 *
 * A context never changes and is counted: whoever reloads the files makes a
 * new one for the connections to come, and those that are open keep theirs. */
#ifndef EVWS_TLS_CONTEXT_H
#define EVWS_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

struct ssl_st; /* OpenSSL's SSL */
struct ws_tls_context;

enum ws_tls_verify { WS_TLS_NONE, WS_TLS_OPTIONAL, WS_TLS_REQUIRED };

/* Files in PEM: a certificate with its chain, and the key. */
struct ws_tls_pair {
  const char *name; /* of a host, or "*.host": whom it is for */
  const char *certificate, *key;
};

/* Nothing of it has to outlive the call. */
struct ws_tls_settings {
  const char *certificate, *key; /* NULL: none, for a client */
  const char *ca;                /* NULL: none; a client: the system's */
  const struct ws_tls_pair *hosts;
  size_t n_hosts;
  enum ws_tls_verify verify; /* of the peer's certificate */
  bool is_client;
  bool needs_13; /* at least TLS 1.3 instead of 1.2 */
};

#define WS_TLS_WHY_MAX 512

/* Reads the files. NULL, and in `why` the reason, when that does not work. */
struct ws_tls_context *
ws_tls_context_new(const struct ws_tls_settings *settings,
                   char why[WS_TLS_WHY_MAX]);

/* One more, or one less, that holds it. NULL is allowed. */
struct ws_tls_context *ws_tls_context_hold(struct ws_tls_context *c);
void ws_tls_context_release(struct ws_tls_context *c);

bool ws_tls_context_is_client(const struct ws_tls_context *c);

/* An SSL object of its own for one connection, which has to hold the context.
 * name: whom a client expects, or NULL. NULL without memory. */
struct ssl_st *ws_tls_context_connection(struct ws_tls_context *c,
                                         const char *name);

#endif
