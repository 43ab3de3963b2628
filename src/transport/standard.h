/* standard.h: descriptors 0, 1 and 2 are for others: what is printed, errors,
 * warnings. Where a supervisor (or 2>&-) has closed them, the next socket
 * would get such a number, and a peer what is printed. */
#ifndef EVWS_STANDARD_H
#define EVWS_STANDARD_H

#include <stdbool.h>

/* Opens /dev/null for those that are closed. */
void ws_standard_fill(void);

/* Our new descriptor (close-on-exec), moved where it has such a number. */
int ws_standard_keep(int fd);

/* Are three descriptors to be had? */
bool ws_standard_has_three(void);

#endif
