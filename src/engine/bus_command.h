/* bus_command.h: the commands of the backplane as bytes, and what channels are
 * called: "all" for everybody, "t:" and the name for a topic, behind the
 * prefix. */
#ifndef EVWS_BUS_COMMAND_H
#define EVWS_BUS_COMMAND_H

#include "base/list.h"
#include "protocol/envelope.h"

/* PUBLISH; name.p NULL: for everybody. The bytes that it takes at most, and
 * where they end. */
size_t ws_bus_publish_max(struct ws_slice prefix, struct ws_slice name,
                          const struct ws_carried *what);
char *ws_bus_publish_put(char *to, struct ws_slice prefix, struct ws_slice name,
                         const struct ws_carried *what);

/* SUBSCRIBE or UNSUBSCRIBE, with the first n of a list of struct ws_channel. */
size_t ws_bus_names_max(struct ws_slice prefix, const struct ws_list *list,
                        size_t n);
char *ws_bus_names_put(char *to, struct ws_slice verb, struct ws_slice prefix,
                       const struct ws_list *list, size_t n);

/* A topic's channel without the prefix: the bytes that it takes, and where
 * they end. */
size_t ws_bus_channel_len(struct ws_slice name);
char *ws_bus_channel_put(char *to, struct ws_slice name);

#endif
