/* process.c: commands of the shell. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* environ */
#endif
#include "transport/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transport/standard.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE is set on the socket instead */
#endif

static void shut(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* ---- its beginning ---- */

/* A program expects that such signals end it, whatever this process does with
 * them. */
static int defaults(posix_spawnattr_t *attributes) {
  static const int signums[] = {SIGPIPE, SIGHUP,  SIGINT, SIGTERM,
                                SIGCHLD, SIGTTIN, SIGTTOU};
  sigset_t set;
  int error = posix_spawnattr_init(attributes);
  if (error) return error;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof signums / sizeof *signums; i++) {
    struct sigaction now;
    sigaction(signums[i], NULL, &now);
    if (signums[i] == SIGPIPE || now.sa_handler != SIG_IGN)
      sigaddset(&set, signums[i]);
  }
  posix_spawnattr_setsigdefault(attributes, &set);
  posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF);
  return 0;
}

static int run(struct ws_process *p, char *const argv[], char *const env[],
               const posix_spawn_file_actions_t *actions) {
  posix_spawnattr_t attributes;
  int error = defaults(&attributes);
  if (error) return error;
  error = posix_spawnp(&p->pid, argv[0], actions, &attributes, argv, env);
  posix_spawnattr_destroy(&attributes);
  if (error) p->pid = 0;
  return error;
}

char *const *ws_process_environment(void) {
  return environ;
}

/* The shell with this end as its descriptor. */
static int run_shell(struct ws_process *p, const char *command, int end,
                     int as) {
  char *const argv[] = {"/bin/sh", "-c", (char *)command, NULL};
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return error;
  error = posix_spawn_file_actions_adddup2(&actions, end, as);
  if (!error) error = run(p, argv, environ, &actions);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

/* Ours is first. What is written goes by a socket: a pipe that nobody reads
 * would raise SIGPIPE here. */
static int open_ends(int ends[2], bool is_write) {
  int r = is_write ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends);
  for (int i = 0; r == 0 && i < 2; i++) {
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    ends[i] = ws_standard_keep(ends[i]);
  }
#ifdef SO_NOSIGPIPE
  int on = 1;
  if (r == 0 && is_write)
    setsockopt(ends[0], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  return r;
}

int ws_process_start(struct ws_process *p, const char *command, bool is_write) {
  int ends[2];
  if (open_ends(ends, is_write) < 0) return -errno;
  int error = run_shell(p, command, ends[1], is_write ? 0 : 1);
  close(ends[1]);
  if (error) {
    close(ends[0]);
    return -error;
  }
  p->fd = ends[0];
  fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
#ifdef SYS_pidfd_open
  p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
#endif
  return 0;
}

/* A descriptor that is duplicated to its own number is inherited. */
static int inherit(posix_spawn_file_actions_t *actions, int fd) {
#ifdef __APPLE__
  return posix_spawn_file_actions_addinherit_np(actions, fd);
#else
  return posix_spawn_file_actions_adddup2(actions, fd, fd);
#endif
}

int ws_process_spawn(struct ws_process *p, char *const argv[],
                     char *const env[], const int *fds, int n) {
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return -error;
  for (int i = 0; i < n && !error; i++) error = inherit(&actions, fds[i]);
  if (!error) error = run(p, argv, env, &actions);
  posix_spawn_file_actions_destroy(&actions);
  return -error;
}

/* ---- its life ---- */

ssize_t ws_process_read(struct ws_process *p, void *to, size_t n) {
  if (p->fd < 0) return -EPIPE;
  ssize_t r = read(p->fd, to, n);
  return r > 0 ? r : r < 0 ? -errno : -EPIPE;
}

ssize_t ws_process_write(struct ws_process *p, const void *from, size_t n) {
  if (p->fd < 0) return -EPIPE;
  ssize_t r = send(p->fd, from, n, MSG_NOSIGNAL);
  if (r >= 0) return r;
  return errno == ECONNRESET ? -EPIPE : -errno;
}

void ws_process_shut(struct ws_process *p) {
  shut(&p->fd);
}

bool ws_process_is_over(struct ws_process *p) {
  if (!p->pid) return true;
  pid_t r = waitpid(p->pid, &p->status, WNOHANG);
  if (r == 0 || (r < 0 && errno == EINTR)) return false;
  p->is_lost = r < 0;
  p->pid = 0;
  shut(&p->pidfd);
  return true;
}

/* Its number may be another's as soon as its status was taken. */
bool ws_process_signal(struct ws_process *p, int signum) {
  return !ws_process_is_over(p) && kill(p->pid, signum) == 0;
}

void ws_process_forget(struct ws_process *p) {
  shut(&p->fd);
  ws_process_is_over(p);
  shut(&p->pidfd);
  p->pid = 0;
}
