/* stats.h: what is counted. Counters only grow; nothing here is read by the
 * engine itself. */
#ifndef EVWS_STATS_H
#define EVWS_STATS_H

#include <stdint.h>

/* Why a connection, or a request on one, was turned away before it was open:
 * one for each place where that happens. */
enum ws_refusal {
  WS_REFUSED_CONNECTIONS, /* max_connections */
  WS_REFUSED_ADDRESS,     /* max_per_address */
  WS_REFUSED_DESCRIPTORS, /* the process has none left */
  WS_REFUSED_PENDING,     /* max_pending */
  WS_REFUSED_MEMORY,      /* there is none, or max_memory */
  WS_REFUSED_CLOSING,     /* the server is going down */
  WS_REFUSED_LOST,        /* the peer left before it had any answer */
  WS_REFUSED_TIMEOUT,     /* handshake_timeout */
  WS_REFUSED_TLS,         /* its handshake failed, or there is no TLS here */
  WS_REFUSED_PROXY, /* no PROXY header where one is due, or not from these */
  WS_REFUSED_BAD_REQUEST,
  WS_REFUSED_TOO_BIG, /* a limit of the request's size */
  WS_REFUSED_HOST,
  WS_REFUSED_NOT_FOUND,
  WS_REFUSED_UPGRADE, /* a plain request, or another version: 426 */
  WS_REFUSED_ORIGIN,
  WS_REFUSED_APPLICATION,    /* on_upgrade said so */
  WS_REFUSED_HANDLER_ERROR,  /* on_upgrade, on_request or origins raised */
  WS_REFUSED_HANDLER_TIMEOUT /* upgrade_timeout */
};
#define WS_REFUSALS (WS_REFUSED_HANDLER_TIMEOUT + 1)

/* Its name in stats() and in the log. */
const char *ws_refusal_name(enum ws_refusal why);

/* The one that an answer with this status means if nothing else is said. */
enum ws_refusal ws_refusal_of(int status);

/* And what an error of its stream does. */
enum ws_refusal ws_refusal_of_error(int error);

/* Ends by their code. Of those that are not the RFC's (an application's, or
 * the peer's invention) the first few have a counter of their own. */
#define WS_CODE_FIRST 1000
#define WS_CODES 16
#define WS_OWN_CODES 16

struct ws_closes {
  uint64_t known[WS_CODES];
  struct {
    uint16_t code; /* 0: free */
    uint64_t n;
  } own[WS_OWN_CODES];
  uint64_t others;
};

void ws_closes_count(struct ws_closes *c, int code);
void ws_closes_add(struct ws_closes *sum, const struct ws_closes *c);

/* Of one server, outside of the path of messages. */
struct ws_stats {
  uint64_t accepted, opened, requests;
  uint64_t joins, leaves; /* of people in its topics */
  uint64_t refused[WS_REFUSALS];
  struct ws_closes closed;
};

/* Of one route; beside what every message touches anyway. Bytes are those of
 * messages, without frames' heads. */
struct ws_traffic {
  uint64_t messages_in, bytes_in;
  uint64_t messages_out, bytes_out;
  uint64_t dropped; /* publishes that a full queue has missed */
};

void ws_traffic_add(struct ws_traffic *sum, const struct ws_traffic *t);

#endif
