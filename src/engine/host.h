/* host.h: whoever the engine works for: the Lua binding, a fuzz target, a
 * benchmark. Events rise through this table. They are called inside a turn;
 * all but new_conn may call any function of the engine. */
#ifndef EVWS_HOST_H
#define EVWS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct ws_change;
struct ws_conn;
struct ws_hearer;
struct ws_host;
struct ws_publication;
struct ws_server;

enum ws_log_level { WS_LOG_WARNING, WS_LOG_ERROR };

/* A text may come from the network: whoever shows it escapes it. A line is
 * ours, or escaped already. */
enum ws_log_kind { WS_LOG_TEXT, WS_LOG_LINE, WS_LOG_INTEGER, WS_LOG_NUMBER };

struct ws_log_field {
  const char *name;
  enum ws_log_kind kind;
  union {
    struct ws_slice text;
    int64_t integer;
    double number;
  };
};

/* A message as the members of a view get it. */
struct ws_viewed {
  struct ws_slice message;
  uint8_t opcode;
};

struct ws_host {
  /* Zeroed memory for a connection, held until free_conn; NULL when there is
   * none. */
  struct ws_conn *(*new_conn)(struct ws_host *, struct ws_server *);

  /* The engine has forgotten the connection. The last call for it. */
  void (*free_conn)(struct ws_conn *);

  /* A plain request (not is_upgrade), or an upgrade that only waits for a
   * yes; asked for where the route has on_request or on_upgrade. Answered by
   * ws_conn_respond or ws_conn_accept, now or later. */
  void (*request)(struct ws_conn *, bool is_upgrade);

  /* The client of a request that was asked about and is not answered, or whose
   * answer is being written, has ended its half or is lost; or the server
   * closes. At most once for each request. May be NULL. */
  void (*gone)(struct ws_conn *);

  /* Open: the 101 is queued. */
  void (*opened)(struct ws_conn *);

  /* Messages can be taken with ws_conn_next. Called while the connection
   * wants them: in callback mode with a handler to spare, in pull mode with
   * a receiver waiting. */
  void (*readable)(struct ws_conn *);

  /* In pull and discard mode: a ping or pong waits to be taken with
   * ws_conn_next_control. May be called inside of any call that takes
   * messages, so nothing may be delivered before that has returned. */
  void (*control)(struct ws_conn *);

  /* Is a handler of this connection at work that may take messages? Else its
   * Close is answered when it comes, though there are unread ones. */
  bool (*is_at_work)(struct ws_conn *);

  /* Below low_water; was_high: after having been above high_water, else only
   * because is_drain_awaited. */
  void (*drained)(struct ws_conn *, bool was_high);

  /* It is over, but messages that came before have not been handled yet:
   * closed will follow. May be called more than once. */
  void (*ended)(struct ws_conn *);

  /* Exactly once for each opened, and once for a client's attempt that
   * failed; ws_conn_code and ws_conn_reason say how it ended. False: there is
   * no memory for that now, it is tried again a little later. */
  bool (*closed)(struct ws_conn *);

  /* A server begins to close. True: the host has something to do first, for
   * at most so many seconds, and calls ws_farewell_go then. May be NULL. */
  bool (*closing)(struct ws_server *, double seconds);

  /* A server has come to its end: no listener and no connection is left. */
  void (*server_gone)(struct ws_server *);

  /* What the members of a view get for this; false: nothing. The message
   * stays until `viewed` is called, which follows if it was true. Neither
   * calls a function of the engine that publishes or subscribes. */
  bool (*view)(struct ws_server *, int view, const struct ws_publication *,
               struct ws_viewed *);
  void (*viewed)(struct ws_server *);

  /* Somebody hears a topic. False: there is no memory for that now, it is
   * told again a little later. */
  bool (*heard)(struct ws_hearer *, const struct ws_publication *);

  /* The server that it belongs to is given back: it hears no more. */
  void (*deaf)(struct ws_hearer *);

  /* Somebody has come to a topic, or gone. False as of `heard`. */
  bool (*present)(struct ws_server *, const struct ws_change *);

  void (*log)(struct ws_host *, enum ws_log_level, const char *text);

  /* "accepted", "refused": told only to who wants them. Both may be NULL. */
  bool (*wants_events)(struct ws_host *);
  void (*event)(struct ws_host *, const char *event,
                const struct ws_log_field *fields, size_t n);
};

#endif
