/* link.c: sockets, and OpenSSL over memory, so that what is sealed together
 * leaves in one send. */
#include "link.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define SEAL_MAX (256 * 1024)

static SSL_CTX *context;
static BIO *out; /* of all connections, empty between two calls */

void link_prepare_tls(void) {
  context = SSL_CTX_new(TLS_client_method());
  out = BIO_new(BIO_s_mem());
  if (!context || !out) fail("OpenSSL has no memory");
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
}

void link_open(struct link *k, int fd, bool is_tls) {
  *k = (struct link){.fd = fd};
  if (!is_tls) return;
  BIO *in = BIO_new_socket(fd, BIO_NOCLOSE);
  k->ssl = SSL_new(context);
  if (!in || !k->ssl || !BIO_up_ref(out)) fail("OpenSSL has no memory");
  SSL_set_bio(k->ssl, in, out);
  SSL_set_connect_state(k->ssl);
}

void link_close(struct link *k, bool is_reset) {
  if (k->ssl) {
    SSL_free(k->ssl);
    k->ssl = NULL;
  }
  free(k->sealed);
  k->sealed = NULL;
  k->sealed_len = k->sealed_at = 0;
  if (k->fd < 0) return;
  if (is_reset) {
    struct linger none = {.l_onoff = 1};
    setsockopt(k->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  close(k->fd);
  k->fd = -1;
}

static ssize_t to_kernel(struct link *k, const void *bytes, size_t n) {
  ssize_t r = send(k->fd, bytes, n, MSG_NOSIGNAL);
  return r < 0 && errno == EAGAIN ? 0 : r;
}

bool link_flush(struct link *k) {
  if (!link_owes(k)) return true;
  ssize_t r =
    to_kernel(k, k->sealed + k->sealed_at, k->sealed_len - k->sealed_at);
  if (r < 0) return false;
  k->sealed_at += (size_t)r;
  if (link_owes(k)) return true;
  free(k->sealed);
  k->sealed = NULL;
  k->sealed_len = k->sealed_at = 0;
  return true;
}

static void keep(struct link *k, const char *bytes, size_t n) {
  size_t left = k->sealed_len - k->sealed_at;
  uint8_t *all = take_memory(left + n);
  if (left > 0) memcpy(all, k->sealed + k->sealed_at, left);
  memcpy(all + left, bytes, n);
  free(k->sealed);
  k->sealed = all;
  k->sealed_len = left + n;
  k->sealed_at = 0;
}

/* What OpenSSL has put out, behind what is owed. */
static bool pass_on(struct link *k) {
  char *bytes;
  long n = BIO_get_mem_data(out, &bytes);
  if (n <= 0) return true;
  ssize_t r = link_owes(k) ? 0 : to_kernel(k, bytes, (size_t)n);
  if (r >= 0 && r < n) keep(k, bytes + r, (size_t)(n - r));
  (void)BIO_reset(out);
  return r >= 0;
}

/* What is left of the last flight leaves together with what comes next. */
enum link_step link_shake_hands(struct link *k) {
  if (!link_flush(k)) fail("lost during the TLS handshake");
  if (link_owes(k)) return LINK_AGAIN;
  ERR_clear_error();
  int r = SSL_do_handshake(k->ssl);
  if (r == 1) return LINK_DONE;
  int why = SSL_get_error(k->ssl, r);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
    fail("the TLS handshake failed: %s",
         ERR_reason_error_string(ERR_peek_error()));
  if (!pass_on(k)) fail("lost during the TLS handshake");
  return LINK_AGAIN;
}

ssize_t link_send(struct link *k, const void *bytes, size_t n) {
  if (!k->ssl) return to_kernel(k, bytes, n);
  if (!link_flush(k)) return -1;
  if (link_owes(k)) return 0;
  ERR_clear_error();
  int r = SSL_write(k->ssl, bytes, (int)(n < SEAL_MAX ? n : SEAL_MAX));
  if (r <= 0) errno = EPROTO;
  if (r <= 0 || !pass_on(k)) return -1;
  return r;
}

ssize_t link_receive(struct link *k, void *to, size_t n) {
  if (!k->ssl) {
    ssize_t r = recv(k->fd, to, n, 0);
    if (r > 0) return r;
    if (r < 0 && errno == EAGAIN) return 0;
    if (r == 0) errno = 0;
    return -1;
  }
  ERR_clear_error();
  int r = SSL_read(k->ssl, to, (int)n);
  int why = r > 0 ? SSL_ERROR_NONE : SSL_get_error(k->ssl, r);
  if (BIO_ctrl_pending(out) && !pass_on(k)) return -1; /* a key's update */
  if (r > 0) return r;
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
  if (why == SSL_ERROR_ZERO_RETURN)
    errno = 0;
  else if (why == SSL_ERROR_SSL)
    errno = EPROTO;
  return -1;
}
