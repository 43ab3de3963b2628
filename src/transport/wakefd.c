/* wakefd.c: an epoll descriptor around another descriptor and a timerfd. */
#include "transport/wakefd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

static bool add(struct ws_wakefd *w, int fd) {
  struct epoll_event ev = {.events = EPOLLIN};
  return epoll_ctl(w->fd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

int ws_wakefd_open(struct ws_wakefd *w, int behind) {
  w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  w->fd = w->timer < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
  if (w->fd >= 0 && add(w, behind) && add(w, w->timer)) return 0;
  int error = errno;
  ws_wakefd_close(w);
  return -error;
}

void ws_wakefd_set(struct ws_wakefd *w, double when) {
  struct itimerspec at = {{0, 0}, {0, 0}};
  if (when >= 0) {
    at.it_value.tv_sec = (time_t)when;
    at.it_value.tv_nsec = (long)((when - (double)at.it_value.tv_sec) * 1e9);
    if (when == 0) at.it_value.tv_nsec = 1; /* 0 would turn it off */
  }
  timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

int ws_wakefd_why(int fd) {
  struct ws_wakefd w = {.fd = epoll_create1(EPOLL_CLOEXEC), .timer = -1};
  int error = w.fd < 0 ? ENOMEM : add(&w, fd) ? 0 : errno;
  ws_wakefd_close(&w);
  return error;
}

#else

int ws_wakefd_why(int fd) {
  return fcntl(fd, F_GETFD) < 0 ? errno : ENOMEM;
}

int ws_wakefd_open(struct ws_wakefd *w, int behind) {
  (void)behind;
  w->fd = w->timer = -1;
  return -ENOTSUP;
}

void ws_wakefd_set(struct ws_wakefd *w, double when) {
  (void)w;
  (void)when;
}

#endif

void ws_wakefd_close(struct ws_wakefd *w) {
  if (w->fd >= 0) close(w->fd);
  if (w->timer >= 0) close(w->timer);
  w->fd = w->timer = -1;
}
