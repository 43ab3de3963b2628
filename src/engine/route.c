/* route.c: which connections share what: a path's route. */
#include "engine/route.h"

#include <string.h>

#include "base/buf.h"
#include "protocol/origin.h"

struct ws_route *ws_route_find(struct ws_server *s, struct ws_slice path) {
  struct ws_route *route = ws_router_find(&s->router, path);
  return route || !s->serves_any ? route : &s->route;
}

bool ws_route_serves_host(const struct ws_server *s, struct ws_slice host) {
  for (size_t i = 0; i < s->hosts.n; i++) {
    const char *h = s->hosts.list[i];
    if (ws_origin_host_matches(host, (struct ws_slice){h, strlen(h)}))
      return true;
  }
  return s->hosts.n == 0;
}

bool ws_route_allows_origin(const struct ws_route *r, struct ws_slice origin,
                            struct ws_slice host, bool is_secure) {
  if (!origin.p) return !r->options.require_origin;
  switch (r->origin_rule) {
  case WS_ORIGIN_ANY:
  case WS_ORIGIN_ASK: return true;
  case WS_ORIGIN_SAME: return ws_origin_is_same(origin, host, is_secure);
  case WS_ORIGIN_LIST: break;
  }
  for (size_t i = 0; i < r->origins.n; i++) {
    const char *o = r->origins.list[i];
    if (ws_origin_matches(origin, (struct ws_slice){o, strlen(o)})) return true;
  }
  return false;
}

static bool serve(struct ws_server *s, struct ws_route *route,
                  struct ws_slice pattern) {
  struct ws_text *text = ws_text_new(pattern);
  if (!text || !ws_router_add(&s->router, pattern, route)) {
    ws_text_release(text);
    return false;
  }
  route->pattern = text;
  return true;
}

bool ws_route_serve_first(struct ws_server *s, struct ws_slice pattern) {
  return serve(s, &s->route, pattern);
}

void ws_route_lend(struct ws_route *r, struct ws_loop *loop) {
  r->options.protocol.pool = &loop->pool;
  r->options.protocol.deflate = &loop->deflate;
}

bool ws_route_serve_more(struct ws_server *s, struct ws_route *from,
                         struct ws_slice pattern) {
  struct ws_route *route = ws_mem_zero(sizeof *route);
  if (!route || !serve(s, route, pattern)) {
    ws_mem_free(route);
    return false;
  }
  from->pattern = route->pattern;
  *route = *from;
  *from = (struct ws_route){.server = s};
  route->keeper = s->route.keeper;
  route->next = s->routes;
  s->routes = route;
  if (s->loop) ws_route_lend(route, s->loop);
  return true;
}

struct ws_traffic ws_route_traffic(const struct ws_server *s) {
  struct ws_traffic sum = s->route.traffic;
  for (const struct ws_route *r = s->routes; r; r = r->next)
    ws_traffic_add(&sum, &r->traffic);
  return sum;
}

void ws_route_free(struct ws_route *r) {
  ws_text_release(r->pattern);
  r->pattern = NULL;
  ws_strings_free(&r->origins);
  ws_strings_free(&r->subprotocols);
}

void ws_route_free_all(struct ws_server *s) {
  while (s->routes) {
    struct ws_route *r = s->routes;
    s->routes = r->next;
    ws_route_free(r);
    ws_mem_free(r);
  }
  ws_route_free(&s->route);
  ws_router_free(&s->router);
}
