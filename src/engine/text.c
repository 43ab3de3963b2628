/* text.c: strings that are kept. */
#include "engine/text.h"

#include <string.h>

#include "base/buf.h"

struct ws_text *ws_text_new(struct ws_slice text) {
  struct ws_text *t = ws_mem_alloc(sizeof *t + text.n);
  if (!t) return NULL;
  *t = (struct ws_text){.refs = 1, .len = (uint32_t)text.n};
  if (text.n) memcpy(t->text, text.p, text.n);
  return t;
}

void ws_text_release(struct ws_text *t) {
  if (t && --t->refs == 0) ws_mem_free(t);
}

bool ws_strings_add(struct ws_strings *s, const char *text, size_t len) {
  char **list = ws_mem_resize(s->list, (s->n + 1) * sizeof *list);
  if (!list) return false;
  s->list = list;
  list[s->n] = ws_mem_alloc(len + 1);
  if (!list[s->n]) return false;
  memcpy(list[s->n], text, len);
  list[s->n++][len] = 0;
  return true;
}

void ws_strings_free(struct ws_strings *s) {
  while (s->n) ws_mem_free(s->list[--s->n]);
  ws_mem_free(s->list);
  s->list = NULL;
}
