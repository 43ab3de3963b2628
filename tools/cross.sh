#!/bin/sh
# Builds evws for another machine and runs specs on it, under qemu:
#
#   tools/cross.sh arm64 | s390x [spec...]     (make cross does both)
#
# Debian's cross compiler builds; the other machine's libraries and its Lua are
# Debian's packages, unpacked beside each other in build/cross/MACHINE/root.
# Neither the system's packages nor its list of machines are touched. Specs that
# need the real machine know by EVWS_EMULATED that this is none.
set -eu
cd "$(dirname "$0")/.."

die() { echo "cross: $*" >&2; exit 1; }

case ${1:-} in
  arm64) cpu=aarch64 ;;
  s390x) cpu=s390x ;;
  *) die "arm64 or s390x expected, not '${1:-}'" ;;
esac
machine=$1
shift
here=$PWD/build/cross/$machine
root=$here/root
lua=$here/lua5.4

# apt with a state of its own, in which nothing is installed.
apt() {
  apt-get -qq -o "APT::Architecture=$machine" \
    -o "APT::Architectures=$machine" -o "Dir::State=$here/apt" \
    -o "Dir::State::status=$here/apt/status" -o "Dir::Cache=$here/apt" \
    -o APT::Sandbox::User= -o APT::Install-Recommends=0 "$@" \
    >"$here/apt.log" 2>&1 || { tail -n 5 "$here/apt.log" >&2; die "apt-get"; }
}

unpack() {
  rm -rf "$here"
  mkdir -p "$here/apt/lists/partial" "$here/apt/archives/partial" "$root"
  : >"$here/apt/status"
  apt update
  apt install -y --download-only lua5.4 lua-busted lua-cjson liblua5.4-dev \
    libev-dev libssl-dev zlib1g-dev libhiredis-dev libc6-dev
  for package in "$here"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
  done
  rm -r "$here/apt"
  printf '#!/bin/sh\nexec qemu-%s -L "%s" "%s/usr/bin/lua5.4" "$@"\n' \
    "$cpu" "$root" "$root" >"$lua"
  chmod +x "$lua"
}

[ -x "$lua" ] || unpack
"$lua" -e 'require "busted.core"' || die "the other machine's Lua does not run"

# The folders that hold what bytes and words could make different.
[ $# -gt 0 ] || set -- spec/base spec/protocol spec/transport spec/engine

build() {
  "${MAKE:-make}" --no-print-directory SETUP=: BUILD="$here/build" ARCH="$cpu" \
    CC="$cpu-linux-gnu-gcc --sysroot=$root" LUA="$lua" \
    LUA_INCDIR="$root/usr/include/lua5.4" HIREDIS_INCDIR=/usr/include \
    busted="$lua $root/usr/bin/busted --ignore-lua" "$@"
}

build -j"$(nproc)" build-all
failed=
for specs; do
  echo "== $machine: $specs"
  EVWS_EMULATED=$machine EVWS_TIME_FACTOR=${EVWS_TIME_FACTOR:-8} \
    build run-specs SPEC="$specs" || failed="$failed $specs"
done
[ -z "$failed" ] || die "$machine: failed:$failed"
