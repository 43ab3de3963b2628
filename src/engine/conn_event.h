/* conn_event.h: what an event that is no message means to a connection. */
#ifndef EVWS_CONN_EVENT_H
#define EVWS_CONN_EVENT_H

#include "engine/conn_base.h"

/* Does what an event asks for that is no message; true when it is one for the
 * application too. */
bool ws_conn_take_event(struct ws_conn *c, const struct ws_event *ev);

/* Chunks of a message go to a handler; there may be none any more. */
static inline bool ws_conn_takes_chunks(const struct ws_conn *c) {
  return c->mode == WS_CALLBACK || c->protocol.wants_chunks;
}

/* Takes the oldest ping or pong that host->control told of; false when there
 * is none. While is_telling is set messages do not wait for further ones. The
 * data stay until the next call that reads. */
bool ws_conn_next_control(struct ws_conn *c, struct ws_event *ev);
/* Keeps one for it. */
void ws_conn_keep_control(struct ws_conn *c, const struct ws_event *ev);

/* One more message, where message_rate is set; false when it was one too
 * many, and the connection has failed; or it is read on only in its time. */
bool ws_conn_spend_message(struct ws_conn *c);

/* Does the peer's Close wait for nothing any more? For handlers at work, and
 * messages that they will handle; what waits for somebody who may receive it
 * can be received afterwards as well. */
bool ws_conn_may_answer_close(struct ws_conn *c);

/* It is answered. */
void ws_conn_answer_close(struct ws_conn *c);

#endif
