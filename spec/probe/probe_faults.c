/* probe_faults: calls of the system, of zlib and of OpenSSL that fail or are
 * cut short. evws_probe.so has to be preloaded (LD_PRELOAD) for that;
 * spec/helper/child.lua does it.
 *
 * is_on()                is it?
 * leave_children()       programs that are started from now on are spared
 * refuse_watch(n, errno[, fd])  after this n calls of epoll_ctl that begin to
 *   watch (fd, or any descriptor) fail; n = 0: none any more
 * refused()              how many have failed
 * kinds                  the names of the calls below, a list: what a session
 *   makes; and rare, what is made when something begins
 * fail(kind, n, errno[, every])  the n-th call from now fails, and with
 *   `every` all later ones too; n = 0: none
 * hold(kind, seconds)    the next call takes so long, whatever signals come
 * cut(n)                 no read or write takes more than n bytes; 0: as many
 *   as there are
 * hits()                 how many calls have failed so, since fail was called
 * shift(wall, other)     the clocks of this process are ahead by so many
 *   seconds: the one that tells the date, and all others
 */
#define _GNU_SOURCE
#include "probe.h"
#include "probe_faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <lauxlib.h>
#include <openssl/ssl.h>
#include <zlib.h>

void probe_open_faults(lua_State *L);

static int left, with, only, refused;

SHOWN int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev) {
  static int (*next)(int, int, int, struct epoll_event *);
  if (op != EPOLL_CTL_DEL && probe_fails(EPOLL_WATCH)) return -1;
  if (op != EPOLL_CTL_DEL && left > 0 && (only < 0 || only == fd)) {
    left--;
    refused++;
    errno = with;
    return -1;
  }
  if (!next) *(void **)&next = dlsym(RTLD_NEXT, "epoll_ctl");
  return next(epfd, op, fd, ev);
}

/* ---- calls that fail ---- */

static const char *const names[KINDS + 1] = {
  "accept",
  "bind",
  "connect",
  "getsockname",
  "listen",
  "readv",
  "recv",
  "send",
  "sendmsg",
  "setsockopt",
  "socket",
  "getrandom",
  "deflateInit2",
  "deflate",
  "inflateInit2",
  "inflate",
  "SSL_new",
  "SSL_do_handshake",
  "SSL_read",
  "SSL_write",
  "chmod",
  "dup",
  "epoll_create1",
  "fcntl",
  "fstat",
  "ftruncate",
  "getsockopt",
  "lstat",
  "memfd_create",
  "openat",
  "openat2",
  "pipe",
  "pipe2",
  "poll",
  "pread",
  "posix_spawnp",
  "pthread_create",
  "recvmsg",
  "redisReaderGetReply",
  "redisReaderFeed",
  "redisReaderCreate",
  "socketpair",
  "timerfd_create",
  "unlink",
  "fopen",
  "kill",
  "mmap",
  "open",
  "pwrite",
  "sigaction",
  "waitpid",
  "posix_spawn_file_actions_init",
  "posix_spawn_file_actions_adddup2",
  "posix_spawnattr_init",
  "ev_loop_new",
  "ev_backend",
  "BIO_new",
  "BIO_meth_new",
  "SSL_CTX_new",
  "SSL_CTX_use_certificate_chain_file",
  "SSL_load_client_CA_file",
  "SSL_set_tlsext_host_name",
  "X509_VERIFY_PARAM_set1_host",
  "X509_NAME_print_ex",
  "epoll_ctl",
  NULL};

static struct {
  long n; /* until one fails; 0: none */
  int error;
  bool every;
  lua_Number held; /* seconds that the next one takes */
} faults[KINDS];

static size_t most; /* bytes of a read or a write; 0: any */
static long hits;

static void hold(enum probe_kind kind) {
  struct timespec t = {.tv_sec = (time_t)faults[kind].held};
  t.tv_nsec = (long)((faults[kind].held - (lua_Number)t.tv_sec) * 1e9);
  faults[kind].held = 0;
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}

bool probe_fails(enum probe_kind kind) {
  if (faults[kind].held > 0) hold(kind);
  if (faults[kind].n == 0 || --faults[kind].n > 0) return false;
  if (faults[kind].every) faults[kind].n = 1;
  hits++;
  errno = faults[kind].error;
  return true;
}

SHOWN int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags) {
  if (probe_fails(ACCEPT)) return -1;
  NEXT(accept4, fd, a, len, flags);
}

SHOWN int bind(int fd, const struct sockaddr *a, socklen_t len) {
  if (probe_fails(BIND)) return -1;
  NEXT(bind, fd, a, len);
}

SHOWN int connect(int fd, const struct sockaddr *a, socklen_t len) {
  if (probe_fails(CONNECT)) return -1;
  NEXT(connect, fd, a, len);
}

SHOWN int getsockname(int fd, struct sockaddr *a, socklen_t *len) {
  if (probe_fails(GETSOCKNAME)) return -1;
  NEXT(getsockname, fd, a, len);
}

SHOWN int listen(int fd, int backlog) {
  if (probe_fails(LISTEN)) return -1;
  NEXT(listen, fd, backlog);
}

SHOWN ssize_t readv(int fd, const struct iovec *iov, int n) {
  struct iovec first;
  if (probe_fails(READV)) return -1;
  if (most) {
    first =
      (struct iovec){iov->iov_base, iov->iov_len < most ? iov->iov_len : most};
    iov = &first;
    n = 1;
  }
  NEXT(readv, fd, iov, n);
}

SHOWN ssize_t recv(int fd, void *to, size_t n, int flags) {
  if (probe_fails(RECV)) return -1;
  if (most && n > most) n = most;
  NEXT(recv, fd, to, n, flags);
}

SHOWN ssize_t send(int fd, const void *bytes, size_t n, int flags) {
  if (probe_fails(SEND)) return -1;
  if (most && n > most) n = most;
  NEXT(send, fd, bytes, n, flags);
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
  struct msghdr short_one = *m;
  struct iovec first;
  if (probe_fails(SENDMSG)) return -1;
  if (most && m->msg_iovlen && !m->msg_control) {
    first = m->msg_iov[0];
    if (first.iov_len > most) first.iov_len = most;
    short_one.msg_iov = &first;
    short_one.msg_iovlen = 1;
  }
  NEXT(sendmsg, fd, &short_one, flags);
}

SHOWN int setsockopt(int fd, int level, int name, const void *value,
                     socklen_t len) {
  if (probe_fails(SETSOCKOPT)) return -1;
  NEXT(setsockopt, fd, level, name, value, len);
}

SHOWN int socket(int domain, int type, int protocol) {
  if (probe_fails(SOCKET)) return -1;
  NEXT(socket, domain, type, protocol);
}

SHOWN ssize_t getrandom(void *to, size_t n, unsigned flags) {
  if (probe_fails(RANDOM)) return -1;
  NEXT(getrandom, to, n, flags);
}

/* ---- zlib and OpenSSL, without memory ---- */

SHOWN int deflateInit2_(z_streamp z, int level, int method, int bits,
                        int memory, int strategy, const char *version,
                        int size) {
  if (probe_fails(DEFLATE_INIT)) return Z_MEM_ERROR;
  NEXT(deflateInit2_, z, level, method, bits, memory, strategy, version, size);
}

SHOWN int deflate(z_streamp z, int flush) {
  if (probe_fails(DEFLATE)) return Z_STREAM_ERROR;
  NEXT(deflate, z, flush);
}

SHOWN int inflateInit2_(z_streamp z, int bits, const char *version, int size) {
  if (probe_fails(INFLATE_INIT)) return Z_MEM_ERROR;
  NEXT(inflateInit2_, z, bits, version, size);
}

SHOWN int inflate(z_streamp z, int flush) {
  if (probe_fails(INFLATE)) return Z_MEM_ERROR;
  NEXT(inflate, z, flush);
}

SHOWN SSL *SSL_new(SSL_CTX *context) {
  if (probe_fails_in_ssl(SSL_MAKE)) return NULL;
  NEXT(SSL_new, context);
}

SHOWN int SSL_do_handshake(SSL *ssl) {
  if (probe_fails_in_ssl(SSL_HANDSHAKE)) return -1;
  NEXT(SSL_do_handshake, ssl);
}

SHOWN int SSL_read(SSL *ssl, void *to, int n) {
  if (probe_fails_in_ssl(SSL_RECEIVE)) return -1;
  NEXT(SSL_read, ssl, to, n);
}

SHOWN int SSL_write(SSL *ssl, const void *bytes, int n) {
  if (probe_fails_in_ssl(SSL_SEND)) return -1;
  NEXT(SSL_write, ssl, bytes, n);
}

/* ---- clocks ---- */

static time_t ahead, others_ahead;

SHOWN int clock_gettime(clockid_t id, struct timespec *t) {
  static __typeof__(clock_gettime) *next;
  if (!next) *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
  int result = next(id, t);
  if (result == 0) t->tv_sec += id == CLOCK_REALTIME ? ahead : others_ahead;
  return result;
}

SHOWN time_t time(time_t *to) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (to) *to = t.tv_sec;
  return t.tv_sec;
}

/* ---- from Lua ---- */

static int faults_is_on(lua_State *L) {
  lua_pushboolean(L, dlsym(RTLD_DEFAULT, "epoll_ctl") == (void *)epoll_ctl);
  return 1;
}

/* They know nothing of Lua, which the module needs. */
static int faults_leave_children(lua_State *L) {
  (void)L;
  unsetenv("LD_PRELOAD");
  return 0;
}

static int faults_refuse_watch(lua_State *L) {
  left = (int)luaL_checkinteger(L, 1);
  with = (int)luaL_optinteger(L, 2, ENOMEM);
  only = (int)luaL_optinteger(L, 3, -1);
  return 0;
}

static int faults_refused(lua_State *L) {
  lua_pushinteger(L, refused);
  return 1;
}

static int faults_fail(lua_State *L) {
  int kind = luaL_checkoption(L, 1, NULL, names);
  faults[kind].n = (long)luaL_checkinteger(L, 2);
  faults[kind].error = (int)luaL_optinteger(L, 3, ENOMEM);
  faults[kind].every = lua_toboolean(L, 4);
  hits = 0;
  return 0;
}

static int faults_hold(lua_State *L) {
  int kind = luaL_checkoption(L, 1, NULL, names);
  faults[kind].held = luaL_checknumber(L, 2);
  return 0;
}

static int faults_cut(lua_State *L) {
  most = (size_t)luaL_checkinteger(L, 1);
  return 0;
}

static int faults_hits(lua_State *L) {
  lua_pushinteger(L, hits);
  return 1;
}

static int faults_shift(lua_State *L) {
  ahead = (time_t)luaL_checkinteger(L, 1);
  others_ahead = (time_t)luaL_checkinteger(L, 2);
  return 0;
}

static void push_names(lua_State *L, int from, int to) {
  lua_newtable(L);
  for (int i = from; i < to; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, i - from + 1);
  }
}

void probe_open_faults(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"is_on", faults_is_on},
    {"leave_children", faults_leave_children},
    {"refuse_watch", faults_refuse_watch},
    {"refused", faults_refused},
    {"fail", faults_fail},
    {"cut", faults_cut},
    {"hold", faults_hold},
    {"hits", faults_hits},
    {"shift", faults_shift},
    {NULL, NULL}};
  luaL_newlib(L, functions);
  push_names(L, 0, RARE);
  lua_setfield(L, -2, "kinds");
  push_names(L, RARE, KINDS);
  lua_setfield(L, -2, "rare");
}
