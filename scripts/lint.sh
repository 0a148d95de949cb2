#!/usr/bin/env bash
# `make lint`: spelling, format, lints, documentation, dependencies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build lint

# Words that are right and unknown stand in _typos.toml, with a reason.
target/typos/bin/typos --format brief
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
cargo deny --locked check bans licenses sources

# The database lives on a server that is not always in reach. Without it nothing can be said;
# with it, an advisory is an error.
if fetched=$(timeout 300 cargo deny --locked fetch db 2>&1); then
    cargo deny --locked check advisories
else
    printf '%s\n' "$fetched" >&2
    echo 'lint: ADVISORIES WERE NOT CHECKED: the advisory database cannot be fetched (see above)' >&2
fi
