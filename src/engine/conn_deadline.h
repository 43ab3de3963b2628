/* conn_deadline.h: what time does to connections. */
#ifndef EVWS_CONN_DEADLINE_H
#define EVWS_CONN_DEADLINE_H

#include "transport/wheel.h"

/* The on_deadline of every loop with connections. */
void ws_conn_on_deadline(struct ws_deadline *d);

#endif
