/* pidfile.h: a file with the number of a process that runs. It is locked for as
 * long as that does, so that nobody has to guess whether a number is an old
 * one. */
#ifndef EVWS_PIDFILE_H
#define EVWS_PIDFILE_H

/* Takes the file, and writes this process's number into it. The descriptor, to
 * be kept open; or a negative errno: -EAGAIN where another process has it,
 * whose number is *holder, -EINVAL where it has something else in it. */
int ws_pidfile_take(const char *path, long *holder);

/* It is gone, if it still is the one that was taken. */
void ws_pidfile_leave(const char *path, int fd);

#endif
