#!/usr/bin/env bash
# `make bench`: the gateway beside its peers, then its revocations, on this machine.
# `make bench-revocation`, or `scripts/bench.sh revocation`: one of the two (the other is `peers`).
# Arguments go to benches/peers/run.py and benches/revocation/run.py; those that only one of them
# knows need its name first.
# What a decision costs inside the process is another question: `make bench-decision`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PARTS=(peers revocation)
case ${1:-} in
    peers | revocation)
        PARTS=("$1")
        shift
        ;;
esac
if [[ ${#PARTS[@]} -gt 1 && " $*" == *' --out'* ]]; then
    echo 'bench: both parts would write to the same --out: name one, peers or revocation' >&2
    exit 2
fi

scripts/install.sh build bench

cargo build --release --locked --bin portcullis --example bare_proxy
STATUS=0
for part in "${PARTS[@]}"; do
    python3 "benches/$part/run.py" "$@" || STATUS=$?
done
exit "$STATUS"
