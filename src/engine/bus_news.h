/* bus_news.h: what is told to those of this process who want to know: who has
 * come or gone, and that a history can be read, or not. */
#ifndef EVWS_BUS_NEWS_H
#define EVWS_BUS_NEWS_H

#include "engine/bus_kept.h"
#include "engine/topic_ask.h"

/* A server of a bus, in its list. */
struct ws_bus_server {
  struct ws_list link;
  struct ws_server *server; /* NULL: it has left */
};

/* own: what the bus itself tells, where its `present` is set. False without
 * memory for one of them. */
bool ws_news_give(struct ws_list *servers, struct ws_changes *own,
                  const struct ws_rumour *news);

/* All servers that keep a topic read it, or those where somebody came. */
void ws_news_read(struct ws_list *servers, struct ws_reader *r,
                  struct ws_slice topic, bool is_new);

/* It is refused: whoever waits for its history will hear that. */
void ws_news_refused(struct ws_list *servers, struct ws_slice topic);

#endif
