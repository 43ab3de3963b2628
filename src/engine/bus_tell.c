/* bus_tell.c: what is told of a Redis. No word of it holds a password. */
#include "engine/bus_tell.h"

#include <stdio.h>
#include <string.h>

#define WARN_SECONDS 60.0 /* between two lines of the log about the same */

static size_t where(const struct ws_link *l, char *to, size_t cap) {
  const struct ws_redis_settings *r = &l->redis;
  int n = r->path ? snprintf(to, cap, "redis+unix:%s", r->path)
                  : snprintf(to, cap, "%s://%s:%d", r->tls ? "rediss" : "redis",
                             r->host, r->port);
  return (size_t)n < cap ? (size_t)n : cap - 1;
}

void ws_bus_tell(struct ws_host *host, const struct ws_link *l,
                 const char *event, const char *why) {
  char url[256];
  if (!host->wants_events || !host->wants_events(host)) return;
  struct ws_log_field fields[] = {
    {.name = "url", .kind = WS_LOG_TEXT, .text = {url, 0}},
    {.name = "reason", .kind = WS_LOG_LINE, .text = {why, 0}}};
  fields[0].text.n = where(l, url, sizeof url);
  if (why) fields[1].text.n = strlen(why);
  host->event(host, event, fields, why ? 2 : 1);
}

void ws_bus_warn(struct ws_host *host, struct ws_link *l, const char *why) {
  double now = ws_loop_now(l->loop);
  char url[256], line[512];
  if (l->warned >= 0 && now - l->warned < WARN_SECONDS) return;
  l->warned = now;
  where(l, url, sizeof url);
  snprintf(line, sizeof line, "backplane %s: %s", url, why);
  host->log(host, WS_LOG_WARNING, line);
}
