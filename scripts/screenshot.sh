#!/usr/bin/env bash
# `make screenshot`: takes the picture of the login page that the README shows, from the running program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build test
cargo build --quiet --locked
PROGRAM=$PWD/${CARGO_TARGET_DIR:-target}/debug/portcullis
PICTURE=$PWD/docs/images/login.png

directory=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$directory"' EXIT
mkdir -p "${PICTURE%/*}"
cat >"$directory/gateway.yaml" <<'YAML'
listeners: [{ address: 127.0.0.1:18080 }]
admin: { address: 127.0.0.1:19901 }
login: { password_file: users.yaml }
upstreams: { app: { peers: [127.0.0.1:9001] } }
routes: [{ name: home, match: { path: / }, upstream: app, authenticate: [session] }]
YAML
printf 'demo: { password: "%s" }\n' "$(echo secret | "$PROGRAM" password hash)" >"$directory/users.yaml"
"$PROGRAM" serve --config "$directory/gateway.yaml" >/dev/null 2>&1 &
until "$PROGRAM" health --config "$directory/gateway.yaml" >/dev/null 2>&1; do sleep 0.1; done

chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=640,480 \
    --user-data-dir="$directory/browser" --screenshot="$PICTURE" http://127.0.0.1:18080/auth/login 2>/dev/null
ls -l "$PICTURE"
