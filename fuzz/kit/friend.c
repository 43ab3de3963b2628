/* friend.c: the healthy client that stands beside. */
#include "kit/friend.h"

#include <string.h>

#include "kit/fuzz.h"

const char friend_upgrade[] = "GET /?q HTTP/1.1\r\n"
                              "Host: a\r\n"
                              "Upgrade: websocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Version: 13\r\n\r\n";

void friend_init(struct friend *c, struct sim *sim) {
  *c = (struct friend){.sim = sim, .fd = sim_connect(sim)};
  sim->fds[c->fd].is_calm = true;
  sim_push(sim, c->fd, friend_upgrade, strlen(friend_upgrade));
}

void friend_say(struct friend *c) {
  uint8_t frame[] = {0x81, 0x85, 0, 0, 0, 0, 'h', 'e', 'l', 'l', '0'};
  struct sim_fd *f = &c->sim->fds[c->fd];
  if (c->is_silent || c->said == 20 || f->in_n > SIM_IN / 2) return;
  frame[10] = (uint8_t)('0' + c->said++ % 10);
  sim_push(c->sim, c->fd, frame, sizeof frame);
}

/* One frame of the server's to the friend; false when it is not all there. */
static bool hear_frame(struct friend *c, const uint8_t *p, size_t n) {
  static const uint8_t close[] = {0x88, 0x80, 0, 0, 0, 0};
  uint8_t pong[6 + 8] = {0x8A, 0x88};
  if (n < 2 || n < 2U + p[1]) return false;
  FUZZ_CHECK(p[1] <= 125);
  if (p[0] == 0x81) {
    FUZZ_CHECK(p[1] == 5 && memcmp(p + 2, "hell", 4) == 0);
    FUZZ_CHECK(p[6] == '0' + c->echoed++ % 10);
  } else if (p[0] == 0x89) {
    FUZZ_CHECK(p[1] == 8);
    memcpy(pong + 6, p + 2, 8);
    sim_push(c->sim, c->fd, pong, sizeof pong);
  } else {
    FUZZ_CHECK(p[0] == 0x88);
    sim_push(c->sim, c->fd, close, sizeof close);
    c->sim->fds[c->fd].is_ended = true;
  }
  c->heard += 2U + p[1];
  return true;
}

/* What the friend has been sent: a 101, echoes, pings, a close. */
void friend_hear(struct friend *c) {
  struct sim_fd *f = &c->sim->fds[c->fd];
  if (c->is_lost || !f->out) return;
  if (c->heard == 0) {
    for (size_t i = 0; i + 4 <= f->out_n && c->heard == 0; i++)
      if (memcmp(f->out + i, "\r\n\r\n", 4) == 0) c->heard = i + 4;
    if (c->heard == 0) return;
    if (memcmp(f->out, "HTTP/1.1 101 ", 13) != 0) c->is_lost = true;
    FUZZ_CHECK(!c->is_lost || c->may_be_lost);
  }
  while (!c->is_lost && hear_frame(c, f->out + c->heard, f->out_n - c->heard)) {
  }
}
