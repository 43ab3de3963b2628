/* conn_writer.h: a message that is sent in fragments as they are made. */
#ifndef EVWS_CONN_WRITER_H
#define EVWS_CONN_WRITER_H

#include "engine/conn_base.h"

/* Begins one, where no other is open; *id names it in the calls below. WS_OK,
 * WS_ERR_CLOSED, WS_ERR_MEMORY. */
enum ws_err ws_conn_writer_begin(struct ws_conn *c, uint8_t opcode,
                                 uint32_t *id);

/* Of one that is open: sends a fragment, as ws_conn_send does; nothing for no
 * bytes. */
enum ws_err ws_conn_writer_write(struct ws_conn *c, uint32_t id,
                                 const void *data, size_t len);

/* Of one that is open: sends the last, empty fragment, and all that has waited
 * for it. */
enum ws_err ws_conn_writer_finish(struct ws_conn *c, uint32_t id);

/* Can it be written to? */
bool ws_conn_writer_is_open(const struct ws_conn *c, uint32_t id);

/* The host's mark of who writes: set, and compared. */
void ws_conn_writer_set_by(struct ws_conn *c, const void *by);
bool ws_conn_writer_is_by(const struct ws_conn *c, const void *by);

#endif
