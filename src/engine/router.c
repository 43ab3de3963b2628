/* router.c: a tree of segments. A path is looked up by halving among the
 * literal segments of each level; a parameter or a wildcard is tried where
 * that leads nowhere, so a look-up visits no node twice. */
#include "engine/router.h"

#include <string.h>

#include "base/buf.h"
#include "protocol/utf8.h"

struct ws_router_node {
  struct ws_router_node **literals; /* sorted by their text */
  size_t n;
  struct ws_router_node *param;
  struct ws_route *route; /* of a pattern that ends here */
  struct ws_route *rest;  /* of one that ends here in a wildcard */
  size_t len;
  char text[]; /* the segment */
};

/* ---- segments ---- */

/* Takes one segment off the front of what follows a slash; *is_last: no slash
 * came after it. */
static struct ws_slice take(struct ws_slice *rest, bool *is_last) {
  const char *slash = rest->n ? memchr(rest->p, '/', rest->n) : NULL;
  struct ws_slice segment = *rest;
  *is_last = !slash;
  if (slash) {
    segment.n = (size_t)(slash - rest->p);
    rest->p = slash + 1;
    rest->n -= segment.n + 1;
  }
  return segment;
}

static struct ws_slice behind_slash(struct ws_slice path) {
  return (struct ws_slice){path.p + 1, path.n - 1};
}

static bool is_rest(struct ws_slice segment) {
  return segment.n == 1 && segment.p[0] == '*';
}

static bool is_param(struct ws_slice segment) {
  return segment.n > 0 && segment.p[0] == ':';
}

static bool is_encoded(struct ws_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] == '%' && ws_slice_escape(s, i) <= 0) return false;
  return true;
}

/* ---- spellings (RFC 3986 6.2.2) ---- */

#define ESCAPED 0x100 /* of a unit: it is not the character it encodes */

static bool is_unreserved(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c != 0 && c < 0x80 && strchr("-._~", c));
}

/* May stand in a URI as it is, or begins an escape (2.2). */
static bool is_uri_byte(int c) {
  return is_unreserved(c) ||
         (c != 0 && c < 0x80 && strchr("%:/?#[]@!$&'()*+,;=", c));
}

/* What stands at *i, which moves behind it: equal for everything that means
 * the same. Escapes of unreserved characters are these (6.2.2.2), those of
 * reserved ones are not; a byte that has to be escaped is taken for its
 * escape. A malformed escape is the bytes that are there. */
static int unit(struct ws_slice s, size_t *i) {
  int c = (unsigned char)s.p[*i], byte = c == '%' ? ws_slice_escape(s, *i) : -1;
  *i += byte < 0 ? 1 : 3;
  if (byte < 0) return is_uri_byte(c) ? c : c | ESCAPED;
  return is_unreserved(byte) ? byte : byte | ESCAPED;
}

/* An order in which two spellings of the same text are equal. */
static int compare_text(struct ws_slice a, struct ws_slice b) {
  size_t i = 0, j = 0;
  while (i < a.n && j < b.n) {
    int c = unit(a, &i) - unit(b, &j);
    if (c != 0) return c;
  }
  return (i < a.n) - (j < b.n);
}

size_t ws_router_decode(struct ws_slice value, char *out) {
  size_t n = 0;
  for (size_t i = 0; i < value.n; i++) {
    int byte = value.p[i] == '%' ? ws_slice_escape(value, i) : -1;
    if (byte >= 0) i += 2;
    out[n++] = byte >= 0 ? (char)byte : value.p[i];
  }
  return n;
}

/* ---- patterns ---- */

static bool is_name(struct ws_slice s) {
  for (size_t i = 0; i < s.n; i++) {
    char c = ws_lower(s.p[i]);
    bool is_letter = (c >= 'a' && c <= 'z') || c == '_';
    if (!is_letter && !(i > 0 && c >= '0' && c <= '9')) return false;
  }
  return s.n > 0;
}

static bool has_name(struct ws_slice rest, struct ws_slice name) {
  bool is_last = false;
  while (!is_last)
    if (ws_slice_equal(take(&rest, &is_last), name)) return true;
  return false;
}

static const char *check_segment(struct ws_slice s, struct ws_slice rest,
                                 bool is_last) {
  if (is_rest(s)) return is_last ? NULL : "'*' is not its last segment";
  if (is_param(s)) {
    if (!is_name(behind_slash(s)))
      return "a parameter is ':' and a name of letters, digits and '_'";
    return !is_last && has_name(rest, s) ? "a parameter is named twice" : NULL;
  }
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '*') return "'*' is a segment of its own";
    if (c <= ' ' || c == 0x7F || c == '?' || c == '#')
      return "it holds a character that no path does";
  }
  return NULL;
}

bool ws_router_is_pattern(struct ws_slice pattern, const char **why) {
  bool is_last = false;
  *why = "it does not start with '/'";
  if (pattern.n == 0 || pattern.p[0] != '/') return false;
  *why = "it is not UTF-8";
  if (!ws_utf8_is_valid(pattern.p, pattern.n)) return false;
  struct ws_slice rest = behind_slash(pattern);
  *why = NULL;
  while (!is_last && !*why) {
    struct ws_slice segment = take(&rest, &is_last);
    *why = check_segment(segment, rest, is_last);
  }
  return !*why;
}

/* ---- the tree ---- */

static int compare(const struct ws_router_node *node, struct ws_slice s) {
  return compare_text((struct ws_slice){node->text, node->len}, s);
}

/* Where the literal segment stands, or would. */
static size_t place(const struct ws_router_node *node, struct ws_slice s) {
  size_t first = 0, end = node->n;
  while (first < end) {
    size_t middle = first + (end - first) / 2;
    if (compare(node->literals[middle], s) < 0)
      first = middle + 1;
    else
      end = middle;
  }
  return first;
}

static struct ws_router_node *literal(const struct ws_router_node *node,
                                      struct ws_slice s) {
  size_t at = place(node, s);
  if (at == node->n || compare(node->literals[at], s) != 0) return NULL;
  return node->literals[at];
}

static struct ws_router_node *new_node(struct ws_slice s) {
  struct ws_router_node *node = ws_mem_zero(sizeof *node + s.n);
  if (!node) return NULL;
  node->len = s.n;
  if (s.n) memcpy(node->text, s.p, s.n);
  return node;
}

static struct ws_router_node *add_literal(struct ws_router_node *node,
                                          struct ws_slice s) {
  size_t at = place(node, s);
  struct ws_router_node *child = literal(node, s), **list;
  if (child) return child;
  list = ws_mem_resize(node->literals, (node->n + 1) * sizeof(void *));
  if (!list) return NULL;
  node->literals = list;
  if (!(child = new_node(s))) return NULL;
  memmove(list + at + 1, list + at, (node->n - at) * sizeof(void *));
  list[at] = child;
  node->n++;
  return child;
}

bool ws_router_add(struct ws_router *r, struct ws_slice pattern,
                   struct ws_route *route) {
  struct ws_slice rest = behind_slash(pattern);
  struct ws_router_node *node;
  bool is_last = false;
  if (!r->root) r->root = new_node((struct ws_slice){"", 0});
  /* a path that was made halfway stays: it leads nowhere */
  for (node = r->root; node && !is_last;) {
    struct ws_slice segment = take(&rest, &is_last);
    if (is_rest(segment)) {
      node->rest = route;
      return true;
    }
    if (is_param(segment)) {
      if (!node->param) node->param = new_node(segment);
      node = node->param;
    } else {
      node = add_literal(node, segment);
    }
  }
  if (node) node->route = route;
  return node != NULL;
}

bool ws_router_has(const struct ws_router *r, struct ws_slice pattern) {
  struct ws_slice rest = behind_slash(pattern);
  const struct ws_router_node *node = r->root;
  bool is_last = false;
  while (node && !is_last) {
    struct ws_slice segment = take(&rest, &is_last);
    if (is_rest(segment)) return node->rest != NULL;
    node = is_param(segment) ? node->param : literal(node, segment);
  }
  return node && node->route;
}

/* As deep as the longest pattern. */
static struct ws_route *find(const struct ws_router_node *node,
                             struct ws_slice rest) {
  bool is_last;
  struct ws_slice all = rest, segment = take(&rest, &is_last);
  struct ws_router_node *next[2] = {literal(node, segment), NULL};
  if (node->param && segment.n && is_encoded(segment)) next[1] = node->param;
  for (int i = 0; i < 2; i++) {
    struct ws_route *route = NULL;
    if (next[i]) route = is_last ? next[i]->route : find(next[i], rest);
    if (route) return route;
  }
  return node->rest && is_encoded(all) ? node->rest : NULL;
}

struct ws_route *ws_router_find(const struct ws_router *r,
                                struct ws_slice path) {
  if (!r->root || path.n == 0 || path.p[0] != '/') return NULL;
  return find(r->root, behind_slash(path));
}

bool ws_router_next_param(struct ws_slice pattern, struct ws_slice path,
                          struct ws_router_iter *iter, struct ws_slice *name,
                          struct ws_slice *value) {
  while (iter->pattern < pattern.n && iter->path < path.n) {
    struct ws_slice rest = {pattern.p + iter->pattern + 1,
                            pattern.n - iter->pattern - 1};
    struct ws_slice left = {path.p + iter->path + 1, path.n - iter->path - 1};
    struct ws_slice all = left;
    bool is_last;
    *name = take(&rest, &is_last);
    *value = take(&left, &is_last);
    iter->pattern += name->n + 1;
    iter->path += value->n + 1;
    if (is_rest(*name)) {
      *value = all;
      return true;
    }
    if (is_param(*name)) {
      *name = behind_slash(*name);
      return true;
    }
  }
  return false;
}

static void free_node(struct ws_router_node *node) {
  if (!node) return;
  for (size_t i = 0; i < node->n; i++) free_node(node->literals[i]);
  free_node(node->param);
  ws_mem_free(node->literals);
  ws_mem_free(node);
}

void ws_router_free(struct ws_router *r) {
  free_node(r->root);
  r->root = NULL;
}
