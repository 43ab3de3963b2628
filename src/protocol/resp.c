/* resp.c: the one file that includes hiredis. */
#include "protocol/resp.h"

#include <string.h>

#ifdef WS_HIREDIS
#include <hiredis/read.h>

/* The reader moves what it has not read to the front again and again: so it
 * gets little at a time. */
#define PIECE 8192
#define KEPT (256 * 1024) /* bytes of its buffer at rest */

/* hiredis takes NULL for a lack of memory, and anything else for an object. */
static void *told(void) {
  static char object;
  return &object;
}

static void tell(const redisReadTask *task, struct ws_resp_item *item) {
  struct ws_resp *r = task->privdata;
  const redisReadTask *at = task;
  while ((at = at->parent)) item->depth++;
  item->index = task->idx < 0 ? 0 : (size_t)task->idx;
  r->is_inside = true;
  if (!r->is_over) r->item(r, item);
}

static enum ws_resp_type type_of(const redisReadTask *task) {
  switch (task->type) {
  case REDIS_REPLY_STATUS: return WS_RESP_STATUS;
  case REDIS_REPLY_ERROR: return WS_RESP_ERROR;
  default: return WS_RESP_STRING;
  }
}

static void *on_string(const redisReadTask *task, char *p, size_t n) {
  struct ws_resp_item item = {.type = type_of(task), .text = {p, n}};
  tell(task, &item);
  return told();
}

/* The number of items has one type in hiredis 0.x and another in 1.x. */
#if defined(REDIS_REPLY_PUSH)
typedef size_t items;
#else
typedef int items;
#endif

static void *on_array(const redisReadTask *task, items n) {
  struct ws_resp_item item = {.type = WS_RESP_ARRAY, .n = (int64_t)n};
  tell(task, &item);
  return told();
}

static void *on_integer(const redisReadTask *task, long long n) {
  struct ws_resp_item item = {.type = WS_RESP_INTEGER, .n = n};
  tell(task, &item);
  return told();
}

static void *on_nil(const redisReadTask *task) {
  struct ws_resp_item item = {.type = WS_RESP_NIL};
  tell(task, &item);
  return told();
}

static void forget(void *object) {
  (void)object;
}

static redisReplyObjectFunctions functions = {.createString = on_string,
                                              .createArray = on_array,
                                              .createInteger = on_integer,
                                              .createNil = on_nil,
                                              .freeObject = forget};

bool ws_resp_is_built_in(void) {
  return true;
}

bool ws_resp_init(struct ws_resp *r, size_t max) {
  redisReader *reader = redisReaderCreateWithFunctions(&functions);
  if (!reader) return false;
  reader->maxbuf = KEPT;
  reader->privdata = r;
  r->reader = reader;
  r->max = max;
  r->held = 0;
  r->is_over = r->is_inside = false;
  return true;
}

void ws_resp_free(struct ws_resp *r) {
  if (r->reader) redisReaderFree(r->reader);
  r->reader = NULL;
}

static const char *read_whole(struct ws_resp *r) {
  redisReader *reader = r->reader;
  for (;;) {
    void *reply = NULL;
    if (redisReaderGetReply(reader, &reply) != 0)
      return reader->err == REDIS_ERR_OOM ? "out of memory"
                                          : "it does not speak as Redis does";
    if (!reply || r->is_over) return NULL;
    r->held = reader->len - reader->pos;
    r->is_inside = false;
    r->done(r);
    if (r->is_over) return NULL;
  }
}

const char *ws_resp_feed(struct ws_resp *r, const void *bytes, size_t n) {
  const char *p = bytes;
  while (n && !r->is_over) {
    size_t some = n < PIECE ? n : PIECE;
    if (redisReaderFeed(r->reader, p, some) != 0) return "out of memory";
    r->held += some;
    p += some;
    n -= some;
    const char *why = read_whole(r);
    if (why) return why;
    if (r->held > r->max && !r->is_over) return "a reply is above max_reply";
  }
  return NULL;
}

#else

bool ws_resp_is_built_in(void) {
  return false;
}

bool ws_resp_init(struct ws_resp *r, size_t max) {
  (void)r, (void)max;
  return false;
}

void ws_resp_free(struct ws_resp *r) {
  (void)r;
}

const char *ws_resp_feed(struct ws_resp *r, const void *bytes, size_t n) {
  (void)r, (void)bytes, (void)n;
  return "evws was built without hiredis";
}

#endif

/* ---- commands ---- */

/* "*3\r\n", "$12\r\n" */
static char *write_number(char *to, char mark, size_t n) {
  char digits[20];
  int i = 0;
  do {
    digits[i++] = (char)('0' + n % 10);
    n /= 10;
  } while (n);
  *to++ = mark;
  while (i) *to++ = digits[--i];
  *to++ = '\r';
  *to++ = '\n';
  return to;
}

char *ws_resp_write_head(char *to, size_t words) {
  return write_number(to, '*', words);
}

char *ws_resp_write_length(char *to, size_t n) {
  return write_number(to, '$', n);
}

char *ws_resp_write_word(char *to, struct ws_slice word) {
  to = ws_resp_write_length(to, word.n);
  if (word.n) memcpy(to, word.p, word.n);
  to += word.n;
  *to++ = '\r';
  *to++ = '\n';
  return to;
}

bool ws_resp_append(struct ws_buf *b, const struct ws_slice *words, size_t n) {
  size_t need = WS_RESP_HEAD_MAX;
  for (size_t i = 0; i < n; i++) need += WS_RESP_WORD_MAX + words[i].n;
  if (!ws_buf_reserve(b, need)) return false;
  char *from = (char *)ws_buf_end(b), *to = ws_resp_write_head(from, n);
  for (size_t i = 0; i < n; i++) to = ws_resp_write_word(to, words[i]);
  ws_buf_commit(b, (size_t)(to - from));
  return true;
}
