/* bus_news.c: what is told to the servers of a bus. */
#include "engine/bus_news.h"

#include <assert.h>

#include "engine/server_base.h"

bool ws_news_give(struct ws_list *servers, struct ws_changes *own,
                  const struct ws_rumour *news) {
  bool ok = !own->present || ws_changes_hear(own, news);
  for (struct ws_list *e = servers->next; e != servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    assert(s); /* nobody walks */
    if (!s->is_gone && s->tells_presence && !ws_topic_hear_of(s, news))
      ok = false;
  }
  return ok;
}

void ws_news_read(struct ws_list *servers, struct ws_reader *r,
                  struct ws_slice topic, bool is_new) {
  for (struct ws_list *e = servers->next; e != servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    if (s && (!is_new || ws_sync_is_new(s, topic))) ws_reader_want(r, s, topic);
  }
}

void ws_news_refused(struct ws_list *servers, struct ws_slice topic) {
  for (struct ws_list *e = servers->next; e != servers; e = e->next) {
    struct ws_server *s = WS_LIST_ENTRY(e, struct ws_bus_server, link)->server;
    assert(s); /* nobody walks */
    ws_sync_refused(s, topic);
  }
}
