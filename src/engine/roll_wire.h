/* roll_wire.h: how those who are in topics stand in Redis, and how changes are
 * told. Numbers are big-endian.
 *
 *   member   node (8), length (4) and topic, key
 *   value    length (4) and JSON, for messages; then the person: connections
 *            (4), length (2) and id, info. In Redis behind when he came (8)
 *   news     "J" or "L", length (4) and topic, length (4) and key, person */
#ifndef EVWS_ROLL_WIRE_H
#define EVWS_ROLL_WIRE_H

#include "base/buf.h"
#include "engine/carrier.h"
#include "engine/presence.h"

#define WS_ROLL_CHANNEL WS_SLICE("\0w") /* a topic, of the news */
#define WS_ROLL_NODE 8

/* NULL without memory. */
struct ws_text *ws_roll_member(const char *node, struct ws_slice topic,
                               struct ws_slice key);
struct ws_text *ws_roll_value(const struct ws_change *c, struct ws_slice json);

struct ws_roll_person {
  struct ws_slice key, id, info;
  uint64_t at, n; /* when the first came; connections */
};

/* A hash as it was read, each part behind its length (4), as people by the
 * order of their coming: to be freed; NULL without memory. */
struct ws_roll_person *ws_roll_people(struct ws_slice items, size_t *n);

/* False: it is no news. */
bool ws_roll_read(struct ws_slice message, struct ws_rumour *news);

/* The message about an entry for those who have the topic of its topic: topic
 * and message of p, in b. False without memory. */
bool ws_roll_message(struct ws_buf *b, struct ws_slice member,
                     struct ws_slice value, bool is_join,
                     struct ws_publication *p);

/* Appends a length and so many bytes; false without memory. */
bool ws_roll_append(struct ws_buf *b, struct ws_slice part);

#endif
