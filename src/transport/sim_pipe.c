/* sim_pipe.c: what is sent arrives later, in order, as the link says. */
#include "transport/sim_pipe.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Of a line with a rate bytes come by and by. */
#define PIECE 4096

static struct ws_sim_piece *first_of(struct ws_sim_pipe *pipe) {
  if (pipe->pieces.len < sizeof(struct ws_sim_piece)) return NULL;
  return (struct ws_sim_piece *)(void *)ws_buf_begin(&pipe->pieces);
}

static void on_time(struct ws_timer *t);

/* Without memory for a timer nothing of it will arrive: as if it was lost. */
static void set_timer(struct ws_sim_socket *to) {
  struct ws_sim_pipe *pipe = &to->in;
  const struct ws_sim_piece *next = first_of(pipe);
  if (!next || to->is_held || pipe->timer.index) return;
  pipe->timer.fn = on_time;
  ws_heap_set(&to->sim->heap, &pipe->timer, next->at);
}

static bool send_piece(struct ws_sim_socket *to, size_t n, double delay,
                       enum ws_sim_what what) {
  struct ws_sim_pipe *pipe = &to->in;
  double now = to->sim->now, begin = fmax(now, pipe->busy);
  double took = to->link.rate > 0 ? (double)n / to->link.rate : 0;
  double at = fmax(begin + took + delay, pipe->last);
  struct ws_sim_piece piece = {at, n, what};
  if (!ws_buf_append(&pipe->pieces, &piece, sizeof piece)) return false;
  pipe->busy = begin + took;
  pipe->last = at;
  set_timer(to);
  return true;
}

static void send_mark(struct ws_sim_socket *to, enum ws_sim_what what) {
  send_piece(to, 0, ws_sim_delay(to->sim, &to->link), what);
}

/* ---- arriving ---- */

static void bytes_arrive(struct ws_sim_socket *to, size_t n) {
  struct ws_sim_pipe *pipe = &to->in;
  const uint8_t *at = ws_buf_begin(&pipe->bytes) + pipe->arrived;
  ws_sim_note(to->sim, to, "gets", at, n);
  pipe->arrived += n;
  if (to->fd >= 0 || to->is_queued) return;
  ws_buf_consume(&pipe->bytes, pipe->arrived); /* nobody is there */
  pipe->arrived = 0;
  send_mark(to->peer, WS_SIM_RESET);
}

static void arrive(struct ws_sim_socket *to, const struct ws_sim_piece *piece) {
  if (to->error) return;
  switch (piece->what) {
  case WS_SIM_BYTES: bytes_arrive(to, piece->n); break;
  case WS_SIM_END:
    ws_sim_note(to->sim, to, "gets the end", NULL, 0);
    to->was_ended = true;
    break;
  case WS_SIM_RESET:
    ws_sim_note(to->sim, to, "is reset", NULL, 0);
    to->error = ECONNRESET;
    break;
  }
}

static void on_time(struct ws_timer *t) {
  struct ws_sim_socket *to = WS_LIST_ENTRY(t, struct ws_sim_socket, in.timer);
  struct ws_sim_piece *next;
  while ((next = first_of(&to->in)) && next->at <= to->sim->now) {
    struct ws_sim_piece piece = *next;
    ws_buf_consume(&to->in.pieces, sizeof piece);
    arrive(to, &piece);
  }
  set_timer(to);
  ws_sim_stir(to);
}

/* ---- sending ---- */

static size_t room_of(const struct ws_sim_socket *to) {
  size_t used = to->in.bytes.len;
  return used < to->link.buffer ? to->link.buffer - used : 0;
}

bool ws_sim_has_room(const struct ws_sim_socket *from) {
  return room_of(from->peer) > 0;
}

static int judge(const struct ws_sim_socket *from) {
  if (from->error) return -from->error;
  if (from->has_ended) return -EPIPE;
  if (from->kind == WS_SIM_DIALS) return -EAGAIN;
  return from->kind == WS_SIM_CONNECTED ? 0 : -EPIPE;
}

/* How many bytes are on their way; fewer without memory. */
static size_t send_pieces(struct ws_sim_socket *to, size_t n) {
  size_t most = to->link.rate > 0 ? PIECE : n, sent = 0;
  double delay = ws_sim_delay(to->sim, &to->link);
  while (sent < n) {
    size_t some = n - sent < most ? n - sent : most;
    if (!send_piece(to, some, delay, WS_SIM_BYTES)) break;
    sent += some;
  }
  return sent;
}

ssize_t ws_sim_put(struct ws_sim_socket *from, const void *bytes, size_t n) {
  struct ws_sim_socket *to = from->peer;
  int r = judge(from);
  if (r < 0) return r;
  size_t room = room_of(to);
  if (n > room) n = room;
  if (n == 0) return -EAGAIN;
  n = ws_sim_cut(from->sim, &from->link, n);
  if (n > from->reset_after) n = from->reset_after;
  if (!ws_buf_append(&to->in.bytes, bytes, n)) return -ENOBUFS;
  size_t sent = send_pieces(to, n);
  to->in.bytes.len -= n - sent; /* they will be sent again */
  if ((n = sent) == 0) return -ENOBUFS;
  if (from->reset_after != SIZE_MAX && !(from->reset_after -= n))
    ws_sim_tear(from, ECONNRESET);
  return (ssize_t)n;
}

void ws_sim_end(struct ws_sim_socket *from) {
  if (from->has_ended || from->error) return;
  from->has_ended = true;
  send_mark(from->peer, WS_SIM_END);
}

void ws_sim_tear(struct ws_sim_socket *from, int error) {
  if (from->peer) send_mark(from->peer, WS_SIM_RESET);
  from->error = error;
  ws_sim_note(from->sim, from, "breaks", NULL, 0);
  ws_sim_stir(from);
}

/* ---- taking ---- */

ssize_t ws_sim_peek(struct ws_sim_socket *to, void *bytes, size_t n) {
  struct ws_sim_pipe *pipe = &to->in;
  if (!pipe->arrived) {
    if (to->error) return -to->error;
    if (to->kind == WS_SIM_DIALS) return -EAGAIN;
    if (to->kind != WS_SIM_CONNECTED) return -ENOTCONN;
    return to->was_ended ? 0 : -EAGAIN;
  }
  if (n > pipe->arrived) n = pipe->arrived;
  n = ws_sim_cut(to->sim, &to->link, n);
  if (n) memcpy(bytes, ws_buf_begin(&pipe->bytes), n);
  return (ssize_t)n;
}

ssize_t ws_sim_take(struct ws_sim_socket *to, void *bytes, size_t n) {
  struct ws_sim_pipe *pipe = &to->in;
  ssize_t r = ws_sim_peek(to, bytes, n);
  if (r <= 0) return r;
  ws_buf_consume(&pipe->bytes, (size_t)r);
  pipe->arrived -= (size_t)r;
  if (!pipe->bytes.len) ws_buf_free(&pipe->bytes);
  ws_sim_stir(to->peer);
  return r;
}

/* ---- the end ---- */

static bool is_alive(const struct ws_sim_socket *socket) {
  return socket && (socket->fd >= 0 || socket->is_queued);
}

void ws_sim_leave(struct ws_sim_socket *socket) {
  struct ws_sim_socket *peer = socket->peer;
  ws_heap_clear(&socket->sim->heap, &socket->timer);
  if (is_alive(peer)) {
    if (socket->in.arrived && !socket->error)
      ws_sim_tear(socket, ECONNRESET); /* there are bytes nobody has read */
    else
      ws_sim_end(socket);
    return;
  }
  if (peer) ws_sim_socket_free(peer);
  ws_sim_socket_free(socket);
}

void ws_sim_hold_end(struct ws_sim_socket *socket, bool on) {
  struct ws_sim_pipe *pipe = &socket->in;
  double at = socket->sim->now + ws_sim_delay(socket->sim, &socket->link);
  struct ws_sim_piece *piece = first_of(pipe);
  size_t n = piece ? pipe->pieces.len / sizeof *piece : 0;
  if (socket->is_held == on) return;
  socket->is_held = on;
  ws_heap_clear(&socket->sim->heap, &pipe->timer);
  if (on) return;
  for (size_t i = 0; i < n; i++)
    if (piece[i].at < at) piece[i].at = at;
  if (pipe->last < at) pipe->last = at;
  set_timer(socket);
}
