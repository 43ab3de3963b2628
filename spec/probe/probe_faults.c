/* probe_faults: system calls that libev makes, refused. evws_probe.so has to
 * be preloaded (LD_PRELOAD) for that; spec/helper/faulty.lua does it.
 *
 * is_on()                is it?
 * refuse_watch(n, errno[, fd])  after this n calls of epoll_ctl that begin to
 *   watch (fd, or any descriptor) fail; n = 0: none any more
 * refused()              how many have failed */
#define _GNU_SOURCE
#include "probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>

#include <lauxlib.h>

void probe_open_faults(lua_State *L);

static int left, with, only, refused;

__attribute__((visibility("default"))) int epoll_ctl(int epfd, int op, int fd,
                                                     struct epoll_event *ev) {
  static int (*next)(int, int, int, struct epoll_event *);
  if (op != EPOLL_CTL_DEL && left > 0 && (only < 0 || only == fd)) {
    left--;
    refused++;
    errno = with;
    return -1;
  }
  if (!next) *(void **)&next = dlsym(RTLD_NEXT, "epoll_ctl");
  return next(epfd, op, fd, ev);
}

static int faults_is_on(lua_State *L) {
  lua_pushboolean(L, dlsym(RTLD_DEFAULT, "epoll_ctl") == (void *)epoll_ctl);
  return 1;
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

void probe_open_faults(lua_State *L) {
  static const luaL_Reg functions[] = {{"is_on", faults_is_on},
                                       {"refuse_watch", faults_refuse_watch},
                                       {"refused", faults_refused},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
}
