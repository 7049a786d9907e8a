# The commands of everyday work; each starts real servers and leaves none behind.

CARGO ?= cargo

.PHONY: demo test test-all

# A primary, a replica, a workload and pgvigil on them, until Ctrl-C.
demo:
	scripts/install-servers demo
	$(CARGO) run --release --example demo

# What a change must pass. Advisories are left out: they come by themselves, no change of ours brings them.
test:
	scripts/install-servers 15 18
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) test
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	else echo "note: cargo-deny is not installed, so licences and sources were not checked"; fi

# The same on every PostgreSQL version we support, with the tests that take minutes.
test-all: export PGVIGIL_TEST_PG = 13,14,15,16,17,18
test-all: export PGVIGIL_TEST_LONG = 1
test-all:
	scripts/install-servers 13 14 15 16 17 18
	$(MAKE) test
