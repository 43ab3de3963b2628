/* bus_news.h: who has come or gone, told to those of this process who want to
 * know. */
#ifndef EVWS_BUS_NEWS_H
#define EVWS_BUS_NEWS_H

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

#endif
