rockspec_format = "3.0"
package = "evws"
version = "scm-1"
source = {
  url = "git+https://github.com/evws/evws.git"
}
description = {
  summary = "WebSocket server and client with an engine in C",
  detailed = [[
    evws speaks WebSocket (RFC 6455) from Lua: servers and clients, with and
    without TLS, callbacks or plain loops, on libev. SignalR hubs for the
    official clients (these need lua-cjson).]],
  homepage = "https://github.com/evws/evws",
  maintainer = "evws maintainers",
  issues_url = "https://github.com/evws/evws/issues",
  license = "MIT",
  labels = { "websocket", "network", "server", "client", "libev" }
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.4, < 5.6"
}
test_dependencies = {
  "busted"
}
external_dependencies = {
  EV = { header = "ev.h", library = "ev" },
  OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
  CRYPTO = { header = "openssl/crypto.h", library = "crypto" },
  ZLIB = { header = "zlib.h", library = "z" }
}
build = {
  type = "make",
  -- For both passes: the second must not see other flags and build again.
  variables = {
    BUILD = "build/rock",
    CFLAGS = "$(CFLAGS) -O3",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    EV_INCDIR = "$(EV_INCDIR)",
    EV_LIBDIR = "$(EV_LIBDIR)",
    OPENSSL_INCDIR = "$(OPENSSL_INCDIR)",
    OPENSSL_LIBDIR = "$(OPENSSL_LIBDIR)",
    CRYPTO_INCDIR = "$(CRYPTO_INCDIR)",
    CRYPTO_LIBDIR = "$(CRYPTO_LIBDIR)",
    ZLIB_INCDIR = "$(ZLIB_INCDIR)",
    ZLIB_LIBDIR = "$(ZLIB_LIBDIR)"
  },
  build_variables = {},
  install_variables = {
    INST_LUADIR = "$(LUADIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_BINDIR = "$(BINDIR)",
    INST_SHAREDIR = "$(PREFIX)/share"
  },
  copy_directories = { "docs", "examples", "library" }
}
test = {
  type = "command",
  command = "make test"
}
