/* bus_tell.c: what is told of a Redis. No word of it holds a password. */
#include "engine/bus_tell.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "engine/host.h"

#define WARN_SECONDS 60.0 /* between two lines of the log about the same */

static size_t where(const struct ws_link *l, char *to, size_t cap) {
  const struct ws_redis_settings *r = &l->redis;
  int n = r->path ? snprintf(to, cap, "redis+unix:%s", r->path)
                  : snprintf(to, cap, "%s://%s:%d", r->tls ? "rediss" : "redis",
                             r->host, r->port);
  return (size_t)n < cap ? (size_t)n : cap - 1;
}

void ws_bus_tell(const struct ws_link *l, const char *event, const char *why) {
  struct ws_host *host = l->host;
  char url[256];
  if (!host->wants_events || !host->wants_events(host)) return;
  struct ws_log_field fields[] = {
    {.name = "url", .kind = WS_LOG_TEXT, .text = {url, 0}},
    {.name = "reason", .kind = WS_LOG_LINE, .text = {why, 0}}};
  fields[0].text.n = where(l, url, sizeof url);
  if (why) fields[1].text.n = strlen(why);
  host->event(host, event, fields, why ? 2 : 1);
}

static bool is_due(const struct ws_link *l, struct ws_warned *w) {
  double now = ws_loop_now(l->loop);
  if (w->at >= 0 && now - w->at < WARN_SECONDS) {
    w->untold++;
    return false;
  }
  w->at = now;
  return true;
}

static void warn(const struct ws_link *l, struct ws_warned *w, const char *what,
                 const char *why) {
  char url[256], line[1024], more[64] = "";
  where(l, url, sizeof url);
  if (w->untold)
    snprintf(more, sizeof more, " (and %u times since the last line)",
             w->untold);
  w->untold = 0;
  snprintf(line, sizeof line, "backplane %s%s: %s%s", url, what, why, more);
  l->host->log(l->host, WS_LOG_WARNING, line);
}

void ws_bus_warn(struct ws_link *l, const char *why) {
  if (is_due(l, &l->warned)) warn(l, &l->warned, "", why);
}

void ws_bus_refused(struct ws_link *l, struct ws_slice why) {
  char text[640];
  if (!is_due(l, &l->warned_refused)) return;
  if (why.n > sizeof text / 2) why.n = sizeof text / 2;
  ws_escape(text, sizeof text, why, WS_ESCAPE_TEXT);
  warn(l, &l->warned_refused, " refused", text);
}
