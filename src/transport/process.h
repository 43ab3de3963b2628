/* process.h: a command of the shell, and one end of what it writes or reads;
 * or a program with descriptors of ours. Nothing here waits. Errors are
 * negative errno values; -EPIPE is the end. */
#ifndef EVWS_PROCESS_H
#define EVWS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ws_process {
  pid_t pid; /* 0: it is over */
  int fd;    /* our end, non-blocking; -1: closed */
  int pidfd; /* becomes readable at its end; -1: the kernel has none */
  int status;
  bool is_lost; /* somebody else has taken its status */
};

#define WS_PROCESS_NONE \
  { .fd = -1, .pidfd = -1 }

/* is_write: for what it reads; else for what it writes. */
int ws_process_start(struct ws_process *p, const char *command, bool is_write);

/* A program, looked for in PATH, with this environment and these n descriptors
 * of ours, under the numbers that they have here. It shares all the rest (its
 * standard streams), and there is nothing to read or write. */
int ws_process_spawn(struct ws_process *p, char *const argv[],
                     char *const env[], const int *fds, int n);

/* The environment of this process: "name=value", NULL behind the last. */
char *const *ws_process_environment(void);

/* How many bytes; none without an error are not possible. */
ssize_t ws_process_read(struct ws_process *p, void *to, size_t n);
ssize_t ws_process_write(struct ws_process *p, const void *from, size_t n);

/* It reads, or we read, no more. */
void ws_process_shut(struct ws_process *p);

/* Is it over? Then pid is 0 and the status that of waitpid. */
bool ws_process_is_over(struct ws_process *p);

/* False where it is over. */
bool ws_process_signal(struct ws_process *p, int signum);

/* Everything but the process, which goes on. */
void ws_process_forget(struct ws_process *p);

#endif
