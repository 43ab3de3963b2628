/* list.h: an intrusive doubly linked list. A list is a link that stands for
 * no element; an element that is in no list points to itself, so removing it
 * twice does no harm. */
#ifndef EVWS_LIST_H
#define EVWS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ws_list {
  struct ws_list *next, *prev;
};

#define WS_LIST_ENTRY(link, type, member) \
  ((type *)((char *)(link)-offsetof(type, member)))

static inline void ws_list_init(struct ws_list *l) {
  l->next = l->prev = l;
}

static inline bool ws_list_is_empty(const struct ws_list *l) {
  return l->next == l;
}

/* Is this element in a list? */
static inline bool ws_list_is_linked(const struct ws_list *e) {
  return e->next != e;
}

static inline void ws_list_append(struct ws_list *l, struct ws_list *e) {
  e->prev = l->prev;
  e->next = l;
  l->prev->next = e;
  l->prev = e;
}

static inline void ws_list_remove(struct ws_list *e) {
  e->prev->next = e->next;
  e->next->prev = e->prev;
  ws_list_init(e);
}

/* Takes the first element out; NULL from an empty list. */
static inline struct ws_list *ws_list_shift(struct ws_list *l) {
  struct ws_list *e = l->next;
  if (e == l) return NULL;
  ws_list_remove(e);
  return e;
}

/* Moves every element of `from` behind those of `to`; `from` is left empty. */
static inline void ws_list_splice(struct ws_list *to, struct ws_list *from) {
  if (ws_list_is_empty(from)) return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  ws_list_init(from);
}

#endif
