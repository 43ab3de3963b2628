/* bus_command.c: the commands of the backplane as bytes. */
#include "engine/bus_command.h"

#include "engine/bus_names.h"
#include "protocol/resp.h"

#define FRONT "*3\r\n$7\r\nPUBLISH\r\n"
#define VERB_MAX 11

static const struct ws_slice everybody = {"all", 3}, topic = {"t:", 2};

static char *put(char *to, struct ws_slice text) {
  if (text.n) memcpy(to, text.p, text.n);
  return to + text.n;
}

size_t ws_bus_channel_len(struct ws_slice name) {
  return name.p ? topic.n + name.n : everybody.n;
}

char *ws_bus_channel_put(char *to, struct ws_slice name) {
  return name.p ? put(put(to, topic), name) : put(to, everybody);
}

size_t ws_bus_publish_max(struct ws_slice prefix, struct ws_slice name,
                          const struct ws_carried *what) {
  return sizeof FRONT + prefix.n + ws_bus_channel_len(name) +
         ws_carried_head(what) + what->message.n + 2 * WS_RESP_WORD_MAX;
}

char *ws_bus_publish_put(char *to, struct ws_slice prefix, struct ws_slice name,
                         const struct ws_carried *what) {
  to = put(to, WS_SLICE(FRONT));
  to = ws_resp_write_length(to, prefix.n + ws_bus_channel_len(name));
  to = ws_bus_channel_put(put(to, prefix), name);
  to = put(to, WS_SLICE("\r\n"));
  to = ws_resp_write_length(to, ws_carried_head(what) + what->message.n);
  to = put(ws_carried_write(to, what), what->message);
  return put(to, WS_SLICE("\r\n"));
}

size_t ws_bus_names_max(struct ws_slice prefix, const struct ws_list *list,
                        size_t n) {
  size_t most = WS_RESP_HEAD_MAX + WS_RESP_WORD_MAX + VERB_MAX;
  for (const struct ws_list *e = list->next; n--; e = e->next)
    most += WS_RESP_WORD_MAX + prefix.n +
            WS_LIST_ENTRY(e, struct ws_channel, link)->len;
  return most;
}

char *ws_bus_names_put(char *to, struct ws_slice verb, struct ws_slice prefix,
                       const struct ws_list *list, size_t n) {
  to = ws_resp_write_word(ws_resp_write_head(to, n + 1), verb);
  for (const struct ws_list *e = list->next; n--; e = e->next) {
    const struct ws_channel *c = WS_LIST_ENTRY(e, struct ws_channel, link);
    to = ws_resp_write_length(to, prefix.n + c->len);
    to = put(put(to, prefix), (struct ws_slice){c->name, c->len});
    to = put(to, WS_SLICE("\r\n"));
  }
  return to;
}
