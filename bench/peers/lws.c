/* lws: libwebsockets. One write for each call of its writeable callback, so
 * answers wait in a list.
 *
 *   lws PORT TLS_PORT DEFLATE_PORT CERTIFICATE KEY */
#include <libwebsockets.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct message {
  size_t len;
  unsigned refs;
  bool is_binary;
  unsigned char bytes[]; /* LWS_PRE of them first */
};

struct waiting {
  struct waiting *next;
  struct message *message;
};

struct peer {
  struct lws *wsi;
  struct peer *next; /* of everyone */
  struct waiting *first, **last;
  unsigned char *pieces; /* of a message that has not come whole */
  size_t len, room;
  bool is_member;
};

static struct peer *everyone;

static void release(struct message *m) {
  if (--m->refs == 0) free(m);
}

static void append(struct peer *p, struct message *m) {
  struct waiting *w = malloc(sizeof *w);
  w->next = NULL;
  w->message = m;
  m->refs++;
  *p->last = w;
  p->last = &w->next;
  lws_callback_on_writable(p->wsi);
}

static void open_peer(struct peer *p, struct lws *wsi) {
  char path[16];
  p->wsi = wsi;
  p->last = &p->first;
  p->is_member = lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) > 0 &&
                 strcmp(path, "/broadcast") == 0;
  if (!p->is_member) return;
  p->next = everyone;
  everyone = p;
}

static void drop_first(struct peer *p) {
  struct waiting *w = p->first;
  p->first = w->next;
  if (!p->first) p->last = &p->first;
  release(w->message);
  free(w);
}

static void close_peer(struct peer *p) {
  struct peer **at = &everyone;
  while (p->first) drop_first(p);
  free(p->pieces);
  while (*at && *at != p) at = &(*at)->next;
  if (*at) *at = p->next;
}

static void pass_on(struct peer *p, const void *bytes, size_t n) {
  struct message *m = malloc(sizeof *m + LWS_PRE + n);
  m->len = n;
  m->refs = 1;
  m->is_binary = lws_frame_is_binary(p->wsi);
  memcpy(m->bytes + LWS_PRE, bytes, n);
  if (!p->is_member) append(p, m);
  for (struct peer *q = p->is_member ? everyone : NULL; q; q = q->next)
    append(q, m);
  release(m);
}

static void take(struct peer *p, const void *bytes, size_t n) {
  bool is_last =
    lws_is_final_fragment(p->wsi) && !lws_remaining_packet_payload(p->wsi);
  if (is_last && p->len == 0) {
    pass_on(p, bytes, n);
    return;
  }
  if (p->len + n > p->room)
    p->pieces = realloc(p->pieces, p->room = (p->len + n) * 2);
  memcpy(p->pieces + p->len, bytes, n);
  p->len += n;
  if (!is_last) return;
  n = p->len;
  p->len = 0;
  pass_on(p, p->pieces, n);
}

static int write_all(struct peer *p) {
  while (p->first && !lws_send_pipe_choked(p->wsi)) {
    struct message *m = p->first->message;
    int kind = m->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
    if (lws_write(p->wsi, m->bytes + LWS_PRE, m->len, kind) < (int)m->len)
      return -1;
    drop_first(p);
  }
  if (p->first) lws_callback_on_writable(p->wsi);
  return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons why, void *user,
                    void *bytes, size_t n) {
  switch (why) {
  case LWS_CALLBACK_ESTABLISHED: open_peer(user, wsi); break;
  case LWS_CALLBACK_RECEIVE: take(user, bytes, n); break;
  case LWS_CALLBACK_SERVER_WRITEABLE: return write_all(user);
  case LWS_CALLBACK_CLOSED: close_peer(user); break;
  default: break;
  }
  return 0;
}

static const struct lws_protocols protocols[] = {
  {"echo", on_event, sizeof(struct peer), 65536, 0, NULL, 0},
  {NULL, NULL, 0, 0, 0, NULL, 0},
};

static const struct lws_extension extensions[] = {
  {"permessage-deflate", lws_extension_callback_pm_deflate,
   "permessage-deflate; client_no_context_takeover; "
   "server_no_context_takeover"},
  {NULL, NULL, NULL},
};

static void serve(struct lws_context *context, char **argv, int which) {
  struct lws_context_creation_info i = {0};
  i.port = (int)strtol(argv[which], NULL, 10);
  i.iface = "127.0.0.1";
  i.protocols = protocols;
  i.vhost_name = argv[which];
  if (which == 2) {
    i.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    i.ssl_cert_filepath = argv[4];
    i.ssl_private_key_filepath = argv[5];
  }
  if (which == 3) i.extensions = extensions;
  if (!lws_create_vhost(context, &i)) exit(1);
}

int main(int argc, char **argv) {
  struct lws_context_creation_info i = {0};
  if (argc < 6) return 2;
  lws_set_log_level(LLL_ERR, NULL);
  i.gid = i.uid = -1;
  i.options =
    LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  i.pt_serv_buf_size = 65536 + 4096;
  struct lws_context *context = lws_create_context(&i);
  if (!context) return 1;
  for (int which = 1; which <= 3; which++) serve(context, argv, which);
  int r = 0;
  while (r >= 0) r = lws_service(context, 0);
  return 0;
}
