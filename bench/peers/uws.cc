// uWebSockets, from a checkout of one's own (make bench UWS=dir):
// uws PORT TLS_PORT DEFLATE_PORT CERTIFICATE KEY
#include <App.h>
#include <csignal>
#include <cstdlib>

struct None {};

template <bool TLS>
using Behavior =
    typename uWS::TemplatedApp<TLS>::template WebSocketBehavior<None>;
template <bool TLS> using Socket = uWS::WebSocket<TLS, true, None>;

template <bool TLS> static Behavior<TLS> common(uWS::CompressOptions how) {
  Behavior<TLS> b;
  b.compression = how;
  b.maxPayloadLength = 64 << 20;
  b.maxBackpressure = 64 << 20;
  b.idleTimeout = 120;
  return b;
}

template <bool TLS>
static void serve(uWS::TemplatedApp<TLS> &app, const char *port,
                  uWS::CompressOptions how) {
  bool deflates = how != uWS::DISABLED;
  auto echo = common<TLS>(how), broadcast = common<TLS>(how);
  echo.message = [deflates](Socket<TLS> *ws, std::string_view message,
                            uWS::OpCode kind) {
    ws->send(message, kind, deflates);
  };
  broadcast.open = [](Socket<TLS> *ws) { ws->subscribe("all"); };
  broadcast.message = [&app](Socket<TLS> *, std::string_view message,
                             uWS::OpCode kind) {
    app.publish("all", message, kind);
  };
  app.template ws<None>("/echo", std::move(echo));
  app.template ws<None>("/broadcast", std::move(broadcast));
  app.listen("127.0.0.1", atoi(port), [](auto *listener) {
    if (!listener) exit(1);
  });
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  signal(SIGPIPE, SIG_IGN);
  uWS::App plain, deflating;
  uWS::SSLApp secure({.key_file_name = argv[5], .cert_file_name = argv[4]});
  serve(plain, argv[1], uWS::DISABLED);
  serve(secure, argv[2], uWS::DISABLED);
  serve(deflating, argv[3], uWS::SHARED_COMPRESSOR);
  plain.run();
}
