/* file.c: files beneath one directory, and nothing outside it (binding/file.h).
 *
 * A directory is opened once and kept as a descriptor; every path is resolved
 * from there by the kernel (openat2, Linux 5.6), so that no renaming and no
 * link made between a check and its use can lead out of it: there is no check
 * that could be outrun. Where openat2 is missing or forbidden, each component
 * is opened in turn from the one before it, and no link is followed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_PATH */
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "binding/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <lauxlib.h>

#include "transport/standard.h"

#ifdef __linux__
#include <sys/syscall.h>
#endif
#if defined(SYS_openat2) && defined(__has_include)
#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#define HAVE_OPENAT2 1
#endif
#endif

#ifdef O_PATH
#define OPEN_PATH O_PATH /* a directory need not be readable to be served */
#else
#define OPEN_PATH O_RDONLY
#endif
#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

#define DIRECTORY_NAME "evws.directory"
#define FILE_NAME "evws.file"
#define LONGEST_NAME 255

enum {
  DIRECTORY_FLAGS = OPEN_PATH | O_DIRECTORY | O_CLOEXEC,
  /* O_NONBLOCK: opening a FIFO or a device waits for nobody. O_NOCTTY: a
   * terminal found beneath the root does not become ours. */
  FILE_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY
};

struct directory {
  int fd;        /* -1: closed */
  bool symlinks; /* follow those that stay beneath */
  bool walk;     /* without openat2 */
};

struct file {
  int fd; /* -1: closed */
  int64_t size;
  struct timespec modified, changed;
};

static bool is_same_time(const struct timespec *a, const struct timespec *b) {
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* RFC 9110 8.8.1: what no other content of the same file has. The time of the
 * last change of its status is there because that of its content can be set:
 * what is built reproducibly has the same one for ever. */
static void push_version(lua_State *L, const struct file *f) {
  char text[96];
  int n = snprintf(text, sizeof text, "%llx-%llx.%lx-%llx.%lx",
                   (unsigned long long)f->size,
                   (unsigned long long)f->modified.tv_sec, f->modified.tv_nsec,
                   (unsigned long long)f->changed.tv_sec, f->changed.tv_nsec);
  lua_pushlstring(L, text, (size_t)n);
}

/* For errors that strerror would describe badly. */
static int fail_with(lua_State *L, const char *message, int code) {
  luaL_pushfail(L);
  lua_pushstring(L, message);
  lua_pushinteger(L, code);
  return 3;
}

static void close_fd(int *fd) {
  int kept = errno;
  if (*fd >= 0) {
    int closing = *fd;
    *fd = -1;
    close(closing); /* not again on EINTR: Linux has released it already */
  }
  errno = kept;
}

/* openat, again after a signal (network file systems can be interrupted). */
static int open_at(int dir, const char *name, int flags) {
  int fd;
  do {
    fd = openat(dir, name, flags);
  } while (fd < 0 && errno == EINTR);
  return ws_standard_keep(fd);
}

/* The whole path at once, resolved by the kernel. ENOSYS elsewhere. */
static int open_beneath(int dir, const char *path, int flags, bool symlinks) {
#ifdef HAVE_OPENAT2
  struct open_how how;
  int tries = 0;
  int fd;
  memset(&how, 0, sizeof how);
  how.flags = (unsigned)flags;
#ifdef O_LARGEFILE
  if ((flags & OPEN_PATH) == 0) how.flags |= O_LARGEFILE;
#endif
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (!symlinks) how.resolve |= RESOLVE_NO_SYMLINKS;
  do { /* EAGAIN: a rename raced with a ".." in a link */
    fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < 8)));
  return ws_standard_keep(fd);
#else
  (void)dir, (void)path, (void)flags, (void)symlinks;
  errno = ENOSYS;
  return -1;
#endif
}

/* Component by component: none of them may be a symbolic link. */
static int open_walking(int root, const char *path) {
  int dir = root;
  for (;;) {
    char name[LONGEST_NAME + 1];
    size_t len = strcspn(path, "/");
    bool last = path[len] == '\0';
    int flags = last ? FILE_FLAGS : DIRECTORY_FLAGS;
    int fd = -1;
    if (len <= LONGEST_NAME) {
      memcpy(name, path, len);
      name[len] = '\0';
      fd = open_at(dir, name, flags | O_NOFOLLOW);
    } else {
      errno = ENAMETOOLONG;
    }
    if (dir != root) close_fd(&dir);
    if (fd < 0 || last) return fd;
    dir = fd;
    path += len + 1;
  }
}

/* No NUL, no leading, doubled or trailing slash, no "." and no "..": neither
 * way of opening has to know what those mean. */
static bool is_plain_path(const char *path, size_t len) {
  if (strlen(path) != len) return false;
  for (;;) {
    size_t n = strcspn(path, "/");
    if (n == 0 || (n == 1 && path[0] == '.')) return false;
    if (n == 2 && path[0] == '.' && path[1] == '.') return false;
    if (path[n] == '\0') return true;
    path += n + 1;
  }
}

static struct directory *check_directory(lua_State *L) {
  struct directory *d = luaL_checkudata(L, 1, DIRECTORY_NAME);
  luaL_argcheck(L, d->fd >= 0, 1, "directory is closed");
  return d;
}

static struct file *check_file(lua_State *L) {
  struct file *f = luaL_checkudata(L, 1, FILE_NAME);
  luaL_argcheck(L, f->fd >= 0, 1, "file is closed");
  return f;
}

/* Asks the kernel once per directory; old ones say ENOSYS, containers whose
 * filter does not know the call say EPERM. */
static bool has_openat2(int dir) {
  int fd = open_beneath(dir, ".", DIRECTORY_FLAGS, false);
  bool missing = fd < 0 && (errno == ENOSYS || errno == EPERM);
  close_fd(&fd);
  return !missing;
}

static int file_open_directory(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  bool symlinks = lua_toboolean(L, 2);
  bool walk = lua_toboolean(L, 3);
  struct directory *d;
  lua_settop(L, 1);
  luaL_argcheck(L, strlen(path) == len, 1, "path contains a zero byte");
  d = lua_newuserdatauv(L, sizeof *d, 0);
  d->fd = -1;
  d->symlinks = symlinks;
  luaL_setmetatable(L, DIRECTORY_NAME);
  d->fd = open_at(AT_FDCWD, path, DIRECTORY_FLAGS);
  if (d->fd < 0) return luaL_fileresult(L, 0, NULL);
  d->walk = walk || !has_openat2(d->fd);
  if (d->walk && symlinks) {
    close_fd(&d->fd); /* following without the kernel's help is not safe */
    return fail_with(L, "following links needs openat2", ENOSYS);
  }
  return 1;
}

static int directory_open(lua_State *L) {
  size_t len;
  struct directory *d = check_directory(L);
  const char *path = luaL_checklstring(L, 2, &len);
  struct file *f;
  struct stat st;
  lua_settop(L, 2);
  if (!is_plain_path(path, len)) return fail_with(L, "not a path", EINVAL);
  f = lua_newuserdatauv(L, sizeof *f, 0);
  f->fd = -1;
  luaL_setmetatable(L, FILE_NAME);
  if (d->walk) {
    f->fd = open_walking(d->fd, path);
  } else {
    f->fd = open_beneath(d->fd, path, FILE_FLAGS, d->symlinks);
  }
  if (f->fd < 0 || fstat(f->fd, &st) != 0) {
    close_fd(&f->fd); /* errno is kept; not left to the collector */
    return luaL_fileresult(L, 0, NULL);
  }
  if (!S_ISREG(st.st_mode)) {
    close_fd(&f->fd);
    if (S_ISDIR(st.st_mode)) return fail_with(L, "is a directory", EISDIR);
    return fail_with(L, "not a regular file", ENXIO);
  }
  f->size = st.st_size;
  f->modified = st.st_mtim;
  f->changed = st.st_ctim;
  lua_pushinteger(L, f->size);
  lua_pushinteger(L, f->modified.tv_sec);
  push_version(L, f);
  return 4;
}

/* Reads until n bytes are there. False: errno tells, or ESTALE when the file
 * ended before. */
static bool read_exactly(int fd, char *to, size_t n, int64_t offset) {
  while (n > 0) {
    size_t most = n < (1u << 30) ? n : (1u << 30); /* some systems: INT_MAX */
    ssize_t got = pread(fd, to, most, (off_t)offset);
    if (got > 0) {
      to += got;
      n -= (size_t)got;
      offset += got;
    } else if (got == 0) {
      errno = ESTALE;
      return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

static int file_read(lua_State *L) {
  struct file *f = check_file(L);
  lua_Integer offset = luaL_checkinteger(L, 2);
  lua_Integer length = luaL_checkinteger(L, 3);
  luaL_Buffer b;
  char *to;
  int code;
  lua_settop(L, 3);
  luaL_argcheck(L, offset >= 0 && offset <= f->size, 2, "outside the file");
  luaL_argcheck(L, length >= 0 && length <= f->size - offset, 3,
                "outside the file");
  luaL_argcheck(L, (uint64_t)length <= SIZE_MAX / 2, 3, "too long");
  to = luaL_buffinitsize(L, &b, (size_t)length);
  if (read_exactly(f->fd, to, (size_t)length, offset)) {
    luaL_pushresultsize(&b, (size_t)length);
    return 1;
  }
  code = errno;
  luaL_pushresultsize(&b, 0); /* gives the buffer's memory back now */
  if (code == ESTALE) return fail_with(L, "file became shorter", ESTALE);
  errno = code;
  return luaL_fileresult(L, 0, NULL);
}

static int file_is_changed(lua_State *L) {
  const struct file *f = check_file(L);
  struct stat st;
  bool same = fstat(f->fd, &st) == 0 && st.st_size == f->size &&
              is_same_time(&st.st_mtim, &f->modified) &&
              is_same_time(&st.st_ctim, &f->changed);
  lua_pushboolean(L, !same);
  return 1;
}

/* close(), __close and __gc of both: any number of times. */
static int directory_close(lua_State *L) {
  struct directory *d = luaL_checkudata(L, 1, DIRECTORY_NAME);
  close_fd(&d->fd);
  lua_pushboolean(L, 1);
  return 1;
}

static int file_close(lua_State *L) {
  struct file *f = luaL_checkudata(L, 1, FILE_NAME);
  close_fd(&f->fd);
  lua_pushboolean(L, 1);
  return 1;
}

static int directory_tostring(lua_State *L) {
  const struct directory *d = luaL_checkudata(L, 1, DIRECTORY_NAME);
  lua_pushfstring(L, "%s (%s)", DIRECTORY_NAME, d->fd < 0 ? "closed" : "open");
  return 1;
}

static int file_tostring(lua_State *L) {
  const struct file *f = luaL_checkudata(L, 1, FILE_NAME);
  lua_pushfstring(L, "%s (%s)", FILE_NAME, f->fd < 0 ? "closed" : "open");
  return 1;
}

static const luaL_Reg directory_methods[] = {
  {"open", directory_open},           {"close", directory_close},
  {"__gc", directory_close},          {"__close", directory_close},
  {"__tostring", directory_tostring}, {NULL, NULL}};

static const luaL_Reg file_methods[] = {{"read", file_read},
                                        {"is_changed", file_is_changed},
                                        {"close", file_close},
                                        {"__gc", file_close},
                                        {"__close", file_close},
                                        {"__tostring", file_tostring},
                                        {NULL, NULL}};

static const luaL_Reg functions[] = {{"open_directory", file_open_directory},
                                     {NULL, NULL}};

static const struct {
  const char *name;
  int code;
} codes[] = {{"EAGAIN", EAGAIN}, {"EINVAL", EINVAL}, {"EIO", EIO},
             {"EISDIR", EISDIR}, {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
             {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOSYS", ENOSYS},
             {"ENXIO", ENXIO},   {"ESTALE", ESTALE}, {"EACCES", EACCES}};

/* Fills the metatable in even if it exists: an earlier attempt may have ended
 * for want of memory. */
static void make_class(lua_State *L, const char *name, const luaL_Reg *all) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, all, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int ws_file_open_lib(lua_State *L) {
  make_class(L, DIRECTORY_NAME, directory_methods);
  make_class(L, FILE_NAME, file_methods);
  luaL_newlib(L, functions);
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    lua_pushinteger(L, codes[i].code);
    lua_setfield(L, -2, codes[i].name);
  }
  return 1;
}
