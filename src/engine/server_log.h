/* server_log.h: what a server tells: lines for its log, and events for who
 * wants them. */
#ifndef EVWS_SERVER_LOG_H
#define EVWS_SERVER_LOG_H

#include "engine/conn_base.h"

/* A line for the log: printf-like; text from the network has to be escaped. */
void ws_server_log(struct ws_server *s, enum ws_log_level level,
                   const char *format, ...)
  __attribute__((format(printf, 3, 4)));

/* Says once what a careful owner wants to know about the settings. */
void ws_server_warn(struct ws_server *s);

/* Is it a minute since this was said last? Then it is said now. */
bool ws_server_may_warn(struct ws_server *s, double *last);

/* Lines of that kind: TLS has failed with EPROTO, or come where it is not
 * spoken; an origin (p NULL: none) is not accepted; a listening socket cannot
 * be watched, or no descriptor is left for who connects, for this errno. */
void ws_server_warn_tls(struct ws_server *s, struct ws_conn *c);
void ws_server_warn_deaf(struct ws_server *s, int error);
void ws_server_warn_descriptors(struct ws_server *s, int error);
void ws_server_warn_origin(struct ws_server *s, struct ws_slice origin);

/* Events. c: NULL where there is none yet; status: 0 without an answer. */
void ws_server_refused(struct ws_server *s, const struct ws_conn *c,
                       enum ws_refusal why, int status);
/* Of one that has ended before it was open: if it has had no answer, it was
 * refused. */
void ws_server_ended(const struct ws_conn *c);
void ws_server_tell_accepted(const struct ws_conn *c);

#endif
