/* message.h: what is sent and what has to come back. There are several
 * messages, sent one after the other in a round: a server cannot live on one
 * answer, nor meet the same string twice in a row. All rounds are alike, so
 * they stand prepared: frames to send, and answers to compare with. */
#ifndef LOAD_MESSAGE_H
#define LOAD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KINDS_MAX 64

struct message_kind {
  size_t size;        /* bytes of the payload; of a call they are what it has */
  size_t answer_size; /* the same, but for what a hub answers */
  unsigned fragments; /* frames it is sent in */
  bool is_text, is_utf8, is_deflated;
  bool is_call;        /* an invocation of a hub's method "Add" */
  bool is_messagepack; /* as MessagePack, not as JSON */
  bool is_notice;      /* one of "Said", which is what all are sent */
  bool is_hub; /* the server is one: it answers calls, and shakes hands */
};

/* A round of byte strings, end to end, and more of the same behind it, so
 * that whatever begins in the round can be sent or compared in one piece. */
struct round {
  uint8_t *bytes;
  size_t len;             /* of one round */
  size_t room;            /* of all that is there */
  size_t ends[KINDS_MAX]; /* of each message in the round */
};

struct messages {
  struct message_kind kind;
  unsigned n; /* in a round */
  uint8_t *payloads[KINDS_MAX];
  uint8_t *expected[KINDS_MAX]; /* the payload, or what a hub answers it */
  struct round frames;
  struct round answers;       /* bytes NULL: not known yet */
  uint8_t *learnt[KINDS_MAX]; /* compressed answers, as they came */
  size_t learnt_len[KINDS_MAX];
  unsigned n_learnt;
};

#define FRAME_HEAD_MAX 10

/* RFC 6455 5.2; without a mask. Returns its length. */
size_t frame_head(uint8_t *to, uint8_t first, uint64_t len);

/* A frame with a mask, of less than 126 bytes. Returns its length. */
size_t frame_of_text(uint8_t *to, const char *text);

/* longest: bytes that are compared at once, most: messages sent at once. */
void messages_make(struct messages *m, const struct message_kind *kind,
                   size_t longest, size_t most);
void messages_free(struct messages *m);

/* A compressed answer in one frame that was found right; once there is one
 * for each message they are what is compared with. */
void messages_learn(struct messages *m, unsigned which, const uint8_t *bytes,
                    size_t len, size_t longest);

/* The payload of a compressed answer is inflated and compared. */
bool messages_inflates_to(const struct messages *m, unsigned which,
                          const uint8_t *bytes, size_t len);

#endif
