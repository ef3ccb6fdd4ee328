# Short ways into Meson, Ninja and Node. `make help` lists them.
BUILD        ?= build
FUZZ_SECONDS ?= 60
# How many test files of the system tests run at once.
SYSTEM_JOBS  ?= 2

SETUP = meson setup -Dwerror=true
# Instrumented code makes the compiler's flow warnings guess; the plain builds decide.
SETUP_SANITIZED = meson setup -Dwerror=false --buildtype=debug -Doptimization=1 -Db_lundef=false
NINJA = ninja
UNIT  = meson test --no-rebuild --print-errorlogs --suite unit -C

.DEFAULT_GOAL := build
.PHONY: help build release deps demo test test-unit test-system test-asan test-tsan check fuzz soak bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

build: deps $(BUILD)/build.ninja ## build/posthouse, optimised
	$(NINJA) -C $(BUILD)

release: deps ## build-release/posthouse, to install: optimised as one program by a profile of real traffic (five minutes)
	@tools/deps tools/train-packages.txt
	tools/release

deps: ## install what Debian and npm provide; nothing when all is there
	@tools/deps

demo: build ## everything in one process, a target and a connector; real requests; URLs to try
	POSTHOUSE_BIN=$(BUILD)/posthouse tools/demo

test: test-unit test-system ## unit tests, then the real binary with real clients, on both engines

test-unit: build
	$(UNIT) $(BUILD)

test-system: build
	POSTHOUSE_BIN=$(BUILD)/posthouse SYSTEM_JOBS=$(SYSTEM_JOBS) tests/system/run

build-asan: deps build-asan/build.ninja
	$(NINJA) -C build-asan

build-tsan: deps build-tsan/build.ninja
	$(NINJA) -C build-tsan

test-asan: build-asan ## all tests under the address and undefined behaviour sanitizers
	$(UNIT) build-asan
	POSTHOUSE_BIN=build-asan/posthouse SYSTEM_JOBS=$(SYSTEM_JOBS) tests/system/run

test-tsan: build-tsan ## unit tests (loops, pools, inboxes) under the thread sanitizer
	TSAN_OPTIONS=halt_on_error=1 $(UNIT) build-tsan

check: deps build-lint/build.ninja ## format, layers, banned functions, sizes, systemd units; no warning of clang, no finding of clang-tidy
	tools/check-format
	tools/check-layers
	tools/check-style
	tools/check-units
	tools/lint build-lint

fuzz: deps build-fuzz/build.ninja ## every fuzz target for FUZZ_SECONDS (60)
	$(NINJA) -C build-fuzz
	FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz build-fuzz

soak: build ## what takes too long for every change: 10,000 reloads under load (RELOADS=n), timing of credentials
	POSTHOUSE_BIN=$(BUILD)/posthouse tests/system/run --sqlite tests/soak/*.test.mjs

bench: release ## the gateway beside nginx, HAProxy, h2o and Caddy, the relay beside nginx and OpenSSH, attackers beside clients; see docs/benchmarks.md
	@tools/deps tools/bench-packages.txt
	POSTHOUSE_BIN=build-release/posthouse bench/relay
	POSTHOUSE_BIN=build-release/posthouse bench/gateway
	POSTHOUSE_BIN=build-release/posthouse bench/floods

clean: ## remove all builds
	rm -rf build build-release build-asan build-tsan build-fuzz build-lint

$(BUILD)/build.ninja:
	$(SETUP) --buildtype=debugoptimized $(BUILD)

build-asan/build.ninja:
	$(SETUP_SANITIZED) -Db_sanitize=address,undefined build-asan

build-tsan/build.ninja:
	$(SETUP_SANITIZED) -Db_sanitize=thread build-tsan

build-lint/build.ninja:
	CC=clang $(SETUP) --buildtype=debugoptimized build-lint

build-fuzz/build.ninja:
	CC=clang $(SETUP_SANITIZED) -Dfuzz=true -Db_sanitize=address,undefined build-fuzz
