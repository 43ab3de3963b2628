/* text.h: strings that are kept: one shared by count, and lists of them. */
#ifndef EVWS_TEXT_H
#define EVWS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct ws_text {
  uint32_t refs;
  uint32_t len;
  char text[];
};

struct ws_text *ws_text_new(struct ws_slice text); /* one reference */
void ws_text_release(struct ws_text *t);           /* t may be NULL */

/* A list of strings, owned. */
struct ws_strings {
  char **list;
  size_t n;
};

/* False without memory: the list is as it was. */
bool ws_strings_add(struct ws_strings *s, const char *text, size_t len);
void ws_strings_free(struct ws_strings *s);

#endif
