# What a contributor types. Plain `cargo build` and `cargo test` work too; this adds what they cannot do: install servers and
# clients for the tests, and build the workspaces of the guests.

.DEFAULT_GOAL := help
# The steps of `test` build on each other, and cargo uses all cores by itself.
.NOTPARALLEL:
.PHONY: help demo setup build fmt lint unit test soak fuzz bench

CARGO ?= cargo
WASM := wasm32-unknown-unknown
# End to end tests wait more than they compute, so a few at once are no load; more would slow each other down on two cores.
TEST_THREADS ?= 3

# Where tests/setup.sh puts what it gets from PyPI and npm: the same rule as there.
CACHE := $(or $(TIDEGATE_TEST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate/test-env)

# Guests are workspaces of their own, each with a target directory of its own: in a shared one, cargo takes a crate that the
# other workspace has built for its own, and the compiler then finds two of it.
GUESTS := adapters tests/guests
BUILT := $(or $(CARGO_TARGET_DIR),target)

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Build, then see it work: events flow in, metrics come out (Ctrl-C ends it)
	$(CARGO) run --quiet --bin tidegate -- demo

setup: ## Install what the tests talk to (servers, clients, the Rust target); quick when it is there
	tests/setup.sh

build: ## Build everything
	$(CARGO) build --workspace --bins

fmt: ## Check the formatting
	$(CARGO) fmt --all --check
	@set -e; for guest in $(GUESTS); do $(CARGO) fmt --all --check --manifest-path $$guest/Cargo.toml; done

lint: ## Check with clippy, guests as the host and as WebAssembly
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@set -e; for guest in $(GUESTS); do \
		$(CARGO) clippy --target-dir $(BUILT)/$$guest --manifest-path $$guest/Cargo.toml --workspace --all-targets -- -D warnings; \
		$(CARGO) clippy --target-dir $(BUILT)/$$guest --manifest-path $$guest/Cargo.toml --workspace --lib --target $(WASM) -- -D warnings; \
	done

unit: ## Test without any server: the crates of the host, the SDK, the adapters
	$(CARGO) test
	$(CARGO) test --target-dir $(BUILT)/adapters --manifest-path adapters/Cargo.toml --workspace

# One selection of packages and targets, or cargo would build the engine again with other features.
test: setup fmt lint ## Set up and test everything
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --workspace -- --test-threads=$(TEST_THREADS)
	$(CARGO) test --target-dir $(BUILT)/adapters --manifest-path adapters/Cargo.toml --workspace

# Stories are computed, so the crates here are optimised for them as the dependencies always are; that is built in minutes.
soak: setup ## Kill the server a thousand times under load, and tell five thousand simulated stories (some hours)
	$(CARGO) build --workspace --all-targets
	TIDEGATE_KILLS=1000 $(CARGO) test --workspace --test end_to_end -- kill:: --nocapture
	CARGO_PROFILE_DEV_OPT_LEVEL=3 TIDEGATE_SIM_STORIES=5000 $(CARGO) test --workspace --lib -- sim::story --nocapture

# Only the targets that run components need the engine, which takes minutes to build. The pinned compiler will do: a
# nightly one is for sanitizers (CARGO="cargo +nightly" SANITIZER=address).
TARGET ?= query
SECONDS ?= 300
SANITIZER ?= none
ENGINE := $(if $(filter inspection component calls columns,$(TARGET)),--features engine)

fuzz: ## Fuzz one target with libFuzzer (TARGET=query SECONDS=300); what it finds stays in target/fuzz
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing; install it with: cargo install cargo-fuzz --locked"; exit 1; }
	@mkdir -p $(BUILT)/fuzz/$(TARGET)
	RUSTC_WRAPPER=$(CURDIR)/fuzz/guided/rustc-ours TIDEGATE_FUZZ_SEEDS=$(abspath $(BUILT))/fuzz/$(TARGET) \
		$(CARGO) fuzz run --fuzz-dir fuzz/guided --target-dir $(BUILT)/fuzz-build --sanitizer $(SANITIZER) $(ENGINE) $(TARGET) \
		$(BUILT)/fuzz/$(TARGET) $(wildcard fuzz/corpus/$(TARGET)) -- \
		-max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1

bench: setup ## Measure, each figure beside a peer in the same run (ONLY=ingest for one part, LONG=1 for 20 million events, ROUNDS=6 for more turns of isolation and hostile)
	LONG=$(LONG) ROUNDS=$(ROUNDS) TIDEGATE_BENCH_PYTHON=$(CACHE)/python/bin/python $(CARGO) run --quiet --profile bench --package tidegate-bench -- $(ONLY)
