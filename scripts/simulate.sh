#!/usr/bin/env bash
# `make simulate`: random histories of a fleet with faults, and whether any promise is broken.
# SEEDS (2000), FROM (0), WORKERS (8 at once), or SEED for the whole of one history.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build test

export SEEDS=${SEEDS:-2000} FROM=${FROM:-0} WORKERS=${WORKERS:-8} SEED=${SEED:-}
exec cargo test --locked --test tests -- --ignored --nocapture simulation::no_promise_is_broken_in_many
