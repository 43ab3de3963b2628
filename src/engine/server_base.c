/* server_base.c: when a server has come to its end. */
#include "engine/server_base.h"

void ws_server_stop_farewell(struct ws_server *s) {
  ws_loop_timer_stop(s->loop, &s->limit);
  ws_loop_timer_stop(s->loop, &s->farewell.timer);
  ws_loop_timer_stop(s->loop, &s->retiring.timer);
}

void ws_server_check_gone(struct ws_server *s) {
  if (!s->is_leaving || s->is_gone || s->n_conns) return;
  s->is_gone = true;
  ws_server_stop_farewell(s);
  s->host->server_gone(s);
}
