#!/bin/sh
# Sees to it that this machine can do a job:
#
#   tools/setup.sh run | test | cross | asan | coverage | lint | peers | fuzz |
#     counts | bench | pgo [more...]  and what else is needed, one capability each
#
# Asks for capabilities, not for packages: does it compile and link, is there
# such a command? Where all is there it says nothing and takes milliseconds.
# Else it installs what is missing by apt-get, apk, dnf or brew, and asks again.
set -u
cd "$(dirname "$0")/.." || exit 1

say() { echo "set-up: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
have_any() {
  for command in "$@"; do
    if have "$command"; then return 0; fi
  done
  return 1
}

wishes= # what it goes on without, too
build='cc lua_h ev openssl zlib lua'
test="$build busted luarocks zip git certificates python nginx haproxy
  cqueues luv socket cjson hiredis redis"
case ${1:-run} in
  run) needs=$build ;;
  test) needs=$test ;;
  cross) needs="cross_arm64 cross_s390x qemu dpkg" ;;
  asan) needs="$test sanitizers" ;;
  coverage) needs="$test gcov lcov" ;;
  lint) needs="$build hiredis luacheck clang_format clang_tidy cppcheck" ;;
  peers) needs="$build node npm websockets curl chromium nginx
    tinyproxy haproxy certificates cjson hiredis redis" ;;
  fuzz) needs="$build fuzzer wslay hiredis" ;;
  counts) needs="$build certificates valgrind" ;;
  pgo) needs="$build certificates" ;;
  bench)
    needs="$build certificates"
    wishes='lws node npm websockets gorilla lua_http resty cjson' ;;
  *) die "unknown job '$1': see the head of tools/setup.sh" ;;
esac
if [ $# -gt 1 ]; then
  shift
  needs="$needs $*"
fi

temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
trap 'exit 1' HUP INT TERM

# The Makefile knows the compiler, its flags and the interpreter; they may
# change with what gets installed.
learn() {
  flags=$("${MAKE:-make}" -s --no-print-directory flags 2>/dev/null)
  {
    read -r compile
    read -r libs
    read -r lua
  } <<end
$flags
end
}

# Does it compile with these lines and flags, and are these libraries there?
# Nothing refers to them, and what is linked is no program: that is quick.
links() {
  printf '%s\n' "$1" 'extern int ask;' >"$temporary/ask.c"
  eval "$compile -O0 -g0 -w $2 -shared -o \"\$temporary/ask\"" \
    "\"\$temporary/ask.c\" $3" >/dev/null 2>&1
}

# The headers have to be of the interpreter, where there is one.
lua_h() {
  number=$("$lua" -e 'io.write((_VERSION:match "5%.[45]":gsub("%.", "0")))' \
    2>/dev/null)
  echo "#include <lua.h>
#include <lauxlib.h>
#if LUA_VERSION_NUM != ${number:-504}
#error another Lua
#endif"
}
ev='#include <ev.h>'
# Not ssl.h: reading it takes longer than all the rest.
openssl='#include <openssl/opensslv.h>
#if OPENSSL_VERSION_NUMBER < 0x10101000L
#error too old
#endif'
zlib='#include <zlib.h>'

# All of a build in one go.
can_build() {
  links "$(lua_h)
$ev
$openssl
$zlib" '' "$libs" && can lua
}

# The libraries one by one: only the one asked for is linked.
can() {
  case $1 in
    cc) links '#include <stdlib.h>' '' '' ;;
    lua_h) links "$(lua_h)" '' '' ;;
    ev) links "$ev" '' "$(library ev)" ;;
    openssl) links "$openssl" '' "$(library ssl) $(library crypto)" ;;
    zlib) links "$zlib" '' "$(library z)" ;;
    lua) "$lua" -e 'assert(_VERSION:find "5%.[45]$")' >/dev/null 2>&1 ;;
    busted) have busted &&
      "$lua" -e 'assert(package.searchpath("busted.runner", package.path))' \
        >/dev/null 2>&1 ;;
    luarocks) have luarocks ;;
    zip) have zip && have unzip ;;
    git) have git ;;
    certificates) have openssl ;;
    python) python3 -c 'import zlib' >/dev/null 2>&1 ;;
    # For a guide's spec, where there are packages for that Lua.
    cqueues | luv | socket) ! have apt-get || "$lua" -e \
      "assert(_VERSION ~= 'Lua 5.4' or require '$1')" >/dev/null 2>&1 ;;
    cjson) "$lua" -e 'require "cjson"' >/dev/null 2>&1 ;;
    cross_arm64) have aarch64-linux-gnu-gcc ;;
    cross_s390x) have s390x-linux-gnu-gcc ;;
    qemu) have qemu-aarch64 && have qemu-s390x ;;
    dpkg) have dpkg-deb && have apt-get ;;
    sanitizers) links '' -fsanitize=address,undefined '' ;;
    gcov) have gcov ;;
    lcov) have genhtml ;;
    luacheck) have luacheck ;;
    clang_format) have clang-format ;;
    clang_tidy) have clang-tidy ;;
    cppcheck) have cppcheck ;;
    node) have node ;;
    npm) have npm ;;
    websockets) /usr/bin/python3 -c 'import websockets' >/dev/null 2>&1 ;;
    curl) have curl ;;
    valgrind) have valgrind ;;
    lws) links '#include <libwebsockets.h>' '' -lwebsockets ;;
    gorilla) have go &&
      [ -d /usr/share/gocode/src/github.com/gorilla/websocket ] ;;
    lua_http) has_lua_http ;;
    resty) [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] &&
      [ -n "$(find -L /usr/share/lua/5.1 -path '*/websocket/server.lua')" ] ;;
    fuzzer) have_fuzzer ;;
    wslay) links '#include <wslay/wslay.h>' '' "$libs -lwslay" ;;
    chromium) have_any chromium chromium-browser google-chrome ;;
    nginx) have_any nginx /usr/sbin/nginx ;;
    tinyproxy) have tinyproxy ;;
    haproxy) have_any haproxy /usr/sbin/haproxy ;;
    hiredis) links '#include <hiredis/read.h>' '' "$libs -lhiredis" ;;
    redis) have_any redis-server valkey-server ;;
  esac
}

# clang alone is not enough: its runtime may be a package of its own.
have_fuzzer() {
  echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' >"$temporary/ask.c"
  have clang && clang -fsanitize=fuzzer,address,undefined \
    -o "$temporary/ask" "$temporary/ask.c" >/dev/null 2>&1
}

# For which Lua is up to the system.
has_lua_http() {
  for one in "$lua" lua5.3 luajit lua5.1; do
    if "$one" -e 'require "http.websocket"' >/dev/null 2>&1; then
      return 0
    fi
  done
  return 1
}

# -lname with the -L flags of the Makefile.
library() {
  for flag in $libs; do
    case $flag in -L*) printf '%s ' "$flag" ;; esac
  done
  echo "-l$1"
}

find_missing() {
  learn
  missing=
  if can_build; then known=$build; else known=; fi
  for need in $needs; do
    case " $known " in
      *" $need "*) ;;
      *) can "$need" || missing="$missing $need" ;;
    esac
  done
  missing=${missing# }
  [ -z "$missing" ]
}

# The packages that bring a capability: Debian, Alpine, Fedora, Homebrew.
packages() {
  case $1 in
    cc) choose 'gcc libc6-dev' build-base 'gcc glibc-devel' '' ;;
    lua_h) choose liblua5.4-dev lua5.4-dev lua-devel lua@5.4 ;;
    ev) choose libev-dev libev-dev libev-devel libev ;;
    openssl) choose libssl-dev openssl-dev openssl-devel openssl@3 ;;
    zlib) choose zlib1g-dev zlib-dev zlib-devel zlib ;;
    lua) choose lua5.4 lua5.4 lua lua@5.4 ;;
    busted) choose lua-busted 'lua-busted lua5.4-busted' lua-busted '' ;;
    luarocks) choose luarocks luarocks5.4 luarocks luarocks ;;
    zip) choose 'zip unzip' 'zip unzip' 'zip unzip' zip ;;
    git) choose git git git git ;;
    certificates) choose openssl openssl openssl openssl@3 ;;
    python) choose python3 python3 python3 '' ;;
    cjson) choose lua-cjson lua5.4-cjson lua-cjson '' ;;
    cqueues) choose lua-cqueues '' '' '' ;;
    luv) choose lua-luv '' '' '' ;;
    socket) choose lua-socket '' '' '' ;;
    cross_arm64) choose gcc-aarch64-linux-gnu '' '' '' ;;
    cross_s390x) choose gcc-s390x-linux-gnu '' '' '' ;;
    qemu) choose qemu-user '' '' '' ;;
    dpkg) choose 'dpkg apt' '' '' '' ;;
    sanitizers) choose '' '' 'libasan libubsan' '' ;;
    gcov) choose gcc gcc gcc '' ;;
    lcov) choose lcov lcov lcov lcov ;;
    luacheck) choose lua-check luacheck lua-luacheck luacheck ;;
    clang_format) choose clang-format clang-extra-tools \
      clang-tools-extra clang-format ;;
    clang_tidy) choose clang-tidy clang-extra-tools clang-tools-extra llvm ;;
    cppcheck) choose cppcheck cppcheck cppcheck cppcheck ;;
    node) choose nodejs nodejs nodejs node ;;
    npm) choose npm npm nodejs-npm node ;;
    websockets) choose python3-websockets py3-websockets \
      python3-websockets '' ;;
    curl) choose curl curl curl curl ;;
    valgrind) choose valgrind valgrind valgrind '' ;;
    lws) choose libwebsockets-dev libwebsockets-dev libwebsockets-devel \
      libwebsockets ;;
    gorilla) choose 'golang-go golang-github-gorilla-websocket-dev' '' '' '' ;;
    lua_http) choose 'lua-http lua5.1' '' '' '' ;;
    resty) choose 'libnginx-mod-http-lua lua-nginx-websocket' '' '' '' ;;
    fuzzer) choose 'clang libclang-rt-dev' 'clang compiler-rt' \
      'clang compiler-rt' llvm ;;
    wslay) choose libwslay-dev wslay-dev wslay-devel wslay ;;
    chromium) choose chromium chromium chromium chromium ;;
    nginx) choose nginx nginx nginx nginx ;;
    tinyproxy) choose tinyproxy-bin tinyproxy tinyproxy tinyproxy ;;
    haproxy) choose haproxy haproxy haproxy haproxy ;;
    hiredis) choose libhiredis-dev hiredis-dev hiredis-devel hiredis ;;
    redis) choose redis-server redis valkey redis ;;
  esac
}

choose() {
  case $manager in
    apt-get) echo "$1" ;;
    apk) echo "$2" ;;
    dnf) echo "$3" ;;
    brew) echo "$4" ;;
  esac
}

find_manager() {
  for manager in apt-get apk dnf brew; do
    if have "$manager"; then return 0; fi
  done
  return 1
}

# Runs with the rights that installing takes; its output only if it fails.
quietly() {
  if [ "$manager" = brew ] || [ "$(id -u)" -eq 0 ]; then
    "$@" >"$temporary/log" 2>&1 </dev/null
  else
    # shellcheck disable=SC2024
    sudo "$@" >"$temporary/log" 2>&1
  fi
  status=$?
  if [ $status -ne 0 ]; then tail -n 20 "$temporary/log" >&2; fi
  return $status
}

apt() {
  quietly env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

install() {
  case $manager in
    apt-get) apt update && apt install --no-install-recommends "$@" ;;
    apk) quietly apk add --no-cache "$@" ;;
    dnf) quietly dnf -q -y install "$@" ;;
    brew) quietly brew install -q "$@" ;;
  esac
}

provide() {
  if find_missing; then return; fi
  find_manager || die "missing: $missing; no apt-get, apk, dnf or brew here"
  if [ "$manager" != brew ] && [ "$(id -u)" -ne 0 ] && ! have sudo; then
    die "missing: $missing; installing needs root, and there is no sudo"
  fi
  list=
  for need in $missing; do list="$list $(packages "$need")"; done
  # shellcheck disable=SC2086
  set -- $list
  [ $# -gt 0 ] || die "missing: $missing; $manager has no package for it"
  say "installing $* ($manager)"
  install "$@" || die "$manager could not install: $*"
  find_missing || die "still missing after installing: $missing"
}

provide
for wish in $wishes; do
  (needs=$wish && provide) || say "going on without $wish"
done
