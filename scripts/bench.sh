#!/usr/bin/env bash
# `make bench`: the gateway beside its peers, then its revocations, sessions and tokens, on this machine.
# `make bench-latency`, `make bench-revocation`, `make bench-session`, `make bench-token`,
# `make bench-instructions`, or `scripts/bench.sh PART`: one of peers, latency, instructions, revocation,
# sessions and tokens.
# Arguments go to benches/<part>/run.py; those that not all of them know need a part's name first.
# What a decision or a signature costs inside the process is another question: `make bench-decision`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PARTS=(peers latency instructions revocation sessions tokens)
case ${1:-} in
    peers | latency | instructions | revocation | sessions | tokens)
        PARTS=("$1")
        shift
        ;;
esac
if [[ ${#PARTS[@]} -gt 1 && " $*" == *' --out'* ]]; then
    echo 'bench: all parts would write to the same --out: name one, peers, latency, instructions, revocation, sessions or tokens' >&2
    exit 2
fi

scripts/install.sh build bench

cargo build --release --locked --bin portcullis --example bare_proxy
STATUS=0
for part in "${PARTS[@]}"; do
    python3 "benches/$part/run.py" "$@" || STATUS=$?
done
exit "$STATUS"
