/* probe_seldom.c: calls of the system and of libev that hardly ever fail, and
 * those of OpenSSL by which something begins; they fail as those of
 * probe_faults.c do. Of OpenSSL's, error 0: it fails and says nothing. */
#define _GNU_SOURCE
#include "probe_faults.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the system ---- */

SHOWN FILE *fopen(const char *path, const char *mode) {
  if (probe_fails(FOPEN)) return NULL;
  NEXT(fopen, path, mode);
}

/* As OpenSSL calls it. */
SHOWN FILE *fopen64(const char *path, const char *mode) {
  if (probe_fails(FOPEN)) return NULL;
  NEXT(fopen64, path, mode);
}

SHOWN int kill(pid_t pid, int signum) {
  if (probe_fails(KILL)) return -1;
  NEXT(kill, pid, signum);
}

SHOWN void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off) {
  if (probe_fails(MMAP)) return MAP_FAILED;
  NEXT(mmap, at, n, prot, flags, fd, off);
}

SHOWN int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
  va_end(args);
  if (probe_fails(OPEN)) return -1;
  NEXT(open, path, flags, mode);
}

SHOWN ssize_t pread(int fd, void *to, size_t n, off_t at) {
  if (probe_fails(PREAD)) return -1;
  NEXT(pread, fd, to, n, at);
}

/* Error 0: nothing is written, and nobody says why. */
SHOWN ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  if (probe_fails(PWRITE)) return errno ? -1 : 0;
  NEXT(pwrite, fd, bytes, n, at);
}

SHOWN int sigaction(int signum, const struct sigaction *now,
                    struct sigaction *before) {
  if (now && probe_fails(SIGACTION)) return -1;
  NEXT(sigaction, signum, now, before);
}

SHOWN pid_t waitpid(pid_t pid, int *status, int flags) {
  if (probe_fails(WAITPID)) return -1;
  NEXT(waitpid, pid, status, flags);
}

SHOWN int posix_spawn_file_actions_init(posix_spawn_file_actions_t *a) {
  if (probe_fails(SPAWN_ACTIONS)) return errno;
  NEXT(posix_spawn_file_actions_init, a);
}

SHOWN int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *a,
                                           int from, int to) {
  if (probe_fails(SPAWN_DUP)) return errno;
  NEXT(posix_spawn_file_actions_adddup2, a, from, to);
}

SHOWN int posix_spawnattr_init(posix_spawnattr_t *a) {
  if (probe_fails(SPAWN_ATTRIBUTES)) return errno;
  NEXT(posix_spawnattr_init, a);
}

SHOWN struct ev_loop *ev_loop_new(unsigned flags) {
  if (probe_fails(EV_LOOP)) return NULL;
  NEXT(ev_loop_new, flags);
}

/* One that cannot be waited for by way of its descriptor. */
SHOWN unsigned ev_backend(struct ev_loop *loop) {
  if (probe_fails(EV_BACKEND)) return EVBACKEND_SELECT;
  NEXT(ev_backend, loop);
}

/* ---- OpenSSL ---- */

bool probe_fails_in_ssl(enum probe_kind kind) {
  if (!probe_fails(kind)) return false;
  if (errno) ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
  return true;
}

SHOWN BIO *BIO_new(const BIO_METHOD *method) {
  if (probe_fails_in_ssl(BIO_MAKE)) return NULL;
  NEXT(BIO_new, method);
}

SHOWN BIO_METHOD *BIO_meth_new(int type, const char *name) {
  if (probe_fails_in_ssl(BIO_METHOD_MAKE)) return NULL;
  NEXT(BIO_meth_new, type, name);
}

SHOWN SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
  if (probe_fails_in_ssl(SSL_CONTEXT)) return NULL;
  NEXT(SSL_CTX_new, method);
}

SHOWN int SSL_CTX_use_certificate_chain_file(SSL_CTX *ctx, const char *path) {
  if (probe_fails_in_ssl(SSL_CHAIN)) return 0;
  NEXT(SSL_CTX_use_certificate_chain_file, ctx, path);
}

SHOWN STACK_OF(X509_NAME) * SSL_load_client_CA_file(const char *path) {
  if (probe_fails_in_ssl(SSL_CA_NAMES)) return NULL;
  NEXT(SSL_load_client_CA_file, path);
}

/* SSL_set_tlsext_host_name, among others. */
SHOWN long SSL_ctrl(SSL *ssl, int command, long number, void *p) {
  if (command == SSL_CTRL_SET_TLSEXT_HOSTNAME && probe_fails_in_ssl(SSL_NAME))
    return 0;
  NEXT(SSL_ctrl, ssl, command, number, p);
}

SHOWN int X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *p, const char *name,
                                      size_t n) {
  if (probe_fails_in_ssl(SSL_EXPECTED)) return 0;
  NEXT(X509_VERIFY_PARAM_set1_host, p, name, n);
}

SHOWN int X509_NAME_print_ex(BIO *to, const X509_NAME *name, int indent,
                             unsigned long flags) {
  if (probe_fails_in_ssl(SSL_SUBJECT)) return -1;
  NEXT(X509_NAME_print_ex, to, name, indent, flags);
}
