/* answer.h: what a request is answered: at once, or with a body that is made
 * meanwhile (RFC 9112 6, 7.1). */
#ifndef EVWS_ANSWER_H
#define EVWS_ANSWER_H

#include "engine/pending.h"

/* The answer to a request (or to an upgrade that is refused). fields: header
 * lines, each with CR LF, checked by the caller; Content-Length, Date and
 * Connection are added, a Content-Type where there is a body and none is
 * given (has_type). body.p NULL with a length: only the length is told, for
 * HEAD and 304. Ignored when there is nothing to answer any more. */
void ws_conn_respond(struct ws_conn *c, int status, struct ws_slice fields,
                     bool has_type, struct ws_slice body);

/* The same; the body is the status as text. */
void ws_conn_respond_status(struct ws_conn *c, int status,
                            struct ws_slice fields);

/* Nobody has an answer: 404; but OPTIONS * is told what there is (RFC 9110
 * 9.3.7): 204, with Allow. */
void ws_conn_respond_nothing(struct ws_conn *c);

/* The head alone leaves; the body follows by ws_answer_write until
 * ws_answer_end. length: NULL where it is not known. False: no body is wanted,
 * and the request is answered. */
bool ws_answer_begin(struct ws_conn *c, int status, struct ws_slice fields,
                     bool has_type, const uint64_t *length);

/* Is a body being written, and may it go on? Not when the server closes, but
 * for one whose length is known: that has an end. */
bool ws_answer_is_open(const struct ws_conn *c);

/* WS_ERR_FULL: nothing was taken; WS_ERR_TOO_BIG: it is more than was told. */
enum ws_err ws_answer_write(struct ws_conn *c, const void *data, size_t n);

/* Nothing follows. Where that is less than was told, as ws_answer_break. */
void ws_answer_end(struct ws_conn *c);
/* The body is not whole, and the client has to see that. */
void ws_answer_break(struct ws_conn *c);

/* There is something to read while the request is being answered: what comes
 * is kept for later, and an end is told. */
void ws_answer_read_on(struct ws_conn *c);

/* Whoever answers is told, once, that the client has gone, or that the server
 * closes. */
void ws_answer_tell_gone(struct ws_conn *c);

#endif
