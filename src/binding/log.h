/* log.h: ws.log. Nothing here raises; a function of the application that does
 * is told of on stderr. */
#ifndef EVWS_BINDING_LOG_H
#define EVWS_BINDING_LOG_H

#include "binding/state.h"

/* What stands in front of each line instead of "evws". */
void ws_log_name(const char *name);

/* A line on stderr, with nothing in it that does something. The ends of lines
 * of a traceback stay. */
void ws_log_print(const char *before, struct ws_slice text,
                  struct ws_slice trace);
/* The same of what somebody has raised. */
void ws_log_print_value(const char *before, lua_State *L, int index);

/* The function that ws.log is at first. */
int ws_lua_log(lua_State *L);

/* Does anybody listen to events? */
bool ws_log_wants(struct ws_state *st);

/* Calls the application's function; false where there is none. */
bool ws_log_event(struct ws_state *st, const char *level, const char *event,
                  const struct ws_log_field *fields, size_t n);

/* A line that stderr gets where nobody listens. level: "warning", "error" */
void ws_log_warning(struct ws_state *st, const char *level, const char *text);

void ws_log_opened(struct ws_state *st, const struct ws_conn *c);
void ws_log_closed(struct ws_state *st, const struct ws_conn *c);
void ws_log_server(struct ws_state *st, const char *event,
                   const struct ws_server *s);
/* c: NULL for a task's or a timer's. */
void ws_log_error(struct ws_state *st, const struct ws_conn *c,
                  const char *handler, struct ws_slice text);

void ws_log_fill(struct ws_host *host);

#endif
