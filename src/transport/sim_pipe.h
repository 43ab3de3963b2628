/* sim_pipe.h: bytes on their way from one end to the other. */
#ifndef EVWS_SIM_PIPE_H
#define EVWS_SIM_PIPE_H

#include "transport/sim_base.h"

/* Sends up to n bytes; how many, or a negated errno. */
ssize_t ws_sim_put(struct ws_sim_socket *from, const void *bytes, size_t n);

/* Takes up to n bytes that have arrived, or looks at them; 0: the end. */
ssize_t ws_sim_take(struct ws_sim_socket *to, void *bytes, size_t n);
ssize_t ws_sim_peek(struct ws_sim_socket *to, void *bytes, size_t n);

/* Its own half is over. */
void ws_sim_end(struct ws_sim_socket *from);

/* It is torn: this end knows it, the other one will. */
void ws_sim_tear(struct ws_sim_socket *from, int error);

/* May bytes be sent? Of one that is connected. */
bool ws_sim_has_room(const struct ws_sim_socket *from);

/* Nobody has the descriptor any more: what it leaves behind goes, or stays
 * until the other end is gone too. */
void ws_sim_leave(struct ws_sim_socket *socket);

/* Held or no more. */
void ws_sim_hold_end(struct ws_sim_socket *socket, bool on);

#endif
