/* tls_client.h: the certificates and settings of what connects. */
#ifndef EVWS_BINDING_TLS_CLIENT_H
#define EVWS_BINDING_TLS_CLIENT_H

#include "binding/state.h"
#include "transport/tls_context.h"

/* The context for these settings; the caller's. Those that set nothing share
 * one: reading the system's certificates takes long. NULL, and the reason in
 * `problem`, when that does not work. */
struct ws_tls_context *ws_tls_client_open(struct ws_state *st,
                                          const struct ws_tls_settings *s,
                                          char problem[WS_TLS_WHY_MAX]);

#endif
