/* tls.c: records in and out of one OpenSSL connection, by way of memory that
 * all connections of the loop share. */
#include "transport/tls.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define RECORD (16 * 1024)  /* RFC 8446 5.1: plain bytes of one, at most */
#define BATCH (16 * RECORD) /* encrypted ahead of the kernel, at most */

/* A record may be waiting for its end inside of OpenSSL: its bytes, too, must
 * find room in what the caller reads into. */
#define READ_MOST (WS_TLS_READ_MIN - 2 * RECORD)
#define READ_MOST_UNDER (READ_MOST - 2 * RECORD)

/* Steps that messages besides data, and alerts, may cause in a second once
 * the handshake is done: new keys (RFC 8446 4.6.3) cost far more to make than
 * to ask for, and so do refused handshakes of TLS 1.2. A change of keys that
 * is answered takes four. */
#define STEPS_PER_SECOND 256

struct ws_tls_io {
  size_t out_len;
  uint8_t in[READ_MOST];
  uint8_t staged[RECORD];      /* what would be a short record otherwise */
  uint8_t out[BATCH + RECORD]; /* with the records' heads and tags */
};

struct ws_tls {
  SSL *ssl;
  struct ws_loop *loop;
  struct ws_tls_context *context;
  struct ws_tls *under; /* carries it */
  struct ws_buf left;
  const uint8_t *in; /* received, and not taken by OpenSSL: during a read */
  size_t in_len;
  unsigned long error; /* OpenSSL's, of a failure */
  int failed;          /* errno, 0 while it works */
  uint32_t since;      /* tick from which steps are counted */
  uint32_t steps;
  bool is_writing; /* records go into the loop's buffer, else to what is left */
  bool is_ready, is_over, was_notified, is_flooded, is_said;
  bool is_under; /* carries another */
};

/* One call of the inner one is at work in both. */
static struct ws_tls_io *buffers_of(const struct ws_tls *t) {
  return t->is_under ? t->loop->tls_under : t->loop->tls_io;
}

/* OpenSSL judges a call by the thread's queue of errors, so it is empty before
 * each one, and nothing of ours is left in it for others. */
static inline void clean(void) {
  if (ERR_peek_error()) ERR_clear_error();
}

/* ---- OpenSSL's side ---- */

static int bio_read(BIO *bio, char *to, int n) {
  struct ws_tls *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (t->in_len == 0 || t->is_flooded) {
    BIO_set_retry_read(bio);
    return -1;
  }
  if ((size_t)n > t->in_len) n = (int)t->in_len;
  memcpy(to, t->in, (size_t)n);
  t->in += n;
  t->in_len -= (size_t)n;
  return n;
}

static int bio_write(BIO *bio, const char *bytes, int n) {
  struct ws_tls *t = BIO_get_data(bio);
  struct ws_tls_io *io = buffers_of(t);
  BIO_clear_retry_flags(bio);
  if (!t->is_writing) {
    if (ws_buf_append(&t->left, bytes, (size_t)n)) return n;
    t->failed = ENOMEM;
    return -1;
  }
  if (sizeof io->out - io->out_len < (size_t)n) return -1; /* cannot be */
  memcpy(io->out + io->out_len, bytes, (size_t)n);
  io->out_len += (size_t)n;
  return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p) {
  (void)bio;
  (void)number;
  (void)p;
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *new_method(int type) {
  BIO_METHOD *m = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "evws");
  if (!m) return NULL;
  BIO_meth_set_read(m, bio_read);
  BIO_meth_set_write(m, bio_write);
  BIO_meth_set_ctrl(m, bio_ctrl);
  return m;
}

/* One for the process; without memory the next connection tries again. There
 * are few numbers of types. */
static BIO_METHOD *bio_method(void) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static BIO_METHOD *method;
  static int type;
  pthread_mutex_lock(&lock);
  if (!type) type = BIO_get_new_index();
  if (!method) method = new_method(type);
  pthread_mutex_unlock(&lock);
  return method;
}

/* Called for each step of a handshake, and for each alert. */
static void on_info(const SSL *ssl, int where, int ret) {
  struct ws_tls *t = SSL_get_app_data(ssl);
  (void)ret;
  if (!t->is_ready || !(where & (SSL_CB_LOOP | SSL_CB_ALERT))) return;
  if (t->loop->tick - t->since >= ws_loop_ticks(1.0)) {
    t->since = t->loop->tick;
    t->steps = 0;
  }
  if (++t->steps > STEPS_PER_SECOND) t->is_flooded = true;
}

/* ---- its life ---- */

static bool set_up(struct ws_tls *t, const char *name) {
  BIO_METHOD *method = bio_method();
  if (!method || !(t->ssl = ws_tls_context_connection(t->context, name)))
    return false;
  BIO *bio = BIO_new(method);
  if (!bio) return false;
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio); /* its own from now on */
  SSL_set_app_data(t->ssl, t);
  SSL_set_info_callback(t->ssl, on_info);
  if (!ws_tls_context_is_client(t->context)) {
    SSL_set_accept_state(t->ssl);
    return true;
  }
  SSL_set_connect_state(t->ssl);
  SSL_do_handshake(t->ssl);
  return !t->failed && t->left.len > 0;
}

/* There from the first use on. */
static bool have_buffers(struct ws_tls_io **io) {
  if (!*io) *io = ws_mem_zero(sizeof **io);
  return *io != NULL;
}

struct ws_tls *ws_tls_new(struct ws_loop *loop, struct ws_tls_context *context,
                          const char *name, struct ws_tls *under) {
  if (!have_buffers(&loop->tls_io)) return NULL;
  if (under && !have_buffers(&loop->tls_under)) return NULL;
  struct ws_tls *t = ws_mem_zero(sizeof *t);
  if (!t) return NULL;
  t->loop = loop;
  t->context = ws_tls_context_hold(context);
  clean();
  bool ok = set_up(t, name);
  clean();
  if (ok) {
    t->under = under;
    if (under) under->is_under = true;
    return t;
  }
  ws_tls_free(t);
  return NULL;
}

void ws_tls_free(struct ws_tls *t) {
  if (!t) return;
  SSL_free(t->ssl);
  clean();
  ws_tls_context_release(t->context);
  ws_buf_free(&t->left);
  ws_tls_free(t->under);
  ws_mem_free(t);
}

/* ---- reading ---- */

static void fail(struct ws_tls *t) {
  t->error = ERR_peek_error();
  if (t->failed) return;
  t->failed =
    ERR_GET_REASON(t->error) == ERR_R_MALLOC_FAILURE ? ENOMEM : EPROTO;
}

/* OpenSSL has stopped, and has taken all there was, or will take no more. */
static void stopped(struct ws_tls *t, int r) {
  int why = SSL_get_error(t->ssl, r);
  if (why == SSL_ERROR_ZERO_RETURN)
    t->is_over = t->was_notified = true;
  else if (why != SSL_ERROR_WANT_READ || t->is_flooded || t->failed)
    fail(t);
  clean();
}

static size_t decrypt(struct ws_tls *t, uint8_t *to, size_t room) {
  size_t total = 0;
  while (total < room) {
    size_t n = room - total;
    clean();
    int r = SSL_read(t->ssl, to + total, n > INT_MAX ? INT_MAX : (int)n);
    if (r <= 0) {
      stopped(t, r);
      break;
    }
    total += (size_t)r;
    if (t->in_len == 0) break;
  }
  return total;
}

static ssize_t receive(struct ws_tls *t, int fd, uint8_t *to, size_t most) {
  struct ws_io *io = t->loop->io;
  struct iovec iov = {to, READ_MOST};
  if (t->under) return ws_tls_read(t->under, fd, &iov, 1);
  return io->ops->recv(io, fd, to, most);
}

ssize_t ws_tls_read(struct ws_tls *t, int fd, const struct iovec *iov, int n) {
  struct ws_tls_io *buffers = buffers_of(t);
  size_t total = 0, most = t->is_under ? READ_MOST_UNDER : READ_MOST;
  assert(iov[n - 1].iov_len >= most + 2 * RECORD);
  if (t->failed) return -t->failed;
  if (t->is_over) return 0;
  ssize_t r = receive(t, fd, buffers->in, most);
  if (r < 0) return r;
  if (r == 0) {
    t->is_over = true;
    return 0;
  }
  t->in = buffers->in;
  t->in_len = (size_t)r;
  for (int i = 0; i < n; i++) {
    size_t got = decrypt(t, iov[i].iov_base, iov[i].iov_len);
    total += got;
    if (got < iov[i].iov_len) break;
  }
  t->in_len = 0;
  if (!t->is_ready) t->is_ready = SSL_is_init_finished(t->ssl);
  if (total) return (ssize_t)total;
  if (t->failed) return -t->failed;
  if (t->is_over) return 0;
  /* it ended with these bytes, and no event will tell */
  if (t->under && ws_tls_is_over(t->under)) return ws_tls_read(t, fd, iov, n);
  return -EAGAIN;
}

/* ---- writing ---- */

/* A place in the bytes to be written. */
struct place {
  const struct iovec *iov;
  int n;
  size_t off;
};

static void skip(struct place *p, size_t n) {
  while (p->n && n >= p->iov->iov_len - p->off) {
    n -= p->iov->iov_len - p->off;
    p->iov++;
    p->n--;
    p->off = 0;
  }
  p->off += n;
}

/* Bytes of the next records: where they stand, or gathered when that makes
 * fewer records. */
static size_t gather(struct ws_tls_io *io, struct place p, size_t most,
                     const uint8_t **bytes) {
  size_t n = p.iov->iov_len - p.off;
  *bytes = (const uint8_t *)p.iov->iov_base + p.off;
  if (n >= most) return most;
  if (p.n == 1) return n;
  if (n >= RECORD) return n - n % RECORD;
  assert(most >= RECORD); /* all but the last one are whole records */
  for (n = 0; p.n && n < RECORD;) {
    size_t take = p.iov->iov_len - p.off;
    if (take > RECORD - n) take = RECORD - n;
    memcpy(io->staged + n, (uint8_t *)p.iov->iov_base + p.off, take);
    n += take;
    skip(&p, take);
  }
  *bytes = io->staged;
  return n;
}

/* Fills the loop's buffer with records. Returns the plain bytes in them. */
static size_t encrypt(struct ws_tls *t, struct place *p) {
  struct ws_tls_io *io = buffers_of(t);
  size_t total = 0;
  t->is_writing = true;
  io->out_len = 0;
  while (p->n && total < BATCH) {
    const uint8_t *bytes;
    size_t n = gather(io, *p, BATCH - total, &bytes);
    clean();
    int r = SSL_write(t->ssl, bytes, (int)n);
    if (r <= 0) {
      /* ws_tls_is_held */
      if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ) fail(t);
      clean();
      break;
    }
    total += (size_t)r;
    skip(p, (size_t)r);
  }
  t->is_writing = false;
  return total;
}

/* Bytes the kernel took, 0, or a negated errno. */
static ssize_t send_some(struct ws_tls *t, int fd, const uint8_t *bytes,
                         size_t n) {
  struct ws_io *io = t->loop->io;
  struct iovec iov = {(void *)bytes, n};
  ssize_t r;
  if (t->under) return ws_tls_write(t->under, fd, &iov, 1);
  do {
    r = io->ops->send(io, fd, bytes, n);
  } while (r == -EINTR);
  return r == -EAGAIN ? 0 : r;
}

static int send_left(struct ws_tls *t, int fd) {
  if (!t->left.len && t->under) return (int)ws_tls_write(t->under, fd, NULL, 0);
  if (!t->left.len) return 0;
  ssize_t r = send_some(t, fd, ws_buf_begin(&t->left), t->left.len);
  if (r < 0) return (int)r;
  ws_buf_consume(&t->left, (size_t)r);
  if (!t->left.len)
    ws_buf_free(&t->left);
  else
    ws_buf_fit(&t->left);
  return 0;
}

static int send_records(struct ws_tls *t, int fd) {
  struct ws_tls_io *io = buffers_of(t);
  if (!io->out_len) return 0;
  ssize_t r = send_some(t, fd, io->out, io->out_len);
  if (r < 0) return (int)r;
  size_t rest = io->out_len - (size_t)r;
  return ws_buf_append(&t->left, io->out + r, rest) ? 0 : -ENOMEM;
}

ssize_t ws_tls_write(struct ws_tls *t, int fd, const struct iovec *iov, int n) {
  struct place p = {iov, n, 0};
  size_t total = 0;
  int r = send_left(t, fd);
  if (r < 0) return r;
  skip(&p, 0);
  while (p.n && t->is_ready && !ws_tls_left(t) && !t->failed) {
    size_t taken = encrypt(t, &p);
    if ((r = send_records(t, fd)) < 0) return r;
    total += taken;
    if (!taken) break;
  }
  return t->failed ? -t->failed : (ssize_t)total;
}

void ws_tls_farewell(struct ws_tls *t) {
  if (t->is_said || !t->is_ready || t->failed) return;
  t->is_said = true;
  clean();
  SSL_shutdown(t->ssl);
  clean();
}

/* ---- what is to be known of it ---- */

size_t ws_tls_left(const struct ws_tls *t) {
  return t->left.len + (t->under ? ws_tls_left(t->under) : 0);
}

void ws_tls_drop_left(struct ws_tls *t) {
  ws_buf_free(&t->left);
  if (t->under) ws_tls_drop_left(t->under);
}

bool ws_tls_is_ready(const struct ws_tls *t) {
  return t->is_ready;
}

bool ws_tls_is_held(const struct ws_tls *t) {
  return (t->is_ready && !t->failed && SSL_in_init(t->ssl)) ||
         (t->under && ws_tls_is_held(t->under));
}

bool ws_tls_is_over(const struct ws_tls *t) {
  return t->is_over || t->failed || (t->under && ws_tls_is_over(t->under));
}

bool ws_tls_was_notified(const struct ws_tls *t) {
  return t->was_notified;
}

void ws_tls_why(const struct ws_tls *t, char out[WS_TLS_REASON_MAX]) {
  if (t->under && t->under->failed) {
    ws_tls_why(t->under, out);
    return;
  }
  const char *text = ERR_reason_error_string(t->error);
  long verdict = SSL_get_verify_result(t->ssl);
  if (t->is_flooded)
    snprintf(out, WS_TLS_REASON_MAX, "TLS: message flood");
  else if (ERR_GET_REASON(t->error) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
           verdict != X509_V_OK)
    snprintf(out, WS_TLS_REASON_MAX, "certificate verify failed: %s",
             X509_verify_cert_error_string(verdict));
  else
    snprintf(out, WS_TLS_REASON_MAX, "TLS: %s", text ? text : "failed");
}

long ws_tls_subject(const struct ws_tls *t, char *out, size_t cap) {
  X509 *x = SSL_get_peer_certificate(t->ssl);
  long n = -1;
  if (x && SSL_get_verify_result(t->ssl) == X509_V_OK) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(x), 0,
                                  XN_FLAG_RFC2253) >= 0) {
      n = BIO_get_mem_data(bio, &text);
      if (n > 0 && (size_t)n <= cap) memcpy(out, text, (size_t)n);
    }
    BIO_free(bio);
  }
  X509_free(x);
  clean();
  return n;
}
