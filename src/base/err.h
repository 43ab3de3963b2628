/* err.h: the error numbers that rise through the layers.
 *
 * A number is what the peer will see, negated: an HTTP status while the
 * opening handshake lasts, a close code (RFC 6455 7.4.1) afterwards. Numbers
 * above -100 never reach a peer. */
#ifndef EVWS_ERR_H
#define EVWS_ERR_H

enum ws_err {
  WS_OK = 0,
  WS_ERR_MEMORY = -1, /* an allocation failed */
  WS_ERR_SYS = -2,    /* a system call failed, errno tells */
  WS_ERR_AGAIN = -3,  /* the kernel takes or has nothing now */
  WS_ERR_EOF = -4,    /* the peer's half of the stream has ended */
  WS_ERR_FULL = -5,   /* over max_queued: nothing was queued */
  WS_ERR_CLOSED = -6, /* the connection cannot send any more */

  WS_ERR_BAD_REQUEST = -400,
  WS_ERR_FORBIDDEN = -403,
  WS_ERR_NOT_FOUND = -404,
  WS_ERR_METHOD = -405,
  WS_ERR_TIMEOUT = -408,
  WS_ERR_BODY_TOO_BIG = -413,
  WS_ERR_URI_TOO_LONG = -414,
  WS_ERR_EXPECTATION = -417,
  WS_ERR_MISDIRECTED = -421,
  WS_ERR_UPGRADE = -426,
  WS_ERR_HEADERS_TOO_BIG = -431,
  WS_ERR_INTERNAL = -500,
  WS_ERR_NOT_IMPLEMENTED = -501,
  WS_ERR_UNAVAILABLE = -503,
  WS_ERR_VERSION = -505,

  WS_ERR_PROTOCOL = -1002,
  WS_ERR_UTF8 = -1007,
  WS_ERR_POLICY = -1008,
  WS_ERR_TOO_BIG = -1009,
  WS_ERR_HANDLER = -1011
};

#endif
