# The commands of everyday work; each starts real servers and leaves none behind.

CARGO ?= cargo

.PHONY: advisories bench boards demo docs fuzz live-fire soak test test-all test-release

# A primary, a replica, a PgBouncer, a Redis, a workload, backups, pgvigil on them and Prometheus reading it, until Ctrl-C.
demo:
	@echo "make demo: 1. installs what is missing of PostgreSQL 15, PgBouncer, Redis, pgBackRest, Prometheus and Alertmanager"
	@echo "              (by apt, as root or with sudo; none is left running);"
	@echo "           2. builds pgvigil in target/demo (550 MB): the first time about 3 minutes on two cores, later seconds;"
	@echo "           3. starts it all, in 10 to 20 seconds, says what to look at, and runs until Ctrl-C."
	@echo "           Packages and target/ stay; everything else goes when it ends."
	scripts/install-servers demo
	$(CARGO) run --locked --profile demo -p pgvigil-tools --bin demo

# Grafana's dashboards, dashboards/*.json, from what is written in dashboards/boards/; the next build puts them into the program.
boards:
	$(CARGO) run --locked --quiet -p pgvigil-tools --bin pgvigil-tools -- boards

# The documentation as a site, in target/book, as book.toml and docs/SUMMARY.md say.
docs:
	@command -v mdbook >/dev/null || { echo "mdbook is missing: cargo install mdbook --locked, or put its binary on your path"; exit 1; }
	mdbook build
	@echo "open target/book/index.html"

# Most tests wait for servers, so on two cores four at a time are done in two thirds of the time.
export RUST_TEST_THREADS ?= $(shell cores=$$(nproc); echo $$((cores > 4 ? cores : 4)))

# What a change must pass. Advisories are left out: they come by themselves, no change of ours brings them.
test:
	@echo "make test: takes about 10 minutes on two cores, 3 of them compiling; the first time some minutes more, to install servers."
	scripts/install-servers 15 18 helm
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --workspace -- $(TEST_FLAGS)
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	else echo "note: cargo-deny is not installed, so licences and sources were not checked"; fi

# Known vulnerabilities of our dependencies: cargo-deny fetches the list of them.
advisories:
	$(CARGO) deny check advisories

# The same on every PostgreSQL version we support, with the tests that `make test` ignores; and optimised, since a compiler can be wrong
# there alone. The optimisation across crates takes minutes more, and is left to a release.
test-all: export PGVIGIL_TEST_PG = 13,14,15,16,17,18
test-all: export PGVIGIL_TEST_LONG = 1
test-all:
	scripts/install-servers 13 14 15 16 17 18 packages helm moto pint prometheus promtool
	$(MAKE) test TEST_FLAGS=--include-ignored
	$(MAKE) test-release
	@if docker info >/dev/null 2>&1; then scripts/release-image pgvigil-test && scripts/check-image pgvigil-test && scripts/check-compose; \
	else echo "note: Docker is not running, so neither the image nor compose.yaml was tried"; fi

# The quick form of the tests that run the whole program, on an optimised one.
test-release: export PGVIGIL_TEST_PG = 15,18
test-release: export PGVIGIL_TEST_LONG = 0
test-release:
	scripts/check-compiler
	$(CARGO) test --locked --release --config profile.release.lto=false --config profile.release.codegen-units=16 --lib
	$(CARGO) test --locked --release --config profile.release.lto=false --config profile.release.codegen-units=16 --test all -- \
	    faults live databases tables statements http scale

# Bytes of every kind for everything that is read from strangers, for so many minutes: with plain chance, and towards what was not reached
# yet where cargo-fuzz is installed.
fuzz: MINUTES ?= 60
fuzz:
	PGVIGIL_FUZZ_SECONDS=$$(($(MINUTES) * 60)) $(CARGO) test --locked --test all -- --nocapture fuzz::
	@if $(CARGO) fuzz --version >/dev/null 2>&1; then \
	    for target in $$($(CARGO) fuzz list); do $(CARGO) +nightly fuzz run $$target -- -max_total_time=$$(($(MINUTES) * 60)) -max_len=32768 || exit 1; done; \
	else echo "note: cargo-fuzz is not installed, so inputs were chosen by chance alone"; fi

# Every alert that a fault can bring within seconds, from the fault to the webhook, and resolved again; part of test-all.
# `make live-fire PGVIGIL_TEST_FIRE=sessions,pool` for some rounds of tests/rules/fire/rounds.
live-fire: export PGVIGIL_TEST_PG ?= 15
live-fire: export PGVIGIL_TEST_LONG = 1
live-fire:
	scripts/install-servers 15 prometheus
	$(CARGO) test --locked --test all -- --nocapture rules::fire

# What pgvigil costs on a server of a chosen size, beside other exporters where they are installed: docs/costs.md.
# `make bench ARGS='--tables 10000'`, `make bench ARGS='--databases 100 --tables 20 --peers DIR'`.
bench:
	scripts/install-servers 15
	$(CARGO) build --locked --release
	$(CARGO) run --locked --quiet --example compare -- $(ARGS)

# Scrapes for an hour while all that is watched is broken at random, and what had grown, stayed down or fallen by the end: docs/reliability.md.
# `make soak MINUTES=10 ARGS='--tables 2000'`.
soak: export MINUTES ?= 60
soak:
	scripts/install-servers demo
	$(CARGO) build --locked --release
	$(CARGO) run --locked --quiet --example soak -- $(ARGS)
