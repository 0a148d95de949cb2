#!/usr/bin/env bash
# `make test`: every test, then the commands that `make run` prints.
# Arguments go to `cargo test`; a part of the tests leaves the commands out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build run test

cargo test --locked "$@"
if [[ $# -eq 0 ]]; then
    # What a proxy does to requests and answers, once more in the general lane.
    PORTCULLIS_TEST_LANE=pingora cargo test --locked --test tests -- \
        edge:: upstream:: security:: gate::forward gate::framing gate::policy gate::revocation \
        gate::session telemetry::access_log telemetry::counting
    PORTCULLIS_RUN_CHECK=1 scripts/run.sh
    PORTCULLIS_RUN_CHECK=1 scripts/run.sh fleet
fi
