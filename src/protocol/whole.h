/* whole.h: the short way of what most frames to a server are: a message of
 * its own, not compressed, that stands whole in the bytes. */
#ifndef EVWS_WHOLE_H
#define EVWS_WHOLE_H

#include "protocol/endpoint.h"

/* Unmasks and delivers it. Returns its bytes, or 0 where the frame is, or may
 * be, anything else: nothing was touched then, and the long way judges it. It
 * is text that is not UTF-8 where ev->type is WS_EVENT_NONE. */
size_t ws_whole_take(const struct ws_protocol *p, uint8_t *bytes, size_t n,
                     struct ws_event *ev);

#endif
