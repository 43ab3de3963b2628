/* bus_kept.h: the history of topics in Redis: a stream for the messages, each
 * with its envelope, and a hash for the epoch and the last offset. Scripts do
 * at once what belongs together. */
#ifndef EVWS_BUS_KEPT_H
#define EVWS_BUS_KEPT_H

#include "engine/bus_link.h"
#include "engine/kept_sync.h"

/* A topic of a server whose history is to be read. */
struct ws_read {
  struct ws_read *next;
  struct ws_server *server; /* NULL: it is gone, or wants it no more */
  struct ws_text *topic;
  uint64_t number; /* of what was asked */
};

/* Who reads from one link: what is to be asked, and what has been, in the
 * order of the answers. */
struct ws_reader {
  struct ws_asked asked;
  struct ws_link *link;
  struct ws_read *due, *sent, **due_end, **sent_end;
  struct ws_read *refused, **refused_end; /* to be read once more */
  uint64_t n_reads;
  struct ws_timer again;
  struct ws_asked keeping;
  struct ws_list receipts;   /* by their numbers */
  uint64_t n_given, n_known; /* messages, and those that were answered */
  uint64_t node;             /* this process */
  struct ws_buf epoch;       /* of the answer that is coming */
  struct ws_buf command;     /* being written */
  bool has_failed;           /* the answer is an error */
  bool has_more;             /* it is only the beginning, */
  bool has_got;              /* and brings something new */
};

void ws_reader_init(struct ws_reader *r, struct ws_link *l, uint64_t node);
void ws_reader_free(struct ws_reader *r);

/* A topic's history is to be read; soon, by ws_reader_go_on. */
void ws_reader_want(struct ws_reader *r, struct ws_server *s,
                    struct ws_slice topic);

/* Asks for what is due, if the link is up. */
void ws_reader_go_on(struct ws_reader *r);

/* Nothing is read for a server any more. */
void ws_reader_forget(struct ws_reader *r, const struct ws_server *s);

/* A message for the history; receipt: for who wants to know, or NULL. NULL, or
 * why it is not taken. */
const char *ws_reader_keep(struct ws_reader *r, struct ws_slice topic,
                           const struct ws_carried *what,
                           const struct ws_kept_rule *rule,
                           struct ws_receipt *receipt);

/* A new epoch. */
const char *ws_reader_reset(struct ws_reader *r, struct ws_slice topic,
                            const struct ws_kept_rule *rule);

#endif
