# Each target is one script; this file only names them. ARGS goes to the script:
#   make bench ARGS=--quick        make test ARGS='--test tests lifecycle'

.PHONY: help run test lint bench bench-decision build clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 18

run: ## start a gateway with a small upstream behind it, and print commands to try
	@scripts/run.sh

test: ## run every test
	@scripts/test.sh $(ARGS)

lint: ## check format, lints, documentation and dependencies
	@scripts/lint.sh

bench: ## measure the gateway beside nginx, HAProxy and Envoy (about ten minutes)
	@scripts/bench.sh $(ARGS)

bench-decision: ## measure one decision inside the process
	@scripts/install.sh build
	cargo bench --locked --bench decision -- $(ARGS)

build: ## build target/release/portcullis
	@scripts/install.sh build
	cargo build --release --locked --bin portcullis

clean: ## remove what was built; keys in data/ stay
	cargo clean
