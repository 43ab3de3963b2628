/* server_log.c: what a server tells: warnings about its settings and its
 * peers, and events for who wants them. */
#include "engine/server_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "engine/pending.h"

#define WARN_EVERY 60.0 /* seconds between two lines about one thing */

void ws_server_log(struct ws_server *s, enum ws_log_level level,
                   const char *format, ...) {
  char line[WS_ESCAPE_SHORT + 256];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  s->host->log(s->host, level, line);
}

/* ---- events ---- */

static bool wants_events(const struct ws_server *s) {
  return s->host->wants_events && s->host->wants_events(s->host);
}

static struct ws_log_field text_field(const char *name, const char *text) {
  return (struct ws_log_field){name, WS_LOG_TEXT, .text = {text, strlen(text)}};
}

/* Up to 3 fields. */
static size_t identify(const struct ws_conn *c, struct ws_log_field *f,
                       char peer[WS_NET_TEXT_MAX]) {
  f[0] = (struct ws_log_field){"id", WS_LOG_INTEGER, .integer = (int64_t)c->id};
  if (!ws_pending_of(c)) return 1;
  int port = ws_net_text(&ws_pending_of(c)->peer, peer);
  f[1] = text_field("address", peer);
  f[2] = (struct ws_log_field){"port", WS_LOG_INTEGER, .integer = port};
  return 3;
}

void ws_server_tell_accepted(const struct ws_conn *c) {
  struct ws_server *s = c->route->server;
  struct ws_log_field f[3];
  char peer[WS_NET_TEXT_MAX];
  if (ws_pending_of(c) && wants_events(s))
    s->host->event(s->host, "accepted", f, identify(c, f, peer));
}

void ws_server_refused(struct ws_server *s, const struct ws_conn *c,
                       enum ws_refusal why, int status) {
  s->stats.refused[why]++;
  if (c && ws_pending_of(c)) ws_pending_of(c)->is_told = true;
  if (!wants_events(s)) return;
  struct ws_log_field f[5];
  char peer[WS_NET_TEXT_MAX];
  size_t n = 0;
  f[n++] = text_field("reason", ws_refusal_name(why));
  if (status)
    f[n++] = (struct ws_log_field){"status", WS_LOG_INTEGER, .integer = status};
  if (c) n += identify(c, f + n, peer);
  s->host->event(s->host, "refused", f, n);
}

void ws_server_ended(const struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  enum ws_refusal why = (enum ws_refusal)p->why;
  if (p->is_told || p->requests || c->was_opened) return;
  if (why == WS_REFUSED_LOST) why = ws_refusal_of_error(c->stream.error);
  ws_server_refused(c->route->server, c, why, 0);
}

/* ---- warnings ---- */

void ws_server_warn(struct ws_server *s) {
  struct ws_address a;
  bool is_open = (s->serves_any || s->route.pattern) &&
                 s->route.origin_rule == WS_ORIGIN_ANY;
  for (struct ws_route *r = s->routes; r; r = r->next)
    is_open = is_open || r->origin_rule == WS_ORIGIN_ANY;
  if (!is_open || s->unix_path) return;
  for (int i = 0; i < s->n_listeners; i++) {
    int fd = s->listeners[i].watch.fd;
    if (s->loop->io->ops->getsockname(s->loop->io, fd, &a) == 0 &&
        !ws_net_is_loopback(&a)) {
      ws_server_log(s, WS_LOG_WARNING,
                    "listening beyond this machine for pages of every origin;"
                    " option 'origins' says which may connect");
      return;
    }
  }
}

bool ws_server_may_warn(struct ws_server *s, double *last) {
  double now = s->loop->now;
  if (*last && now - *last < WARN_EVERY) return false;
  *last = now;
  return true;
}

void ws_server_warn_origin(struct ws_server *s, struct ws_slice origin) {
  char text[WS_ESCAPE_SHORT];
  if (!ws_server_may_warn(s, &s->warned_origin)) return;
  ws_escape_short(text, origin, WS_ESCAPE_WORD);
  if (!origin.p)
    ws_server_log(s, WS_LOG_WARNING,
                  "refused a connection without Origin (403); option "
                  "'require_origin'");
  else
    ws_server_log(s, WS_LOG_WARNING,
                  "refused the origin %s (403); option 'origins'", text);
}

void ws_server_warn_deaf(struct ws_server *s, int error) {
  if (ws_server_may_warn(s, &s->warned_deaf))
    ws_server_log(s, WS_LOG_WARNING,
                  "cannot watch the listening socket (%s): trying again",
                  strerror(error));
}

void ws_server_warn_descriptors(struct ws_server *s, int error) {
  if (ws_server_may_warn(s, &s->warned_descriptors))
    ws_server_log(s, WS_LOG_WARNING,
                  "cannot accept (%s): connections wait or are refused",
                  strerror(error));
}

void ws_server_warn_tls(struct ws_server *s, struct ws_conn *c) {
  char peer[WS_NET_TEXT_MAX], why[WS_STREAM_REASON_MAX];
  if (!ws_server_may_warn(s, &s->warned_tls)) return;
  ws_net_text(&ws_pending_of(c)->peer, peer);
  if (!c->stream.is_secure) {
    ws_server_log(s, WS_LOG_WARNING,
                  "refused TLS from %s: this server has no option 'tls'", peer);
    return;
  }
  ws_stream_why(&c->stream, why);
  ws_server_log(s, WS_LOG_WARNING, "refused %s: %s", peer, why);
}
