/* parting.c: waits for a peer, outside of any turn. */
#include "transport/parting.h"

#include <errno.h>
#include <poll.h>

#define POLL_MS 1000 /* then the clock is looked at */

/* Has our half ended? */
static bool say_end(struct ws_stream *s) {
  struct ws_io *io = s->watch.loop->io;
  ws_stream_flush(s);
  return !s->error && !ws_stream_pending(s) && ws_stream_farewell(s) &&
         io->ops->shutdown(io, s->watch.fd, false) == 0;
}

/* False: nothing comes any more. */
static bool read_off(struct ws_stream *s) {
  struct ws_io *io = s->watch.loop->io;
  char bytes[4096];
  ssize_t n;
  do n = io->ops->recv(io, s->watch.fd, bytes, sizeof bytes);
  while (n == (ssize_t)sizeof bytes);
  return n > 0 || n == -EAGAIN || n == -EINTR;
}

/* False: there is nothing to wait for. */
static bool await(int fd, bool for_room, double seconds) {
  int ms = seconds * 1000 < POLL_MS ? (int)(seconds * 1000) + 1 : POLL_MS;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (for_room) p.events |= POLLOUT;
  int n = poll(&p, 1, ms);
  return n >= 0 ? !(p.revents & POLLNVAL) : errno == EINTR;
}

void ws_parting(struct ws_stream *s, double seconds) {
  struct ws_io *io = s->watch.loop->io;
  double until = io->ops->now(io) + seconds, now;
  bool has_ended = false;
  while (s->watch.fd >= 0 && !s->error) {
    if (!has_ended) has_ended = say_end(s);
    if (s->error || !read_off(s) || (now = io->ops->now(io)) >= until) break;
    if (!await(s->watch.fd, !has_ended, until - now)) break;
  }
  ws_stream_close(s);
}
