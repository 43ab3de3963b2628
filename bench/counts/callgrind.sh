# What bench/counts/run and bench/crowd have in common: a server in
# callgrind, and the load that it bears. To be sourced, with $suite set, and
# $build and $lua.

# The environment of the server. Lua seeds its hash tables with addresses,
# which depend on what is below the stack: so it is the same everywhere. And
# copies are made as without `rep movsb`, whose every byte would count as an
# instruction.
fixed=(env -i LUA_PATH_5_4='lua/?.lua;lua/?/init.lua'
  LUA_CPATH_5_4="$build/?.so;;"
  GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000)
if setarch -R true 2>/dev/null; then fixed=(setarch -R "${fixed[@]}"); fi

work=$(mktemp -d) || exit 1
server=
passed=0
failed=0
skipped=0
stop() {
  if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null; fi
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

die() {
  echo "not ok - $suite: $1"
  if [ -s "$work/log" ]; then tail -n 20 "$work/log"; fi
  echo "$suite: $passed passed, $((failed + 1)) failed"
  exit 1
}

# What serves: with Lua, or without.
with_lua=("$(command -v "$lua")" bench/servers/evws.lua)
without=("$build/evws_engine")
program=("${with_lua[@]}")

# Sets port and server.
serve() { # field of the port, whole, what stands in front of the program...
  local i field=$1
  : >"$work/ports"
  "${fixed[@]}" WHOLE="$2" "${@:3}" "${program[@]}" >"$work/ports" \
    2>"$work/log" &
  server=$!
  for ((i = 0; i < 1200; i++)); do
    port=$(cut -sf "$field" "$work/ports")
    if [ -n "$port" ]; then return; fi
    kill -0 "$server" 2>/dev/null || die "the server did not start"
    sleep 0.05
  done
  die "the server does not start"
}

# A part of a run that something has to be done before: the server is up.
before_load() { :; }

load() {
  timeout 200 "$build/evws_load" --limit 180 --stall 60 "$@" \
    >"$work/load" 2>&1 || die "the load failed: $(cat "$work/load")"
  kill -TERM "$server"
  wait "$server" || die "the server failed"
  server=
}

# Sets total: the instructions of a whole run.
count() { # steps, path, whole, field of the port, options of the load...
  serve "$4" "$3" LD_PRELOAD="$build/evws_whole.so" \
    "$(command -v valgrind)" --tool=callgrind \
    --callgrind-out-file="$work/profile" \
    --toggle-collect={accept4,recv,readv,send,sendmsg,time,getrandom} \
    --collect-atstart=yes
  before_load
  load --steps "$1" "${@:5}" 127.0.0.1 "$port" "$2"
  total=$(sed -n 's/^summary: \([0-9]*\)$/\1/p' "$work/profile")
  [ -n "$total" ] || die "callgrind has not counted"
}

ok() { echo "ok - $suite: $1"; passed=$((passed + 1)); }
skip() { echo "skipped - $suite: $1"; skipped=$((skipped + 1)); }
not_ok() { echo "not ok - $suite: $1"; failed=$((failed + 1)); }
