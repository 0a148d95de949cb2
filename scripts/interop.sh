#!/usr/bin/env bash
# What others wrote and the tests hold the gateway against: libraries in Python and JavaScript, as pinned
# in tests/interop, and the conformance cases for HTTP/2. They go to target/interop; needs the network only
# when the pins have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PINS=tests/interop
INTO=$PWD/target/interop
HTTPWG_CLI_VERSION=0.2.5

say() { printf 'interop: %s\n' "$*" >&2; }

install_python() {
    # Without wheels there would be compilers to install.
    python3 -m venv --clear "$INTO/venv" && "$INTO/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --only-binary :all: --requirement "$PINS/requirements.txt"
}

install_javascript() {
    cp "$PINS"/package{,-lock}.json "$INTO/" && npm ci --prefix "$INTO" --ignore-scripts --no-audit --no-fund --no-update-notifier \
        --loglevel=error >/dev/null
}

# Compiles for a minute.
install_conformance() {
    cargo install --quiet --locked httpwg-cli --version "$HTTPWG_CLI_VERSION" --root "$INTO/httpwg"
}

main() {
    local wanted
    # A virtual environment holds its own path, and belongs to one Python.
    wanted=$(echo "$INTO" "$HTTPWG_CLI_VERSION" && python3 --version && cat "$PINS"/{requirements.txt,package{,-lock}.json})
    mkdir -p "$INTO"
    exec 9>"$INTO/lock"
    flock 9
    [[ ! -f $INTO/installed || $(<"$INTO/installed") != "$wanted" ]] || return 0

    say 'installing PyJWT, Authlib, schemathesis, jose, openid-client and httpwg-cli (once)'
    rm -f "$INTO/installed"
    if ! { install_python && install_javascript && install_conformance; } </dev/null; then
        say 'they cannot be installed: see above. The tests need PyPI, npm and crates.io for that, once;'
        say 'then run make test again.'
        exit 1
    fi
    printf '%s\n' "$wanted" >"$INTO/installed"
}

main
