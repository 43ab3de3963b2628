/* probe_process: a look at our own process. These functions stand in
 * probe_net's table, beside what they are measured against.
 *
 * rss() bytes, fd_count(), cpu() seconds, now() monotonic seconds
 * fd_name(n) what it is, nil, message when it is closed
 * has_fd(n), close_fd(n), null_over_fd(n): behind the back of whoever has it;
 *   the last puts /dev/null in its place
 * ignore(signum)         is ignored from now on
 * hold(signum)           it has come, and is held back
 * held(signum)           is it still? */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

static int push_failure(lua_State *L) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(errno));
  return 2;
}

static int process_rss(lua_State *L) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "re");
  if (f == NULL) return push_failure(L);
  if (fscanf(f, "%*s %ld", &pages) != 1) pages = 0;
  fclose(f);
  lua_pushinteger(L, (lua_Integer)pages * sysconf(_SC_PAGESIZE));
  return 1;
}

static int process_fd_count(lua_State *L) {
  lua_Integer n = 0;
  DIR *d = opendir("/proc/self/fd");
  if (d == NULL) return push_failure(L);
  while (readdir(d) != NULL) n++;
  closedir(d);
  lua_pushinteger(L, n - 3); /* ".", ".." and this folder's own */
  return 1;
}

static int process_has_fd(lua_State *L) {
  lua_pushboolean(L, fcntl((int)luaL_checkinteger(L, 1), F_GETFD) >= 0);
  return 1;
}

static int process_fd_name(lua_State *L) {
  char path[64], name[256];
  snprintf(path, sizeof path, "/proc/self/fd/%d", (int)luaL_checkinteger(L, 1));
  ssize_t n = readlink(path, name, sizeof name);
  if (n < 0) return push_failure(L);
  lua_pushlstring(L, name, (size_t)n);
  return 1;
}

static int process_close_fd(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
}

static int process_null_over_fd(lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1), fd = open("/dev/null", O_RDWR);
  lua_pushboolean(L, fd >= 0 && dup2(fd, n) == n);
  if (fd >= 0) close(fd);
  return 1;
}

static int push_clock(lua_State *L, clockid_t clock) {
  struct timespec t = {0, 0};
  clock_gettime(clock, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
  return 1;
}

static int process_cpu(lua_State *L) {
  return push_clock(L, CLOCK_PROCESS_CPUTIME_ID);
}

static int process_now(lua_State *L) {
  return push_clock(L, CLOCK_MONOTONIC);
}

static int process_ignore(lua_State *L) {
  signal((int)luaL_checkinteger(L, 1), SIG_IGN);
  return 0;
}

static int process_hold(lua_State *L) {
  int signum = (int)luaL_checkinteger(L, 1);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signum);
  pthread_sigmask(SIG_BLOCK, &one, NULL);
  raise(signum);
  return 0;
}

static int process_held(lua_State *L) {
  sigset_t pending;
  sigpending(&pending);
  lua_pushboolean(L, sigismember(&pending, (int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {
  {"ignore", process_ignore},
  {"hold", process_hold},
  {"held", process_held},
  {"rss", process_rss},
  {"fd_count", process_fd_count},
  {"cpu", process_cpu},
  {"now", process_now},
  {"has_fd", process_has_fd},
  {"fd_name", process_fd_name},
  {"close_fd", process_close_fd},
  {"null_over_fd", process_null_over_fd},
  {NULL, NULL},
};

void probe_add_process(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}
