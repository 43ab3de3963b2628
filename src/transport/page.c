/* page.c: memory that several processes see. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memfd_create */
#endif
#include "transport/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/standard.h"

#ifdef MFD_CLOEXEC
static int open_memory(void) {
  return memfd_create("evws", MFD_CLOEXEC);
}
#else
/* The name is gone before anybody else could open it. */
static int open_memory(void) {
  char name[32];
  snprintf(name, sizeof name, "/evws.%ld", (long)getpid());
  int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return fd;
  shm_unlink(name);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}
#endif

int ws_page_new(size_t size) {
  int fd = open_memory();
  if (fd < 0) return -errno;
  if (ftruncate(fd, (off_t)size) == 0) return ws_standard_keep(fd);
  int error = errno;
  close(fd);
  return -error;
}

void *ws_page_map(int fd, size_t size) {
  struct stat st;
  if (fstat(fd, &st) < 0) return NULL;
  if (st.st_size < (off_t)size) {
    errno = EINVAL;
    return NULL;
  }
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return p == MAP_FAILED ? NULL : p;
}

void ws_page_unmap(void *page, size_t size) {
  munmap(page, size);
}
