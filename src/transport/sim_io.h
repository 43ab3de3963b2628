/* sim_io.h: the seam's calls as the simulated network provides them. */
#ifndef EVWS_SIM_IO_H
#define EVWS_SIM_IO_H

#include "transport/sim_base.h"

void ws_sim_io_fill(struct ws_io_ops *ops);

/* What of its watch is ready. */
uint8_t ws_sim_ready(const struct ws_sim_socket *socket);

#endif
