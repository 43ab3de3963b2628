/* redis_url.c: taking the URLs of Redis apart. */
#include "protocol/redis_url.h"

#include "protocol/origin.h"

#define DB_MAX 1000000

/* Cuts *head off the text, up to the last or the first of a byte, which is
 * left out; false where there is none. */
static bool cut(struct ws_slice *text, char at, bool is_last,
                struct ws_slice *head) {
  size_t i = text->n;
  for (size_t k = 0; k < text->n && (is_last || i == text->n); k++)
    if (text->p[k] == at) i = k;
  if (i == text->n) return false;
  *head = (struct ws_slice){text->p, i};
  text->p += i + 1;
  text->n -= i + 1;
  return true;
}

static bool are_bytes_good(struct ws_slice text) {
  for (size_t i = 0; i < text.n; i++) {
    unsigned char b = (unsigned char)text.p[i];
    if (b <= 0x20 || b == 0x7F || b == '#') return false;
    if (b == '%' && ws_slice_escape(text, i) <= 0) return false;
  }
  return true;
}

static bool parse_db(struct ws_slice text, int *db) {
  int n = 0;
  if (text.n == 0) return false;
  for (size_t i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9' || n > DB_MAX) return false;
    n = n * 10 + (text.p[i] - '0');
  }
  *db = n;
  return true;
}

static void take_user(struct ws_slice user, struct ws_redis_url *url) {
  if (!cut(&user, ':', false, &url->username)) {
    url->username = user;
    return;
  }
  url->password = user;
}

static const char *parse_unix(struct ws_slice text, struct ws_redis_url *url) {
  struct ws_slice user, query = {NULL, 0};
  if (ws_slice_cut_prefix(&text, "//") && cut(&text, '@', false, &user))
    take_user(user, url);
  if (cut(&text, '?', false, &url->path))
    query = text;
  else
    url->path = text;
  if (url->path.n == 0 || url->path.p[0] != '/')
    return "the path of the socket is missing";
  if (!query.p) return NULL;
  if (ws_slice_cut_prefix(&query, "db=") && parse_db(query, &url->db))
    return NULL;
  return "after the path of the socket only ?db=number is known";
}

static const char *parse_inet(struct ws_slice text, struct ws_redis_url *url) {
  struct ws_slice authority, user, name;
  long port = -1;
  if (!cut(&text, '/', false, &authority)) {
    authority = text;
    text.n = 0;
  }
  if (cut(&authority, '@', true, &user)) take_user(user, url);
  if (memchr(authority.p, '?', authority.n)) return "a query is not known here";
  if (!ws_origin_parse_host(authority, &name, &port) || port == 0)
    return "the host or port is malformed";
  url->host = name;
  if (port > 0) url->port = (int)port;
  if (text.n && !parse_db(text, &url->db))
    return "after the host only the number of a database is known";
  return NULL;
}

static const char *parse(struct ws_slice text, struct ws_redis_url *url) {
  if (!are_bytes_good(text)) return "a character that must be percent-encoded";
  if (ws_slice_cut_prefix(&text, "redis+unix:")) return parse_unix(text, url);
  url->is_secure = ws_slice_cut_prefix(&text, "rediss://");
  if (url->is_secure || ws_slice_cut_prefix(&text, "redis://"))
    return parse_inet(text, url);
  return "the scheme is not redis, rediss or redis+unix";
}

bool ws_redis_url_parse(struct ws_slice text, struct ws_redis_url *url,
                        const char **why) {
  *url = (struct ws_redis_url){.port = 6379};
  *why = parse(text, url);
  return !*why;
}

size_t ws_redis_url_decode(struct ws_slice text, char *to) {
  size_t n = 0;
  for (size_t i = 0; i < text.n; i++) {
    int escaped = text.p[i] == '%' ? ws_slice_escape(text, i) : -1;
    to[n++] = escaped >= 0 ? (char)escaped : text.p[i];
    if (escaped >= 0) i += 2;
  }
  return n;
}
