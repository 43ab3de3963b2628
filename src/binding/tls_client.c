/* tls_client.c: the certificates and settings of what connects. */
#include "binding/tls_client.h"

struct ws_tls_context *ws_tls_client_open(struct ws_state *st,
                                          const struct ws_tls_settings *s,
                                          char problem[WS_TLS_WHY_MAX]) {
  struct ws_loop *loop = &st->loop;
  bool is_usual = !s->ca && !s->certificate && !s->needs_13;
  if (s->verify == WS_TLS_NONE) {
    is_usual = false;
    if (!st->warned_verify)
      st->host.log(&st->host, WS_LOG_WARNING,
                   "connecting without a look at the server's certificate; "
                   "option 'tls.verify'");
    st->warned_verify = true;
  }
  if (!is_usual) return ws_tls_context_new(s, problem);
  if (!loop->tls_client) loop->tls_client = ws_tls_context_new(s, problem);
  return ws_tls_context_hold(loop->tls_client);
}
