/* engine: the echo and the broadcast of servers/evws.lua in C, on the engine
 * alone: what it costs less is what the script and its binding cost.
 *
 *   engine PORT [TLS_PORT [DEFLATE_PORT]]     0: any free one; they are printed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/conn.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"
#include "engine/conn_send.h"
#include "engine/farewell.h"
#include "engine/server.h"
#include "engine/topic.h"
#include "transport/driver.h"
#include "transport/linger.h"

#define CERTIFICATE "build/certificates/localhost"
#define ALL WS_SLICE("all")
#define MIB (1024 * 1024)

static const struct ws_conn_options defaults = {
  .protocol = {.max_message = 64 * MIB,
               .max_fragments = 4096,
               .max_ratio = 100,
               .deflate_level = {1, 8}},
  .keepalive_interval = 120,
  .keepalive_timeout = 240,
  .stall_timeout = 10,
  .close_timeout = 5,
  .upgrade_timeout = 30,
  .high_water = 64 * 1024,
  .low_water = 32 * 1024,
  .max_queued = MIB,
  .receive_queue = 64 * 1024,
  .read_budget = 256,
  .concurrency = 1,
  .control_rate = {50, 10},
};

static const struct ws_http_options http_defaults = {
  .max_request_line = 8192,
  .max_header_bytes = 32 * 1024,
  .max_header_line = 8192,
  .max_headers = 100,
  .max_body = MIB,
  .max_pending = 1024,
  .max_connections = WS_NO_LIMIT,
  .max_per_address = WS_NO_LIMIT,
  .max_memory = WS_NO_LIMIT,
  .keepalive_requests = 1000,
  .keepalive_timeout = 60,
  .handshake_timeout = 10,
};

static struct ws_loop loop;
static struct ws_ev *ev;
static struct ws_server servers[3];
static int n_servers, n_gone;

static _Noreturn void fail(const char *what, const char *why) {
  fprintf(stderr, "engine: %s: %s\n", what, why);
  exit(1);
}

/* ---- the host ---- */

static struct ws_conn *new_conn(struct ws_host *host, struct ws_server *s) {
  (void)host;
  (void)s;
  return calloc(1, sizeof(struct ws_conn));
}

static void free_conn(struct ws_conn *c) {
  ws_conn_dispose(c);
  free(c);
}

static struct ws_wish plain = {.view = WS_NO_VIEW};

static bool is_member(const struct ws_conn *c) {
  return c->meta->path_len > 1 && c->meta->text[1] == 'b';
}

static void on_opened(struct ws_conn *c) {
  if (is_member(c) && ws_topic_subscribe(c, ALL, &plain) != WS_OK)
    fail("subscribe", "no memory");
  c->mode = WS_CALLBACK;
  ws_conn_resume(c);
}

static void on_readable(struct ws_conn *c) {
  const struct ws_except nobody = {0};
  struct ws_event event;
  while (ws_conn_next(c, &event)) {
    if (event.type != WS_EVENT_MESSAGE) continue;
    if (is_member(c)) {
      struct ws_slice message = {(const char *)event.data, event.len};
      struct ws_publication p = {
        .topic = ALL, .message = message, .opcode = event.opcode};
      ws_topic_publish(c->route->server, nobody, &p, NULL);
    } else {
      ws_conn_send(c, event.opcode, event.data, event.len);
    }
    ws_conn_release(c);
  }
}

static void ignore(struct ws_conn *c) {
  (void)c;
}

static void on_drained(struct ws_conn *c, bool was_high) {
  (void)c;
  (void)was_high;
}

static bool on_closed(struct ws_conn *c) {
  (void)c;
  return true;
}

static void on_gone(struct ws_server *s) {
  (void)s;
  n_gone++;
}

static void on_log(struct ws_host *host, enum ws_log_level level,
                   const char *text) {
  (void)host;
  if (level == WS_LOG_ERROR) fprintf(stderr, "engine: %s\n", text);
}

static struct ws_host host = {
  .new_conn = new_conn,
  .free_conn = free_conn,
  .opened = on_opened,
  .readable = on_readable,
  .control = ignore,
  .drained = on_drained,
  .ended = ignore,
  .closed = on_closed,
  .server_gone = on_gone,
  .log = on_log,
};

/* ---- the servers ---- */

static struct ws_server *add(const char *port, bool is_tls, bool is_deflated) {
  struct ws_server *s = &servers[n_servers++];
  struct ws_net_listen what = {.host = "127.0.0.1", .backlog = 1024};
  const char *why = "";
  char problem[WS_TLS_WHY_MAX];
  what.port = (int)strtol(port ? port : "0", NULL, 10);
  s->host = s->route.host = &host;
  s->route.server = s;
  s->route.options = defaults;
  s->http = http_defaults;
  s->serves_any = true;
  if (is_deflated)
    s->route.options.protocol.wish = (struct ws_extension){
      .is_on = true, .server_bits = 15, .client_bits = 15};
  if (is_tls) {
    struct ws_tls_settings settings = {.certificate = CERTIFICATE ".pem",
                                       .key = CERTIFICATE ".key"};
    s->tls = ws_tls_context_new(&settings, problem);
    if (!s->tls) fail("TLS", problem);
  }
  int error = ws_server_start(s, &loop, &what, &why);
  if (error) fail("listen", why ? why : strerror(-error));
  return s;
}

static void turn(void *unused) {
  (void)unused;
  ws_loop_turn(&loop);
}

static void on_signal(void *unused, int number) {
  (void)unused;
  (void)number;
  for (int i = 0; i < n_servers; i++)
    ws_farewell_begin(&servers[i], 1001, WS_SLICE(""), 1);
}

int main(int argc, char **argv) {
  ev = ws_ev_new(true, turn, NULL);
  if (!ev) fail("libev", "no loop");
  ws_loop_init(&loop, ws_ev_io(ev));
  ws_ev_attach(ev, &loop);
  struct ws_driver *driver = ws_ev_driver(ev);
  int plain = add(argc > 1 ? argv[1] : NULL, false, false)->port;
  int tls = add(argc > 2 ? argv[2] : NULL, true, false)->port;
  int deflate = add(argc > 3 ? argv[3] : NULL, false, true)->port;
  printf("%d\t%d\t%d\n", plain, tls, deflate);
  fflush(stdout);
  driver->catch_signals(driver, true, on_signal);
  while (n_gone < n_servers && driver->step(driver, -1, NULL)) {
  }
  driver->release_signals(driver);
  for (int i = 0; i < n_servers; i++) ws_server_free(&servers[i]);
  ws_linger_stop(&loop);
  ws_loop_free(&loop);
  ws_ev_free(ev);
  return 0;
}
