# Each target is one script; this file only names them. ARGS goes to the script:
#   make bench ARGS=--quick        make test ARGS='--test tests runtime'

.PHONY: help run run-fleet test reference screenshot simulate fuzz lint bench bench-revocation bench-session bench-token bench-latency bench-decision bench-instructions build build-pgo clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 20

run: ## start a gateway with a small upstream behind it, and print commands to try
	@scripts/run.sh

run-fleet: ## start two gateways that share a Redis, and print commands to try
	@scripts/run.sh fleet

test: ## run every test
	@scripts/test.sh $(ARGS)

reference: ## write the pages of docs/reference anew from the code
	@UPDATE_EXPECT=1 cargo test --locked --test tests -- reference::

screenshot: ## take the picture of the login page that the README shows
	@scripts/screenshot.sh

simulate: ## hold 2,000 random histories with faults against what is promised (FROM, SEEDS; SEED for one)
	@SEED=$(SEED) SEEDS=$(SEEDS) FROM=$(FROM) WORKERS=$(WORKERS) scripts/simulate.sh

fuzz: ## feed changed answers of upstreams to the fast lane (SECONDS, half an hour; FUZZ_SEED)
	@scripts/install.sh build
	@FUZZ_SECONDS=$(or $(SECONDS),1800) cargo test --locked --lib -- fast_lane::fuzz --nocapture

lint: ## check spelling, format, lints, documentation and dependencies
	@scripts/lint.sh

bench: ## measure the gateway beside nginx, HAProxy and Envoy, its revocations, sessions and tokens (an hour)
	@scripts/bench.sh $(ARGS)

bench-revocation: ## measure revocations alone: cost, propagation, start with a long list
	@scripts/bench.sh revocation $(ARGS)

bench-session: ## measure sessions alone: cost, questions to the store, memory, logging in (five minutes)
	@scripts/bench.sh sessions $(ARGS)

bench-token: ## measure the gateway's own tokens alone: cost of telling upstreams, refreshes (fifteen minutes)
	@scripts/bench.sh tokens $(ARGS)

bench-instructions: ## count instructions per request under callgrind, beside HAProxy (two minutes)
	@scripts/bench.sh instructions $(ARGS)

bench-latency: ## measure how long requests take at half load, beside HAProxy and Envoy (five minutes)
	@scripts/bench.sh latency $(ARGS)

bench-decision: ## measure one decision inside the process, and signing
	@scripts/install.sh build
	cargo bench --locked --bench decision --bench signing -- $(ARGS)

build: ## build target/release/portcullis
	@scripts/install.sh build
	cargo build --release --locked --bin portcullis

build-pgo: ## build target/release/portcullis by a profile of the benchmarks' requests (half an hour)
	@scripts/build-pgo.sh

clean: ## remove what was built; keys in data/ stay
	cargo clean
