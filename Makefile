# The commands of this repository: `make run` serves Sheaf with its demo, `make test` runs every
# test, `make` lists the others.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))

DEMO := web-demo/dist/index.html
DEMO_SOURCES := $(shell find web-demo/src web-demo/public -type f) \
	web-demo/index.html web-demo/vite.config.js
DEMO_PACKAGES := web-demo/node_modules/.package-lock.json
INTEROP_PACKAGES := tests/interop/node_modules/.package-lock.json
PEERS := $(addprefix $(TARGET_DIR)/peers/,packages y-sweet yrs-warp)
VENV := tests/.venv/installed
VENV_YSWEET := tests/interop/python/y-sweet/.venv/installed

.PHONY: help
help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: tools $(DEMO) ## build everything and serve it on this machine (ARGS="--listen …")
	cargo build --release --locked --package sheaf-server
	exec "$(TARGET_DIR)/release/sheaf" serve $(ARGS)

.PHONY: test
test: tools test-tools $(INTEROP_PACKAGES) $(VENV) $(VENV_YSWEET) build ## install what tests need and run all
	tests/run-all

.PHONY: build
build: tools $(DEMO) ## the debug build that the tests use, with the demo in it
	cargo build --workspace --all-targets --locked

.PHONY: demo
demo: $(DEMO) ## build the web demo

.PHONY: replay
replay: tools build $(INTEROP_PACKAGES) ## replay an editing trace through kill -9 (TRACE=path)
	node tests/interop/replay.mjs --kill $(if $(TRACE),--trace "$(TRACE)")

.PHONY: matrix
matrix: tools build $(INTEROP_PACKAGES) ## run the client matrix and put its table into the README
	node --test --test-reporter=spec --test-timeout=300000 tests/interop/matrix.test.mjs
	node tests/interop/matrix-table.mjs

.PHONY: picture
picture: tools build $(INTEROP_PACKAGES) ## draw docs/images/demo.png anew
	node tests/browser/picture.mjs docs/images/demo.png

.PHONY: fuzz
fuzz: ## fuzz the guard (TARGET=name, else each in turn; FUZZ_SECONDS=60 each)
	tests/run-fuzz "$(or $(FUZZ_SECONDS),60)" $(TARGET)

.PHONY: bench
bench: tools peers ## measure Sheaf beside its floor and its peers, write docs/benchmarks.md (ARGS="--only …")
	cargo build --release --locked --package sheaf-server --package sheaf-loadtest
	"$(TARGET_DIR)/release/sheaf-loadtest" bench $(ARGS)

.PHONY: peers
peers: $(PEERS) ## install the servers that Sheaf is measured beside; what fails is left out

.PHONY: steps
steps: ## what each step of an update's way costs, measured on a release build
	cargo run --quiet --release --locked --package sheaf-tests --bin steps

.PHONY: blobs
blobs: ## what blobs cost beside plain files, measured on a release build
	cargo run --quiet --release --locked --package sheaf-tests --bin blobs

.PHONY: history
history: ## what versions, uploads and the feed cost, measured on a release build
	cargo build --quiet --release --locked --package sheaf-server
	BIN_SHEAF="$(TARGET_DIR)/release/sheaf" node tests/measure/history.mjs

.PHONY: docs
docs: ## write docs/configuration.md anew from the configuration's types
	cargo run --quiet --locked --package sheaf-server -- config schema --markdown > "$(TARGET_DIR)/configuration.md"
	mv "$(TARGET_DIR)/configuration.md" docs/configuration.md

.PHONY: fmt
fmt: ## format the Rust code
	cargo fmt --all

.PHONY: lint
lint: ## format check and lints, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: tools
tools:
	@.ci/check-tools

.PHONY: test-tools
test-tools:
	@.ci/install-test-tools

$(DEMO): $(DEMO_SOURCES) $(DEMO_PACKAGES)
	cd web-demo && npx --no-install vite build

# `npm ci` writes this file last, so it is newer than the lock only when all packages are there.
$(DEMO_PACKAGES) $(INTEROP_PACKAGES): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# The peers that can be had are enough: the benchmark names the others with the reason.
$(TARGET_DIR)/peers/packages: loadtest/peers/package-lock.json
	mkdir -p $(@D)
	-cd loadtest/peers && npm ci --ignore-scripts --no-audit --no-fund && npm rebuild better-sqlite3 \
		&& touch $@

# Builds of their own: other locks, other versions of the same packages.
$(TARGET_DIR)/peers/y-sweet:
	-CARGO_TARGET_DIR="$@.build" cargo install --locked --root "$(@D)" y-sweet@0.9.1 && touch $@
	rm -rf "$@.build"

$(TARGET_DIR)/peers/yrs-warp: $(wildcard loadtest/peers/yrs-warp/src/*.rs) loadtest/peers/yrs-warp/Cargo.lock
	-CARGO_TARGET_DIR="$@.build" cargo install --locked --root "$(@D)" --path loadtest/peers/yrs-warp && touch $@
	rm -rf "$@.build"

$(VENV): tests/interop/python/requirements.txt tests/schema/requirements.txt
$(VENV_YSWEET): tests/interop/python/y-sweet/requirements.txt
$(VENV) $(VENV_YSWEET):
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check $(addprefix --requirement=,$^)
	touch $@
