# evws: the one build recipe. luarocks, the specs and CI all come here.
# `make help` lists what it can do.

# What a user or a packager may set.

BUILD = build/$(if $(PGO),pgo,release)
SANITIZE =
COVERAGE =
PGO =
EXAMPLE = echo
WORKERS =
REDIS =
ARGS =
SPEC =
BUSTED_FLAGS =
LINT =
SECONDS = 10
MACHINES = arm64 s390x
TARGET =

# Installs what is missing; `make SETUP=: ...` leaves the system alone.
SETUP = tools/setup.sh

PREFIX = /usr/local
DESTDIR =
INST_LUADIR = $(PREFIX)/share/lua/$(lua_version)
INST_LIBDIR = $(PREFIX)/lib/lua/$(lua_version)
INST_BINDIR = $(PREFIX)/bin
INST_SHAREDIR = $(PREFIX)/share
INSTALL = install

# The compiler that brings libFuzzer.
FUZZ_CC = clang

# CFLAGS and LDFLAGS belong to whoever builds; what evws needs is below.
CFLAGS ?= -O3 -g

# What this machine has.

OS := $(shell uname -s)
ARCH := $(shell uname -m)
in_path = $(wildcard $(addsuffix /$(1),$(subst :, ,$(PATH))))
quote = '$(subst ','\'',$(1))'
dir_with = $(patsubst %/$(1),%,$(firstword $(wildcard $(addsuffix /$(1),$(2)))))

# Lua 5.4 or 5.5, whichever there is; or LUA=/path/to/lua, with LUA_INCDIR where
# its headers are in no usual place.
LUA = $(notdir $(firstword $(foreach name,lua5.4 lua-5.4 lua54 lua5.5 lua-5.5 \
  lua55 lua,$(call in_path,$(name))) lua5.4))
lua_version := $(or $(shell $(LUA) -e \
  'io.write((_VERSION:match "5%.%d+"))' 2>/dev/null),5.4)
lua_names = lua$(lua_version) lua-$(lua_version) lua$(subst .,,$(lua_version))
# Where an interpreter that was given by its path may have its headers.
lua_prefix = $(filter-out /usr /usr/local, \
  $(patsubst %/bin/,%,$(filter %/bin/,$(dir $(LUA)))))
lua_places = $(foreach prefix,$(lua_prefix),$(addprefix $(prefix)/include, \
  $(addprefix /,$(lua_names)) /))

ifeq ($(OS),Darwin)
BREW := $(patsubst %/bin/brew,%,$(firstword $(call in_path,brew) \
  /opt/homebrew/bin/brew))
# The keg-only ones stand in opt/ alone.
OPENSSL_DIR = $(wildcard $(BREW)/opt/openssl@3)
EV_DIR = $(wildcard $(BREW)/opt/libev)
lua_places += $(foreach keg,lua@$(lua_version) lua, \
  $(addprefix $(BREW)/opt/$(keg)/include/,lua$(lua_version) lua)) \
  $(BREW)/include/lua$(lua_version)
endif
lua_places += $(foreach prefix,/usr /usr/local, \
  $(addprefix $(prefix)/include/,$(lua_names))) \
  /usr/include /usr/local/include

LUA_INCDIR = $(call dir_with,lua.h,$(lua_places))
EV_INCDIR = $(addsuffix /include,$(EV_DIR))
EV_LIBDIR = $(addsuffix /lib,$(EV_DIR))
OPENSSL_INCDIR = $(addsuffix /include,$(OPENSSL_DIR))
OPENSSL_LIBDIR = $(addsuffix /lib,$(OPENSSL_DIR))
CRYPTO_INCDIR = $(OPENSSL_INCDIR)
CRYPTO_LIBDIR = $(OPENSSL_LIBDIR)
ZLIB_INCDIR =
ZLIB_LIBDIR =

# Where it is found, servers can share topics by way of Redis.
HIREDIS_INCDIR = $(call dir_with,hiredis/read.h,/usr/include \
  /usr/local/include $(addsuffix /include,$(BREW)))
HIREDIS_LIBDIR = $(patsubst %/include,%/lib,$(filter-out /usr/include, \
  $(HIREDIS_INCDIR)))

# Our own flags.

incdirs = $(filter-out /usr/include,$(sort $(LUA_INCDIR) $(EV_INCDIR) \
  $(OPENSSL_INCDIR) $(CRYPTO_INCDIR) $(ZLIB_INCDIR) $(HIREDIS_INCDIR)))
libdirs = $(sort $(EV_LIBDIR) $(OPENSSL_LIBDIR) $(CRYPTO_LIBDIR) \
  $(ZLIB_LIBDIR) $(HIREDIS_LIBDIR))

ws_cppflags = -Isrc $(addprefix -isystem ,$(incdirs))
ws_cflags = -std=gnu11 -Wall -Wextra -Wvla -fPIC -fvisibility=hidden -pthread
ws_libs = $(addprefix -L,$(libdirs)) -lev -lssl -lcrypto -lz
ifneq ($(HIREDIS_INCDIR),)
ws_cppflags += -DWS_HIREDIS
ws_libs += -lhiredis
endif

ifeq ($(OS),Darwin)
ws_cflags += -fstack-protector-strong
ws_ldflags = -bundle -undefined dynamic_lookup
else
# nodelete: a look-up thread or a watcher of the default loop may outlive
# lua_close, which unloads C modules. Not `-z defs`: Lua's symbols come from
# the host.
ws_cflags += -fstack-protector-strong -fstack-clash-protection
# A message costs some twenty calls of Lua's functions: straight to them.
ws_cflags += -fno-plt
ws_ldflags = -shared -pthread -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete
ifneq ($(filter x86_64 amd64 i%86,$(ARCH)),)
# Shadow stacks. An endbr64 at each function would cost every message something,
# and no kernel looks for them in programs.
ws_cflags += -fcf-protection=return
ws_ldflags += -Wl,-z,shstk
endif
endif

ifneq ($(filter 1 true,$(CI) $(WERROR)),)
ws_cflags += -Werror
endif

ifneq ($(COVERAGE),)
# Every branch as it is written; an assertion is no branch. Threads and the
# children of a spec count, too.
ws_cppflags += -U_FORTIFY_SOURCE -DNDEBUG -DWS_FAULT
ws_cflags += --coverage -fprofile-update=atomic
else ifeq ($(SANITIZE),)
# A packager's own level stays; without optimization there are no such functions.
optimized = $(filter-out -O0,$(filter -O%,$(CPPFLAGS) $(CFLAGS)))
ws_cppflags += $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),, \
  $(if $(optimized),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))
else
# The sanitizers want to see every access, so no fortified functions here.
ws_cppflags += -U_FORTIFY_SOURCE -DWS_FAULT
ws_cflags += -fsanitize=address,undefined -fno-omit-frame-pointer
ws_ldflags += -fsanitize=address,undefined
asan_lib = $(shell $(CC) -print-file-name=libasan.so)
endif

# What `make pgo` has noted stands beside the objects; what it has not met is
# built as ever.
ifneq ($(PGO),)
ws_cflags += $(if $(filter train,$(PGO)),-fprofile-generate, \
  -fprofile-use -fprofile-partial-training -Wno-missing-profile)
endif

compile = $(CC) $(ws_cppflags) $(CPPFLAGS) $(ws_cflags) $(CFLAGS)
link = $(CC) $(ws_cflags) $(CFLAGS) $(ws_ldflags) $(LDFLAGS)

# Building.

sources := $(wildcard $(foreach layer,base protocol transport engine binding, \
  src/$(layer)/*.c))
core_objects = $(sources:%.c=$(BUILD)/%.o)
probe_objects = $(patsubst %.c,$(BUILD)/%.o, \
  $(filter-out src/binding/%,$(sources)) $(wildcard spec/probe/*.c))
core = $(BUILD)/evws/core.so
probe = $(BUILD)/evws_probe.so
# The benchmark's load generator; it is made of epoll.
ifeq ($(OS),Linux)
load = $(BUILD)/evws_load
load_objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard bench/load/*.c))
whole = $(BUILD)/evws_whole.so
# Its server without Lua.
engine = $(BUILD)/evws_engine
engine_objects = $(patsubst %.c,$(BUILD)/%.o, \
  $(filter-out src/binding/%,$(sources)) bench/servers/engine.c)
# And the least one that there can be.
floor = $(BUILD)/evws_floor
endif
# What makes the kernel late.
late = $(BUILD)/evws_late.so
lua_files = $(patsubst lua/%,%,$(shell find lua -name '*.lua'))

.PHONY: all test-deps probe run test plain cross asan late coverage mutate \
  lint format peers soak churn faults simulate hostile run-faults conformance \
  docs fuzz \
  dist install uninstall clean help flags build-core build-all build-fuzz \
  build-counts build-bench counts crowd bench scale steady pgo run-specs FORCE
.SUFFIXES:
.DELETE_ON_ERROR:

## all: build the C core (no set-up; the default)
all: $(core)

## probe: build the module through which the specs reach C (also: test-deps)
test-deps probe: $(probe)

$(core): $(core_objects) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(link) -o $@ $(core_objects) $(ws_libs) $(LDLIBS)

$(probe): $(probe_objects) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(link) -o $@ $(probe_objects) $(ws_libs) $(LDLIBS)

ifneq ($(load),)
$(load): $(load_objects) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ws_cflags) $(CFLAGS) $(LDFLAGS) -o $@ $(load_objects) $(ws_libs) \
	  $(LDLIBS)

$(engine): $(engine_objects) $(BUILD)/flags
	@echo "  LINK $@"
	@$(CC) $(ws_cflags) $(CFLAGS) $(LDFLAGS) -o $@ $(engine_objects) \
	  $(ws_libs) -lm $(LDLIBS)

# As `make bench` builds it: what is fortified unmasks three times as slowly.
$(BUILD)/bench/servers/floor.o: CFLAGS += -O3 -U_FORTIFY_SOURCE
$(floor): $(BUILD)/bench/servers/floor.o $(BUILD)/flags
	@echo "  LINK $@"
	@$(CC) $(ws_cflags) $(CFLAGS) $(LDFLAGS) -o $@ $< $(ws_libs) $(LDLIBS)

$(whole): $(BUILD)/bench/counts/whole.o $(BUILD)/flags
	@echo "  LINK $@"
	@$(CC) $(ws_cflags) $(CFLAGS) -shared -fvisibility=default $(LDFLAGS) \
	  -o $@ $<

$(BUILD)/bench/counts/whole.o: ws_cflags += -fvisibility=default
endif

# It goes into programs of any build, so it has none of their flags.
$(late): spec/trials/late.c
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $< -ldl

# The one place where the version stands; between releases it ends in -dev.
version = $(shell cat VERSION)
$(BUILD)/src/binding/module.o: ws_cppflags += -DWS_VERSION=$(version)
$(BUILD)/src/binding/module.o: VERSION

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(compile) -MMD -MP -c -o $@ $<

# Rewritten only when the commands change (or a source comes or goes), so that
# objects of two sets of flags never meet in one module.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(call quote,$(compile)) $(call quote,$(link)) \
	  $(call quote,$(ws_libs) $(LDLIBS)) $(call quote,$(sources)) \
	  $(call quote,$(probe_objects) $(load_objects)) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The fuzz targets: one program for each file of fuzz/. Of the archive each
# takes what it needs.
fuzz_targets = $(patsubst fuzz/%.c,$(BUILD)/%,$(wildcard fuzz/*.c))
fuzz_archive = $(BUILD)/libevws.a
fuzz_objects = $(patsubst %.c,$(BUILD)/%.o, \
  $(filter-out src/binding/%,$(sources)) $(wildcard fuzz/kit/*.c))

$(BUILD)/fuzz/%.o: ws_cppflags += -Ifuzz
# What is compared with, and the simulated world, lead to no new inputs.
$(BUILD)/fuzz/kit/%.o: override CFLAGS := \
  $(filter-out -fsanitize=fuzzer-no-link,$(CFLAGS))

$(fuzz_archive): $(fuzz_objects) $(BUILD)/flags
	@rm -f $@
	@$(AR) rcs $@ $(fuzz_objects)

$(fuzz_targets): $(BUILD)/%: $(BUILD)/fuzz/%.o $(fuzz_archive)
	@echo "  LINK $@"
	@$(CC) $(ws_cflags) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ \
	  $(if $(filter %/wslay,$@),-lwslay) $(ws_libs) -lm $(LDLIBS)

-include $(wildcard $(BUILD)/src/*/*.d $(BUILD)/spec/probe/*.d \
  $(BUILD)/fuzz/*.d $(BUILD)/fuzz/kit/*.d $(BUILD)/bench/*/*.d)

# For tools: the compiler with everything but input and output, the
# libraries, the interpreter.
flags:
	@printf '%s\n' $(call quote,$(compile)) \
	  $(call quote,$(ws_libs) $(LDFLAGS) $(LDLIBS)) $(call quote,$(LUA))

# Running and testing.
# Each of these installs what is missing first; only then can a second make
# look for headers and build.

cpus = $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1)
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(cpus))
again = @$(MAKE) --no-print-directory

# Paths of the user's own stay behind ours; without any, Lua's defaults do.
lua_path = LUA_PATH_$(subst .,_,$(lua_version))
lua_cpath = LUA_CPATH_$(subst .,_,$(lua_version))
lua_env = \
  $(lua_path)="$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$\
  $${$(lua_path):-$${LUA_PATH:-;}}" \
  $(lua_cpath)="$(abspath $(BUILD))/?.so;$\
  $${$(lua_cpath):-$${LUA_CPATH:-;}}"

# busted's own first line would find any Lua, often 5.1.
busted = $(LUA) "$$(command -v busted)" --ignore-lua

asan_env = LD_PRELOAD=$(asan_lib)$(if $(LATE),:$(abspath $(late)) \
  EVWS_LATE=$(LATE) EVWS_SEED=$(SEED)) \
  EVWS_TIME_FACTOR=$${EVWS_TIME_FACTOR:-4} \
  ASAN_OPTIONS=detect_leaks=1:halt_on_error=1:abort_on_error=0:$\
  detect_stack_use_after_return=1:strict_string_checks=1:$\
  check_initialization_order=1 \
  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# The first line of a sample says what it is, up to its command.
samples = for file in examples/*.lua; do \
  name=$${file\#\#*/}; \
  printf '  %-10s %s\n' "$${name%.lua}" \
    "$$(sed 's/^-- //; s/: lua5.4 .*//; s/: make .*//; s/:$$//; q' \
    "$$file")"; \
  done

# Workers, and who joins their topics.
served = bin/evws serve $(if $(WORKERS),--workers $(WORKERS)) \
  $(if $(REDIS),--redis $(REDIS)) examples/$(EXAMPLE).lua -- $(ARGS)

## run: set up, build, start a sample: make run [EXAMPLE=chat] [ARGS=8080]
#   in several processes: [WORKERS=4] [REDIS=spawn]
run:
	@if [ ! -f examples/$(call quote,$(EXAMPLE)).lua ]; then \
	  echo "make run: no sample" $(call quote,'$(EXAMPLE)'). \
	    "EXAMPLE is one of these:"; $(samples); exit 2; fi >&2
	@$(SETUP) run $(if $(filter index signalr,$(EXAMPLE)),cjson) \
	  $(if $(REDIS),hiredis) $(if $(filter spawn,$(REDIS)),redis)
	$(again) $(jobs) build-core
	@exec env $(lua_env) $(LUA) $(if $(WORKERS)$(REDIS),$(served), \
	  examples/$(EXAMPLE).lua $(ARGS))

## test: set up, build, all specs; one: make test SPEC=spec/x_spec.lua
test:
	@$(SETUP) test
	$(again) $(jobs) build-all
	$(again) run-specs

## cross: build for other machines, and specs under qemu: [MACHINES="arm64 s390x"]
#   [SPEC="spec/protocol ..."]; on Debian, half an hour
cross:
	@$(SETUP) cross
	@for machine in $(MACHINES); do \
	  tools/cross.sh "$$machine" $(SPEC) || exit 1; \
	done

## asan: the same specs on a build with sanitizers and fault injection
asan:
	@$(SETUP) asan
	$(again) $(jobs) build-all $(asan_build)
	$(again) run-specs $(asan_build)

asan_build = BUILD=build/asan SANITIZE=1 CFLAGS='-O1 -g'

## late: asan while the kernel tells of things late: [PERCENT=10] [SEED=1]
#   [SPEC=...]
late:
	@$(SETUP) asan
	$(again) $(jobs) build-all $(asan_build)
	$(again) run-specs $(asan_build) LATE=$(or $(PERCENT),10) \
	  SEED=$(or $(SEED),1)

## plain: a build without hiredis, and specs of all that works without it
plain:
	@$(SETUP) test
	$(again) $(jobs) build-all $(plain_build)
	$(again) run-specs $(plain_build) SPEC="spec/binding/plain_spec.lua \
	  spec/binding/lua_presence_spec.lua spec/engine/topic_spec.lua \
	  spec/library_spec.lua"

plain_build = BUILD=build/plain HIREDIS_INCDIR=

## coverage: lines and branches of src that specs reach: [SPEC=...] [KEEP=1]
#   KEEP: beside what runs before have reached; FAULTS=n: and what make faults
#   reaches, n of each kind; build/coverage/report is HTML
coverage:
	@$(SETUP) coverage
	$(again) $(jobs) build-all $(coverage_build)
	@$(if $(KEEP),:,find build/coverage -name '*.gcda' -delete)
	$(again) run-specs $(coverage_build) \
	  BUSTED_FLAGS='$(BUSTED_FLAGS) --exclude-tags=assert'; status=$$?; \
	$(if $(FAULTS),tools/certificate.sh build/certificates/; \
	$(MAKE) --no-print-directory run-faults $(coverage_build) || status=1;) \
	$(LUA) tools/coverage.lua build/coverage && exit $$status

coverage_build = BUILD=build/coverage COVERAGE=1 CFLAGS='-O0 -g'

## mutate: changed lines that specs should notice: [N=20] [SEED=1]
#   [FILES="src/protocol lua/evws/query.lua"] [ALL=1: all specs judge]
mutate:
	@$(SETUP) test
	@ALL="$(ALL)" $(LUA) tools/mutate.lua $(or $(N),20) $(or $(SEED),1) $(FILES)

# Thresholds are low there, so that short inputs get beyond them.
fuzz_build = BUILD=build/fuzz SANITIZE=1 CC=$(FUZZ_CC) CFLAGS='-O2 -g \
  -fsanitize=fuzzer-no-link -fno-sanitize-recover=all $\
  -DSPACE_MIN=64 -DWS_POOL_LEAST=128'

build-core: $(core) ; @:
build-fuzz: $(fuzz_targets) ; @:
build-all: $(core) $(probe) $(load) $(engine) $(floor) ; @:
build-counts: $(core) $(load) $(engine) $(whole) ; @:
build-bench: $(core) $(load) $(engine) $(floor) ; @:

run-specs: $(if $(LATE),$(late))
	@$(lua_env) EVWS_BUILD="$(abspath $(BUILD))" LUA="$(LUA)" \
	  $(LUA) tools/specs.lua $(SPEC) -- \
	  $(if $(SANITIZE),env $(asan_env)) $(busted) $(BUSTED_FLAGS)

## lint: layers, format, static analysis; some: make lint LINT="format lua"
lint:
	@$(SETUP) lint
	@$(LUA) tools/lint.lua $(LINT)

## format: let clang-format rewrite the C files
format:
	@$(SETUP) lint
	@find src spec/probe fuzz bench -name '*.[ch]' | xargs clang-format -i

## peers: clients, servers and a proxy written by others
peers:
	@$(SETUP) peers
	$(again) $(jobs) build-core
	@LUA="$(LUA)" spec/peers/run

## fuzz: the fuzz targets: make fuzz [SECONDS=10] [TARGET=protocol]
fuzz:
	@$(SETUP) fuzz
	@fuzz/run check "$(FUZZ_CC)"
	$(again) $(jobs) build-fuzz $(fuzz_build)
	@LUA="$(LUA)" fuzz/run "$(SECONDS)" $(TARGET)

## conformance: the conformance cases and the peers; writes the page of both
conformance:
	@$(SETUP) test
	@$(SETUP) peers
	$(again) $(jobs) build-all
	@mkdir -p build/conformance
	$(again) run-specs SPEC=spec/conformance_spec.lua BUSTED_FLAGS='-o TAP' \
	  >build/conformance/specs.tap; \
	LUA="$(LUA)" spec/peers/run >build/conformance/peers.log; \
	$(LUA) tools/conformance.lua build/conformance/specs.tap \
	  build/conformance/peers.log docs/conformance.md

# Of the command: what tools/command.lua calls each, and where it is installed.
command_docs = man:man/man1/evws.1 \
  bash:bash-completion/completions/evws \
  zsh:zsh/site-functions/_evws \
  fish:fish/vendor_completions.d/evws.fish
share_files = $(foreach pair,$(command_docs),$(lastword $(subst :, ,$(pair))))

## docs: docs/api.md of library/; the command's man page and completions
docs:
	@$(LUA) tools/docs.lua >docs/api.md.new && mv docs/api.md.new docs/api.md
	@for pair in $(command_docs); do \
	  file="share/$${pair#*:}" && mkdir -p "$$(dirname "$$file")" && \
	  $(LUA) tools/command.lua "$${pair%%:*}" >"$$file.new" && \
	  mv "$$file.new" "$$file" || exit 1; \
	done

## soak: everything at once, for long: make soak SECONDS=600 CONNECTIONS=5000
#   in several processes, by way of Redis: make soak WORKERS=4
#   clients of channels through reloads: make soak RELOADS=10 CONNECTIONS=1000
soak:
	@$(SETUP) run $(if $(WORKERS)$(RELOADS),hiredis redis)
	$(again) $(jobs) build-core
	@ulimit -n 20000 2>/dev/null; exec env $(lua_env) $(LUA) \
	  $(if $(RELOADS),bench/soak_channels.lua $(RELOADS) $(or $(WORKERS),2) \
	    $(or $(CONNECTIONS),1000),$(if $(WORKERS),bench/soak_workers.lua \
	    $(WORKERS),bench/soak.lua) \
	    $(if $(filter file,$(origin SECONDS)),600,$(SECONDS)) \
	    $(or $(CONNECTIONS),$(if $(WORKERS),2000,5000)))

## churn: what stays of connections that come and go: [ROUNDS=100]
#   [CONNECTIONS=10000] [DEFLATE=1]
churn:
	@$(SETUP) run
	$(again) $(jobs) build-bench
	@tools/certificate.sh build/certificates/
	@ulimit -n 20000 2>/dev/null; exec env $(lua_env) \
	  EVWS_BUILD="$(abspath $(BUILD))" LUA="$(LUA)" $(LUA) bench/churn.lua \
	  "$(or $(ROUNDS),100)" "$(or $(CONNECTIONS),10000)" \
	  $(if $(DEFLATE),deflate)

## faults: each allocation and call fails, once and for good: [FAULTS=n]
#   n: of each kind at the most; without, all of them
faults:
	@$(SETUP) asan
	$(again) $(jobs) build-all $(asan_build)
	@tools/certificate.sh build/certificates/
	$(again) run-faults $(asan_build)

# What is preloaded needs Lua's symbols, so nothing but Lua is started with it.
run-faults:
	@exec env $(trial_env) $(subst LD_PRELOAD=$(asan_lib), \
	  LD_PRELOAD=$(asan_lib):$(abspath $(probe)),$(asan_env)) \
	  $(LUA) spec/trials/faults.lua $(FAULTS)

## simulate: random steps against a model: [SEEDS=1000] [SEED=1]
simulate:
	@$(SETUP) test
	$(again) $(jobs) build-all
	@$(trial_env) $(LUA) spec/trials/simulate.lua $(or $(SEEDS),1000) \
	  $(or $(SEED),1)

## hostile: a bystander beside the worst of peers: [SECONDS=5] [LIMIT=ms]
hostile:
	@$(SETUP) test
	$(again) $(jobs) build-all
	@ulimit -n 20000 2>/dev/null; $(trial_env) $(LUA) \
	  spec/trials/hostile.lua $(if $(filter file,$(origin SECONDS)),5,$(SECONDS))

trial_env = $(lua_path)="$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$\
  $(CURDIR)/?.lua;$${$(lua_path):-$${LUA_PATH:-;}}" \
  $(lua_cpath)="$(abspath $(BUILD))/?.so;$\
  $${$(lua_cpath):-$${LUA_CPATH:-;}}" EVWS_BUILD="$(abspath $(BUILD))"

## bench: evws and its peers measured; writes docs/benchmarks.md
#   [UWS=dir with uWebSockets and uSockets] [ROUNDS=8] [SECONDS=1], and for a
#   look, written to build/bench: [CASES="echo-20-16 ..."] [PEERS="evws ..."]
bench:
	@$(SETUP) bench
	$(again) $(jobs) build-bench
	@BUILD="$(BUILD)" LUA="$(LUA)" CC="$(CC)" UWS="$(abspath $(UWS))" \
	  CASES="$(CASES)" PEERS="$(PEERS)" ROUNDS="$(or $(ROUNDS),8)" \
	  SECONDS_EACH="$(if $(filter file,$(origin SECONDS)),1,$(SECONDS))" \
	  bench/run
	@$(LUA) bench/report.lua build/bench/results.txt \
	  $(if $(CASES)$(PEERS),build/bench,docs)

## scale: many processes and a Redis beside what they may cost, two minutes
#   [CASES="echo reload redis"] [WORKERS=4] [CONNECTIONS=10000] [ROUNDS=8]
scale:
	@$(SETUP) run hiredis redis
	$(again) $(jobs) build-bench
	@ulimit -n 20000 2>/dev/null; exec env $(lua_env) \
	  EVWS_BUILD="$(abspath $(BUILD))" CASES="$(CASES)" WORKERS="$(WORKERS)" \
	  CONNECTIONS="$(CONNECTIONS)" ROUNDS="$(ROUNDS)" \
	  SECONDS_EACH="$(if $(filter file,$(origin SECONDS)),1,$(SECONDS))" \
	  $(LUA) bench/scale.lua

## counts: instructions per message against the recorded ones; [RECORD=1]
counts:
	@$(SETUP) counts
	$(again) $(jobs) build-counts
	@BUILD="$(BUILD)" LUA="$(LUA)" CC="$(CC)" \
	  FLAGS="$(if $(filter file,$(origin CFLAGS)),,$(CFLAGS))" \
	  bench/counts/run $(if $(RECORD),record)

## steady: what an echo waits for beside other work, and what a byte costs in
#   messages of any shape, three minutes [CASES="latency bytes"] [ROUNDS=5] [MIB=200]
steady:
	@$(SETUP) run
	$(again) $(jobs) build-bench
	@ulimit -n 20000 2>/dev/null; exec env $(lua_env) \
	  EVWS_BUILD="$(abspath $(BUILD))" CASES="$(CASES)" ROUNDS="$(ROUNDS)" MIB="$(MIB)" \
	  SECONDS_EACH="$(if $(filter file,$(origin SECONDS)),3,$(SECONDS))" \
	  $(LUA) bench/steady.lua

## crowd: what idle connections and many topics cost the others: [IDLE=15000]
crowd:
	@$(SETUP) counts
	$(again) $(jobs) build-counts
	@ulimit -n 20000 2>/dev/null; BUILD="$(BUILD)" LUA="$(LUA)" \
	  IDLE="$(or $(IDLE),15000)" bench/crowd

## pgo: a build that knows what is done most; make PGO=1 install installs it
pgo:
	@$(CC) --version | grep -qi 'clang' && \
	  { echo "make pgo: gcc is needed (CC=gcc)" >&2; exit 2; } || true
	@$(SETUP) pgo
	@find build/pgo -name '*.gcda' -delete 2>/dev/null || true
	$(again) $(jobs) build-bench PGO=train
	@BUILD=build/pgo LUA="$(LUA)" bench/train
	$(again) $(jobs) build-core PGO=1

## dist: the release of what is committed: build/dist/evws-VERSION.tar.gz
dist:
	@tools/dist.sh build/dist

# Installing.

addon_files = config.json $(shell find library -name '*.lua')

# Files, the folder they are in, and where they go.
define put
for file in $(1); do \
  $(INSTALL) -d "$(DESTDIR)$(3)/$$(dirname "$$file")" && \
  $(INSTALL) -m 644 "$(2)/$$file" "$(DESTDIR)$(3)/$$file" || exit 1; \
done
endef
define take
for file in $(1); do rm -f "$(DESTDIR)$(2)/$$file"; done
endef

## install: below PREFIX (and DESTDIR), or INST_LUADIR, INST_LIBDIR and so on
install: $(core)
	@$(call put,$(lua_files),lua,$(INST_LUADIR))
	@$(call put,$(share_files),share,$(INST_SHAREDIR))
	@$(call put,$(addon_files),.,$(INST_SHAREDIR)/evws)
	@$(INSTALL) -d "$(DESTDIR)$(INST_LIBDIR)/evws" "$(DESTDIR)$(INST_BINDIR)"
	@$(INSTALL) -m 755 $(core) "$(DESTDIR)$(INST_LIBDIR)/evws/core.so"
	@sed '1s|.*|#!/usr/bin/env $(LUA)|' bin/evws >$(BUILD)/evws.command
	@$(INSTALL) -m 755 $(BUILD)/evws.command "$(DESTDIR)$(INST_BINDIR)/evws"
	@rm $(BUILD)/evws.command

## uninstall: what install has put there
uninstall:
	@$(call take,$(lua_files),$(INST_LUADIR))
	@$(call take,$(share_files),$(INST_SHAREDIR))
	@$(call take,$(addon_files),$(INST_SHAREDIR)/evws)
	@rm -f "$(DESTDIR)$(INST_LIBDIR)/evws/core.so" \
	  "$(DESTDIR)$(INST_BINDIR)/evws"
	@for folder in "$(INST_LUADIR)" "$(INST_LIBDIR)" "$(INST_SHAREDIR)"; do \
	  find "$(DESTDIR)$$folder/evws" -depth -type d \
	    -exec rmdir '{}' ';' 2>/dev/null || true; \
	done

## clean: remove build/
clean:
	@rm -rf build

## help: this list
help:
	@sed -n 's/^## //p' Makefile
