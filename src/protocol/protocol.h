/* protocol.h: one endpoint of an open WebSocket connection (RFC 6455 5 to 8),
 * without sockets and without a clock: bytes in, one event at a time out.
 *
 * The reader takes bytes in pieces of any size and unmasks them in place. A
 * message that stands whole in one piece is delivered from there, without a
 * copy; one that spans pieces or frames is gathered in a buffer that exists
 * only as long as the message does. A compressed message (RFC 7692) is
 * gathered as it came, and inflated when it is complete.
 *
 * With wants_chunks nothing else is gathered: a message is given piece by
 * piece as it comes. A piece of text ends between two characters. Of its
 * frames only the empty ones count against max_fragments. */
#ifndef EVWS_PROTOCOL_H
#define EVWS_PROTOCOL_H

#include "protocol/endpoint.h"

/* The extension is to be set afterwards, where one was agreed on. */
void ws_protocol_init(struct ws_protocol *p, enum ws_role role,
                      const struct ws_protocol_env *env);

/* Gives back whatever is held. */
void ws_protocol_free(struct ws_protocol *p);

/* Takes bytes up to the end of the next event and says in *ev what it is.
 * Returns how many were taken; all n when ev->type is WS_EVENT_NONE. The
 * bytes are changed (unmasked). Call again with the rest.
 *
 * After WS_EVENT_CLOSE and WS_EVENT_ERROR everything is taken and ignored
 * (5.5.1: no data after a close frame). */
size_t ws_protocol_feed(struct ws_protocol *p, uint8_t *bytes, size_t n,
                        struct ws_event *ev);

/* The data of the last message event is not needed any more: its buffer is
 * freed now instead of at the next feed. */
void ws_protocol_release(struct ws_protocol *p);

/* Where the payload of a long frame may be read straight into: the place and
 * its size, or NULL. What was put there is handed in by ws_protocol_filled;
 * the event it may bring comes from the next ws_protocol_feed. */
uint8_t *ws_protocol_space(struct ws_protocol *p, size_t *n);
void ws_protocol_filled(struct ws_protocol *p, size_t n);

/* Has ws_protocol_feed an event to give without another byte? */
static inline bool ws_protocol_has_event(const struct ws_protocol *p) {
  return !p->is_ended &&
         (p->is_bad || (p->in_payload && p->left == 0 && p->is_fin));
}

/* 7.4: may this code be sent by an application: 1000 to 1003, 1007 to 1014,
 * 3000 to 4999? */
bool ws_protocol_may_send_code(int code);

/* Writes the payload of a close frame: nothing for code 1005, else the code
 * and at most WS_REASON_MAX bytes of reason, cut between two characters.
 * Returns its length. */
size_t ws_protocol_close_payload(uint8_t out[WS_CONTROL_MAX], int code,
                                 const char *reason, size_t len);

#endif
