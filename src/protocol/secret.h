/* secret.h: comparing what must not be guessed byte by byte. */
#ifndef EVWS_SECRET_H
#define EVWS_SECRET_H

#include <stdbool.h>

#include "base/slice.h"

/* Are they the same? The time tells their lengths, and nothing of what is in
 * them. */
bool ws_secret_equals(struct ws_slice a, struct ws_slice b);

#endif
