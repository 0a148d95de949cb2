#!/usr/bin/env bash
# `make bench`: the gateway beside its peers, on this machine. Arguments go to benches/peers/run.py.
# What a decision costs inside the process is another question: `make bench-decision`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build bench

cargo build --release --locked --bin portcullis --example bare_proxy
exec python3 benches/peers/run.py "$@"
