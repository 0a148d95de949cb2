#!/usr/bin/env bash
# `make build-pgo`: the release build, laid out by what the benchmarks' requests run through (profile-guided
# optimization). Two builds and a run: half an hour on two cores. Without the LLVM tools that match this
# Rust it says so, and makes the plain release build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build

say() { printf 'build-pgo: %s\n' "$*" >&2; }

# The toolchain's own, else Debian's of the same LLVM: another one cannot read the profile.
find_profdata() {
    local sysroot major tool
    sysroot=$(rustc --print sysroot)
    for tool in "$sysroot"/lib/rustlib/*/bin/llvm-profdata; do
        [[ -x $tool ]] && printf '%s\n' "$tool" && return
    done
    major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    command -v "llvm-profdata-$major" && return
    if command -v apt-get >/dev/null && [[ $EUID -eq 0 ]]; then
        say "installing llvm-$major"
        apt-get -qq update >/dev/null 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "llvm-$major" \
            >/dev/null 2>&1 || true
    fi
    command -v "llvm-profdata-$major"
}

build() {
    cargo build --release --locked --bin portcullis "$@"
}

if ! PROFDATA=$(find_profdata); then
    say "no llvm-profdata of the LLVM that rustc -vV names: this is the plain release build"
    say "to get one: rustup component add llvm-tools, or the Debian package llvm-N"
    build
    exit
fi

scripts/install.sh build bench
INTO=$PWD/target/pgo
rm -rf "$INTO/profiles"
mkdir -p "$INTO/profiles"

say 'building a gateway that counts what it runs through'
RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-generate=$INTO/profiles" build --target-dir "$INTO"
say 'sending it what the benchmarks measure'
LLVM_PROFILE_FILE="$INTO/profiles/%m-%p.profraw" python3 benches/instructions/train.py "$INTO/release/portcullis"
"$PROFDATA" merge -o "$INTO/merged.profdata" "$INTO"/profiles/*.profraw
say 'building by what was counted'
RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-use=$INTO/merged.profdata" build
say 'built target/release/portcullis'
