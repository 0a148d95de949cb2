#!/usr/bin/env bash
# `make run`: a gateway with a small upstream behind it, until Ctrl-C, and commands to try it with.
# `make run-fleet` (scripts/run.sh fleet): two gateways that share a Redis.
#
# With PORTCULLIS_RUN_CHECK=1 it runs those very commands instead, and fails if one of them does
# not do what is printed beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PROGRAM=${CARGO_TARGET_DIR:-target}/debug/portcullis
# As in gateway.yaml.
GATEWAY=127.0.0.1:8080
ADMIN=127.0.0.1:9901
ECHO=127.0.0.1:9001
# What the gateways of a fleet have instead; the Redis is nobody else's.
FLEET_GATEWAYS=(127.0.0.1:8081 127.0.0.1:8082)
FLEET_ADMINS=(127.0.0.1:9911 127.0.0.1:9912)
FLEET_REDIS=127.0.0.1:6399
READY_TIMEOUT_S=30
STOP_TIMEOUT_S=10

MODE=${1:-single} # single or fleet
CHECK=${PORTCULLIS_RUN_CHECK:-}
# The check must reach this machine's own ports, whatever proxy the environment names.
export no_proxy=127.0.0.1

DEMO_PASSWORD=
declare -A CHILDREN=() # name -> process id

# Calls "$1" for each command to try, with: what it shows, the status that it is answered with
# (- for none), a text in its output, the command itself.
commands() {
    "$1" 'Nobody gets in without a token' 401 credential_absent \
        "curl -i http://$GATEWAY/orders/7"
    "$1" 'Make a token that may read orders' - '' \
        "TOKEN=\$($PROGRAM token --key data/dev-private.pem --issuer https://dev.example --audience orders-api --subject alice --scope orders:read --role clerk)"
    "$1" 'With it, the upstream answers with what it received: who is calling, and no token' 200 alice \
        "curl -i -H \"Authorization: Bearer \$TOKEN\" http://$GATEWAY/orders/7"
    "$1" 'Writing needs the scope orders:write' 403 scope_missing \
        "curl -i -X POST -H \"Authorization: Bearer \$TOKEN\" http://$GATEWAY/orders/7"
    "$1" 'A public page needs no token' 200 '' \
        "curl -i http://$GATEWAY/public/hello"
    "$1" 'Log in like a browser: it gets a cookie' 200 csrf_token \
        "curl -i -c data/cookies http://$GATEWAY/auth/login -H 'Content-Type: application/json' -d '{\"username\": \"demo\", \"password\": \"$DEMO_PASSWORD\"}'"
    "$1" 'With the cookie, the upstream learns the same about the caller, and gets no cookie' 200 demo \
        "curl -i -b data/cookies http://$GATEWAY/orders/7"
    "$1" 'An upstream that wants proof gets a token of ours, whatever the caller came with' 200 x-internal-token \
        "curl -i -b data/cookies http://$GATEWAY/profile/me"
    "$1" 'An API key, for those who cannot do OAuth' - pk_ \
        "KEY=\$($PROGRAM api-keys create --subject importer --scope orders:read --expires 1d); echo \$KEY"
    "$1" 'It opens the same route' 200 importer \
        "curl -i -H \"X-Api-Key: \$KEY\" http://$GATEWAY/profile/me"
    "$1" 'Where demo is logged in' - "$(date -u +%Y)" \
        "$PROGRAM sessions list --subject demo"
    "$1" 'Log demo out everywhere, now' - 'confirmed on 1 of 1 gateways' \
        "$PROGRAM sessions end --subject demo --wait 2s"
    "$1" 'The same cookie' 401 session_revoked \
        "curl -i -b data/cookies http://$GATEWAY/orders/7"
    "$1" 'Every decision is counted' - 'slug="scope_missing"' \
        "curl -s http://$ADMIN/metrics | grep portcullis_decisions_total"
    "$1" 'Cut alice off, now; what she holds is of no more use' - 'confirmed on 1 of 1 gateways' \
        "$PROGRAM revoke --subject alice --reason 'lost her laptop' --wait 2s"
    "$1" 'The same token' 401 token_revoked \
        "curl -i -H \"Authorization: Bearer \$TOKEN\" http://$GATEWAY/orders/7"
}

# The same for a fleet.
fleet_commands() {
    local gateway
    "$1" 'Make a token that may read orders' - '' \
        "TOKEN=\$($PROGRAM token --key data/dev-private.pem --issuer https://dev.example --audience orders-api --subject user-42 --scope orders:read)"
    for gateway in "${FLEET_GATEWAYS[@]}"; do
        "$1" "It opens ${gateway#*:}" 200 user-42 \
            "curl -i -H \"Authorization: Bearer \$TOKEN\" http://$gateway/orders/7"
    done
    "$1" 'Cut user-42 off, and wait until every gateway has it' - 'confirmed on 2 of 2 gateways' \
        "$PROGRAM revoke --config data/gateway-1.yaml --subject user-42 --wait 2s"
    for gateway in "${FLEET_GATEWAYS[@]}"; do
        "$1" "It is of no more use on ${gateway#*:}" 401 token_revoked \
            "curl -i -H \"Authorization: Bearer \$TOKEN\" http://$gateway/orders/7"
    done
    "$1" 'Log in on one, with a cookie' 200 csrf_token \
        "curl -i -c data/cookies http://${FLEET_GATEWAYS[0]}/auth/login -H 'Content-Type: application/json' -d '{\"username\": \"demo\", \"password\": \"$DEMO_PASSWORD\"}'"
    "$1" 'It is good for the other, too' 200 demo \
        "curl -i -b data/cookies http://${FLEET_GATEWAYS[1]}/orders/7"
    "$1" 'Log demo out everywhere' - 'confirmed on 2 of 2 gateways' \
        "$PROGRAM sessions end --config data/gateway-1.yaml --subject demo --wait 2s"
    "$1" 'The same cookie' 401 session_revoked \
        "curl -i -b data/cookies http://${FLEET_GATEWAYS[1]}/orders/7"
    token_commands "$1"
    "$1" 'Who follows the log, and how far' - gateway-2 \
        "$PROGRAM gateways --config data/gateway-2.yaml"
    "$1" 'Who is cut off' - user-42 \
        "$PROGRAM revocations list --config data/gateway-2.yaml"
}

# A family of refresh tokens, from login to theft.
token_commands() {
    local one=${FLEET_GATEWAYS[0]} other=${FLEET_GATEWAYS[1]} gateway
    local refresh='-d grant_type=refresh_token -d refresh_token'
    "$1" 'Log in for tokens: a short one, and one to get the next with' - refresh_token \
        "curl -s http://$one/auth/login -d username=demo -d 'password=$DEMO_PASSWORD' -d deliver=tokens | tee data/tokens-1.json"
    "$1" 'Keep the second' - rt_ \
        "REFRESH=\$($(member refresh_token data/tokens-1.json)); echo \$REFRESH"
    "$1" 'Exchange it, on the other gateway' - refresh_token \
        "curl -s http://$other/auth/token $refresh=\$REFRESH | tee data/tokens-2.json"
    "$1" 'And once more, like a second tab or somebody whose answer got lost: the same successor' - same \
        "curl -s http://$one/auth/token $refresh=\$REFRESH | grep -qF \"\$($(member refresh_token data/tokens-2.json))\" && echo the same"
    "$1" 'The new access token' - '' \
        "ACCESS=\$($(member access_token data/tokens-2.json))"
    for gateway in "$one" "$other"; do
        "$1" "It opens ${gateway#*:}" 200 demo \
            "curl -i -H \"Authorization: Bearer \$ACCESS\" http://$gateway/orders/7"
    done
    "$1" 'Exchange the successor, too' - refresh_token \
        "curl -s http://$one/auth/token $refresh=\$($(member refresh_token data/tokens-2.json)) | tee data/tokens-3.json"
    "$1" 'After ten seconds the first one is with a thief, and all that came of the login ends' 400 invalid_grant \
        "sleep 11; curl -i http://$one/auth/token $refresh=\$REFRESH"
    for gateway in "$one" "$other"; do
        "$1" "The access token on ${gateway#*:}" 401 token_revoked \
            "curl -i -H \"Authorization: Bearer \$ACCESS\" http://$gateway/orders/7"
        "$1" "The newest refresh token on ${gateway#*:}" 400 invalid_grant \
            "curl -i http://$gateway/auth/token $refresh=\$($(member refresh_token data/tokens-3.json))"
    done
}

# A command that prints a text member of the JSON in a file.
member() { printf '%s' "sed -n 's/.*\"$1\":\"\([^\"]*\)\".*/\1/p' $2"; }

main() {
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP

    case $MODE in
        single) scripts/install.sh build run ;;
        fleet) scripts/install.sh build run fleet ;;
        *) fail "there is no mode \`$MODE\`" ;;
    esac
    say 'building (the first time takes some minutes)'
    cargo build --locked --bin portcullis
    make_keys
    make_users

    local address addresses=("$ECHO")
    if [[ $MODE == single ]]; then
        addresses+=("$GATEWAY" "$ADMIN")
    else
        addresses+=("${FLEET_GATEWAYS[@]}" "${FLEET_ADMINS[@]}" "$FLEET_REDIS")
    fi
    for address in "${addresses[@]}"; do
        ! answers "$address" || fail "port ${address#*:} is taken by another program: end it, or change the address in gateway.yaml and scripts/run.sh"
    done
    start echo echo --address "$ECHO"
    local commands=commands what="The gateway listens on http://$GATEWAY."
    if [[ $MODE == single ]]; then
        start gateway serve --config gateway.yaml
        wait_ready "$ADMIN"
    else
        commands=fleet_commands FRONT=${FLEET_GATEWAYS[0]}
        what="Two gateways listen on http://${FLEET_GATEWAYS[0]} and http://${FLEET_GATEWAYS[1]}."
        start_fleet
    fi

    if [[ -n $CHECK ]]; then
        "$commands" try
        say 'the commands do what they say'
        return
    fi
    printf '\n%s\n\nOpen http://%s/orders/7 in a browser and log in as demo, password %s\n' \
        "$what" "${FRONT:-$GATEWAY}" "$DEMO_PASSWORD"
    printf 'Log out, here or everywhere: http://%s/auth/sessions\n' "${FRONT:-$GATEWAY}"
    printf '\nPaste these into another terminal, in this directory:\n'
    "$commands" show
    printf '\nCtrl-C stops it. What it logs follows.\n\n'
    trap 'exit 0' INT
    wait -n || true
    fail_if_ended
}

make_keys() {
    mkdir -p data
    # The gateway warns of a data directory that others may look into.
    chmod 700 data
    # With it the gateway encrypts its own signing keys.
    [[ -s data/kek ]] || (umask 077 && head -c 32 /dev/urandom | base64 >data/kek)
    local private=data/dev-private.pem public=data/dev-public.pem
    [[ -s $private && -s $public ]] && return
    rm -f "$private" "$public"
    "$PROGRAM" keys generate --algorithm ES256 --private-key "$private" --public-key "$public"
}

# A user to try the login with. The password is this copy's own.
make_users() {
    local users=data/users.yaml password=data/demo-password
    if [[ ! -s $users || ! -s $password ]]; then
        rm -f "$users" "$password"
        (umask 077 && head -c 9 /dev/urandom | base64 | tr '+/' '-_' >"$password")
        {
            echo 'demo:'
            echo "  password: \"$("$PROGRAM" password hash <"$password")\""
            echo '  roles: [clerk]'
            echo '  scopes: [orders:read]'
            echo '  claims: { email: demo@dev.example }'
        } >"$users"
    fi
    DEMO_PASSWORD=$(<"$password")
}

# A Redis that keeps nothing, and gateways that differ from gateway.yaml in where they listen and
# what they share.
start_fleet() {
    local n config
    spawn redis redis-server --bind "${FLEET_REDIS%:*}" --port "${FLEET_REDIS#*:}" --save ''
    for n in 1 2; do
        config=data/gateway-$n.yaml
        # What they issue is of one issuer.
        sed -e 's#schema=docs#schema=../docs#' -e "s#issuer: http://$GATEWAY#issuer: http://${FLEET_GATEWAYS[0]}#" \
            -e "s/$GATEWAY/${FLEET_GATEWAYS[n - 1]}/" -e "s/$ADMIN/${FLEET_ADMINS[n - 1]}/" \
            -e 's#data/dev-public#dev-public#' -e 's#data/users#users#' -e 's#data/kek#kek#' gateway.yaml >"$config"
        {
            echo "server: { name: gateway-$n }"
            echo "store: { redis: { url: \"redis://$FLEET_REDIS\" } }"
        } >>"$config"
        start "gateway-$n" serve --config "$config"
    done
    for n in 1 2; do wait_ready "${FLEET_ADMINS[n - 1]}"; done
}

# On a terminal the children speak for themselves; a check keeps what they say for a failure.
start() {
    local name=$1
    shift
    spawn "$name" "$PROGRAM" "$@"
}

spawn() {
    local name=$1
    shift
    if [[ -n $CHECK ]]; then
        mkdir -p data
        "$@" >"data/run-$name.log" 2>&1 </dev/null &
    else
        "$@" </dev/null &
    fi
    CHILDREN[$name]=$!
}

wait_ready() {
    local deadline=$((SECONDS + READY_TIMEOUT_S))
    until answers "$ECHO" && [[ $(curl -s -m 2 -o /dev/null -w '%{http_code}' "http://$1/readyz") == 200 ]]; do
        fail_if_ended
        ((SECONDS < deadline)) || fail "not ready after $READY_TIMEOUT_S s"
        sleep 0.1
    done
    fail_if_ended
}

# Whether something takes connections there.
answers() { (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; }

fail_if_ended() {
    local name status
    for name in "${!CHILDREN[@]}"; do
        kill -0 "${CHILDREN[$name]}" 2>/dev/null && continue
        status=0
        wait "${CHILDREN[$name]}" || status=$?
        fail "the $name ended by itself, with status $status"
    done
}

show() {
    local title=$1 status=$2 command=$4
    [[ $status == - ]] || title+=" ($status)"
    printf '\n# %s\n%s\n' "$title" "$command"
}

# Runs one command as printed. In this shell, so that a variable it sets is there for the next.
try() {
    local title=$1 status=$2 text=$3 command=$4 answer=data/run-answer.txt
    say "$command"
    eval "$command" >"$answer" 2>"$answer.error" || {
        cat "$answer" "$answer.error" >&2
        fail "the command failed: $title"
    }
    if [[ $status != - ]] && ! grep -qE "^HTTP/[0-9.]+ $status\b" "$answer"; then
        cat "$answer" >&2
        fail "expected status $status: $title"
    fi
    if [[ -n $text ]] && ! grep -qF -e "$text" "$answer"; then
        cat "$answer" >&2
        fail "expected \"$text\" in the answer: $title"
    fi
    rm -f "$answer" "$answer.error"
}

stop() {
    local status=$? name deadline=$((SECONDS + STOP_TIMEOUT_S))
    trap '' INT TERM HUP
    for name in "${!CHILDREN[@]}"; do kill -TERM "${CHILDREN[$name]}" 2>/dev/null || true; done
    for name in "${!CHILDREN[@]}"; do
        while kill -0 "${CHILDREN[$name]}" 2>/dev/null; do
            if ((SECONDS >= deadline)); then
                say "the $name did not stop within $STOP_TIMEOUT_S s; killing it"
                kill -KILL "${CHILDREN[$name]}" 2>/dev/null || true
                break
            fi
            sleep 0.05
        done
        wait "${CHILDREN[$name]}" 2>/dev/null || true
    done
    exit "$status"
}

say() { printf 'run: %s\n' "$*" >&2; }

fail() {
    local log
    for log in data/run-*.log; do
        [[ -n $CHECK && -s $log ]] || continue
        printf -- '--- end of %s\n' "$log" >&2
        tail -n 15 "$log" >&2
        echo '---' >&2
    done
    say "FAILED: $*"
    exit 1
}

main
