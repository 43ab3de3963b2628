/* link.h: bytes to a server and back, plain or by TLS. */
#ifndef LOAD_LINK_H
#define LOAD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_st;

struct link {
  int fd;
  struct ssl_st *ssl; /* NULL: plain */
  uint8_t *sealed;    /* records that the kernel did not take yet */
  size_t sealed_len, sealed_at;
};

/* Once, where TLS is spoken. Certificates are not verified. */
void link_prepare_tls(void);

void link_open(struct link *k, int fd, bool is_tls);
/* is_reset: the peer sees a reset, and the kernel forgets it at once. */
void link_close(struct link *k, bool is_reset);

enum link_step { LINK_AGAIN, LINK_DONE };

/* Fails when the handshake does. */
enum link_step link_shake_hands(struct link *k);

/* Bytes that were taken, with TLS all that are sealed and kept included; 0:
 * the kernel takes no more; -1: the connection is lost (errno). */
ssize_t link_send(struct link *k, const void *bytes, size_t n);
/* Bytes that came; 0: none now; -1: lost, with errno 0 when it was ended. */
ssize_t link_receive(struct link *k, void *to, size_t n);

/* Offers what is kept; false: lost. */
bool link_flush(struct link *k);
static inline bool link_owes(const struct link *k) {
  return k->sealed_at < k->sealed_len;
}

#endif
