/* tls_context.c: from settings to OpenSSL's contexts. TLS 1.2 and 1.3 (RFC
 * 5246, 8446), server names (RFC 6066 3), ALPN (RFC 7301).
 *
 * Renegotiation and compression are off, early data is never accepted, keys
 * are never asked for on a terminal. Sessions are resumed by tickets alone,
 * so a server keeps no state for those who left. */
#include "transport/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

/* Of TLS 1.2: forward secrecy and authenticated encryption or nothing. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char protocols[] = "\x08http/1.1";

struct host {
  SSL_CTX *ctx;
  char *name;
};

struct ws_tls_context {
  SSL_CTX *ctx;
  struct host *hosts;
  size_t n_hosts;
  uint32_t refs;
  bool is_client;
};

/* ---- reasons ---- */

static bool refuse(char *why, const char *what, const char *path,
                   const char *reason) {
  snprintf(why, WS_TLS_WHY_MAX, "cannot load %s %s: %s", what, path, reason);
  ERR_clear_error();
  return false;
}

/* What the oldest entry of OpenSSL's queue says, in words of ours where its
 * own would not help. */
static const char *reason(void) {
  unsigned long e = ERR_peek_error();
  static const char none[] = "it holds no such thing in PEM form";
  if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE)
    return none;
#ifdef ERR_LIB_OSSL_DECODER
  if (ERR_GET_LIB(e) == ERR_LIB_OSSL_DECODER) return none; /* "unsupported" */
#endif
  const char *text = ERR_reason_error_string(e);
  return text ? text : "it cannot be read";
}

/* Can it be read at all? OpenSSL tells system errors in its own way. */
static bool can_read(char *why, const char *what, const char *path) {
  FILE *file = fopen(path, "rb");
  int error = file ? 0 : errno;
  if (file) {
    errno = 0;
    if (fgetc(file) == EOF) error = errno ? errno : EINVAL;
    fclose(file);
  }
  if (!error) return true;
  return refuse(why, what, path,
                error == EINVAL ? "it is empty" : strerror(error));
}

/* ---- files ---- */

/* Nobody is asked: a server may have no terminal, or wait for ever. */
static int on_password(char *to, int size, int is_writing, void *asked) {
  (void)to;
  (void)size;
  (void)is_writing;
  *(bool *)asked = true;
  return 0;
}

static bool load_certificate(SSL_CTX *ctx, const char *path, char *why) {
  static const char what[] = "certificate";
  if (!can_read(why, what, path)) return false;
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
    return refuse(why, what, path, reason());
  const X509 *x = SSL_CTX_get0_certificate(ctx);
  if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
    return refuse(why, what, path, "it has expired");
  return true;
}

static bool load_key(SSL_CTX *ctx, const char *path, char *why) {
  static const char what[] = "key";
  bool was_asked = false;
  if (!can_read(why, what, path)) return false;
  SSL_CTX_set_default_passwd_cb(ctx, on_password);
  SSL_CTX_set_default_passwd_cb_userdata(ctx, &was_asked);
  ERR_clear_error();
  int r = SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
  if (was_asked) return refuse(why, what, path, "it is encrypted");
  bool is_foreign = r != 1 && ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509;
  if (r != 1 && !is_foreign) return refuse(why, what, path, reason());
  if (is_foreign || SSL_CTX_check_private_key(ctx) != 1)
    return refuse(why, what, path, "it does not belong to the certificate");
  return true;
}

static bool load_pair(SSL_CTX *ctx, const char *certificate, const char *key,
                      char *why) {
  if (!certificate) return true;
  return load_certificate(ctx, certificate, why) && load_key(ctx, key, why);
}

static bool load_ca(SSL_CTX *ctx, const struct ws_tls_settings *s, char *why) {
  static const char what[] = "ca";
  if (!can_read(why, what, s->ca)) return false;
  ERR_clear_error();
  if (SSL_CTX_load_verify_locations(ctx, s->ca, NULL) != 1)
    return refuse(why, what, s->ca, reason());
  if (s->is_client) return true;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(s->ca);
  if (!names) return refuse(why, what, s->ca, reason());
  SSL_CTX_set_client_CA_list(ctx, names); /* its own from now on */
  return true;
}

/* ---- callbacks of a server ---- */

/* RFC 7301 3.2: a client that offers protocols and not ours is told so. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg) {
  (void)ssl;
  (void)arg;
  for (unsigned i = 0; i < in_len; i += in[i] + 1u) {
    if (in[i] != protocols[0] || in_len - i - 1 < in[i] ||
        memcmp(in + i + 1, protocols + 1, in[i]) != 0)
      continue;
    *out = in + i + 1;
    *out_len = in[i];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Names are equal with and without the dot at their end (RFC 1034 3.1), which
 * some clients send though RFC 6066 3 leaves it out. */
static bool is_same(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  if (n > 1 && a[n - 1] == '.') n--;
  if (m > 1 && b[m - 1] == '.') m--;
  return n == m && strncasecmp(a, b, n) == 0;
}

static bool is_for(const char *pattern, const char *name) {
  if (is_same(pattern, name)) return true;
  const char *dot = strchr(name, '.');
  if (pattern[0] != '*' || !dot || dot == name) return false;
  return is_same(pattern + 1, dot); /* one label, as RFC 6125 6.4.3 */
}

static int on_server_name(SSL *ssl, int *alert, void *arg) {
  const struct ws_tls_context *c = arg;
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  (void)alert;
  if (!name) return SSL_TLSEXT_ERR_NOACK;
  for (size_t i = 0; i < c->n_hosts; i++) {
    if (!is_for(c->hosts[i].name, name)) continue;
    SSL_set_SSL_CTX(ssl, c->hosts[i].ctx);
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

/* ---- making one ---- */

static bool set_verify(SSL_CTX *ctx, const struct ws_tls_settings *s,
                       char *why) {
  int mode = SSL_VERIFY_NONE;
  if (s->verify != WS_TLS_NONE) mode = SSL_VERIFY_PEER;
  if (s->verify == WS_TLS_REQUIRED) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(ctx, mode, NULL);
  if (s->ca) return load_ca(ctx, s, why);
  if (s->is_client && s->verify != WS_TLS_NONE)
    SSL_CTX_set_default_verify_paths(ctx);
  return true;
}

static void harden(SSL_CTX *ctx, const struct ws_tls_settings *s) {
  static const unsigned char id[] = "evws";
  SSL_CTX_set_min_proto_version(ctx,
                                s->needs_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(ctx, CIPHERS);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
}

/* NULL, and why: for one certificate. */
static SSL_CTX *new_ctx(const struct ws_tls_settings *s,
                        const char *certificate, const char *key, char *why) {
  ERR_clear_error();
  SSL_CTX *ctx =
    SSL_CTX_new(s->is_client ? TLS_client_method() : TLS_server_method());
  snprintf(why, WS_TLS_WHY_MAX, "out of memory");
  if (!ctx) return NULL;
  harden(ctx, s);
  if (s->is_client)
    SSL_CTX_set_alpn_protos(ctx, protocols, sizeof protocols - 1);
  else
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
  if (load_pair(ctx, certificate, key, why) && set_verify(ctx, s, why)) {
    ERR_clear_error();
    return ctx;
  }
  SSL_CTX_free(ctx);
  ERR_clear_error();
  return NULL;
}

static char *copy(const char *text) {
  size_t n = strlen(text) + 1;
  char *p = ws_mem_alloc(n);
  if (p) memcpy(p, text, n);
  return p;
}

static bool add_hosts(struct ws_tls_context *c, const struct ws_tls_settings *s,
                      char *why) {
  if (s->n_hosts == 0) return true;
  c->hosts = ws_mem_zero(s->n_hosts * sizeof *c->hosts);
  if (!c->hosts) return false;
  for (size_t i = 0; i < s->n_hosts; i++) {
    const struct ws_tls_pair *p = &s->hosts[i];
    struct host *h = &c->hosts[c->n_hosts++];
    h->name = copy(p->name);
    if (!h->name) return false;
    h->ctx = new_ctx(s, p->certificate, p->key, why);
    if (!h->ctx) return false;
  }
  SSL_CTX_set_tlsext_servername_callback(c->ctx, on_server_name);
  SSL_CTX_set_tlsext_servername_arg(c->ctx, c);
  return true;
}

struct ws_tls_context *
ws_tls_context_new(const struct ws_tls_settings *settings,
                   char why[WS_TLS_WHY_MAX]) {
  struct ws_tls_context *c = ws_mem_zero(sizeof *c);
  snprintf(why, WS_TLS_WHY_MAX, "out of memory");
  if (!c) return NULL;
  c->refs = 1;
  c->is_client = settings->is_client;
  c->ctx = new_ctx(settings, settings->certificate, settings->key, why);
  if (c->ctx && add_hosts(c, settings, why)) return c;
  ws_tls_context_release(c);
  return NULL;
}

struct ws_tls_context *ws_tls_context_hold(struct ws_tls_context *c) {
  if (c) c->refs++;
  return c;
}

void ws_tls_context_release(struct ws_tls_context *c) {
  if (!c || --c->refs) return;
  for (size_t i = 0; i < c->n_hosts; i++) {
    SSL_CTX_free(c->hosts[i].ctx);
    ws_mem_free(c->hosts[i].name);
  }
  ws_mem_free(c->hosts);
  SSL_CTX_free(c->ctx);
  ws_mem_free(c);
}

bool ws_tls_context_is_client(const struct ws_tls_context *c) {
  return c->is_client;
}

/* Whom a client talks to: names go into the hello, addresses do not. */
static bool expect(SSL *ssl, const char *name) {
  X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
  bool ok = true;
  X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(p, name) != 1)
    ok = SSL_set_tlsext_host_name(ssl, name) == 1 &&
         X509_VERIFY_PARAM_set1_host(p, name, 0) == 1;
  return ok;
}

SSL *ws_tls_context_connection(struct ws_tls_context *c, const char *name) {
  ERR_clear_error();
  SSL *ssl = SSL_new(c->ctx);
  if (ssl && name && !expect(ssl, name)) {
    SSL_free(ssl);
    ssl = NULL;
  }
  ERR_clear_error();
  return ssl;
}
