#!/usr/bin/env bash
# Sees to it that the programs a task needs are there: scripts/install.sh build run test lint bench
#
# What is missing is installed from Debian packages (as root, or through a sudo that does not ask);
# where that may not be done, the command to run is printed. Libraries come from scripts/interop.sh.
# Says nothing when nothing is missing, and needs no network then.
set -euo pipefail

CARGO_DENY_VERSION=0.20.2

# Each line: the task, the program that must be found, the Debian packages that bring it.
NEEDS='
build  cc              gcc libc6-dev
build  cmake           cmake
build  make            make
run    curl            curl
test   curl            curl
test   python3         python3
test   python3-venv    python3-venv
test   node            nodejs
test   npm             npm
test   nghttp          nghttp2-client
test   chromium        chromium
test   chromedriver    chromium-driver
fleet  redis-server    redis-server
test   redis-server    redis-server
test   redis-cli       redis-tools
test   redis-sentinel  redis-sentinel
test   faketime        faketime
lint   git             git
lint   python3         python3
lint   python3-venv    python3-venv
bench  wrk             wrk
bench  valgrind        valgrind
bench  h2load          nghttp2-client
bench  nginx           nginx-light
bench  haproxy         haproxy
bench  openssl         openssl
bench  redis-server    redis-server
bench  taskset         util-linux
bench  python3         python3
bench  python3-venv    python3-venv
'
# Packages whose daemon Debian starts; we want the program only.
DAEMONS='nginx-light:nginx haproxy:haproxy redis-server:redis-server redis-sentinel:redis-sentinel'

# Debian keeps daemons in sbin, which an ordinary user's path may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'install: %s\n' "$*" >&2; }

found() {
    case $1 in
        # Debian splits the module that `python3 -m venv` needs from Python itself.
        python3-venv) python3 -c 'import ensurepip' 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# The programs that are missing for the tasks "$@", or with --packages what brings them.
missing() {
    local column=program task program packages
    if [[ $1 == --packages ]]; then
        column=packages
        shift
    fi
    while read -r task program packages; do
        [[ " $* " == *" $task "* ]] || continue
        found "$program" || printf '%s\n' "${!column}"
    done <<<"$NEEDS" | tr ' ' '\n' | sort -u | paste -sd ' '
}

# Runs a command as root, or fails if that would need a password.
as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    command -v apt-get >/dev/null || return 1
    [[ $EUID -eq 0 ]] || sudo -n true 2>/dev/null
}

install_packages() {
    local packages=("$@")
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    say "installing ${packages[*]}"
    local log daemon
    if ! log=$(as_root "${apt[@]}" update 2>&1 </dev/null &&
        as_root "${apt[@]}" install --yes --no-install-recommends "${packages[@]}" 2>&1 </dev/null); then
        printf '%s\n' "$log" >&2
        return 1
    fi
    for daemon in $DAEMONS; do
        [[ " ${packages[*]} " == *" ${daemon%:*} "* ]] && stop_daemon "${daemon#*:}"
    done
    return 0
}

# The package was not there a moment ago, so nobody relies on the daemon it has just started.
stop_daemon() {
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl --quiet disable --now "$1" >&2 || say "could not stop the service $1"
    elif [[ -x /etc/init.d/$1 ]]; then
        as_root "/etc/init.d/$1" stop >/dev/null 2>&1 || true
    fi
}

install_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return
    say "installing cargo-deny $CARGO_DENY_VERSION (compiles for some minutes, once)"
    cargo install --quiet --locked cargo-deny --version "$CARGO_DENY_VERSION" </dev/null || {
        say "cargo-deny is missing. Please run:"
        say "    cargo install --locked cargo-deny --version $CARGO_DENY_VERSION"
        return 1
    }
}

# The spelling checker, from PyPI, as pinned in scripts/typos.txt.
install_typos() {
    local into=target/typos pins=scripts/typos.txt wanted
    # A virtual environment holds its own path, and belongs to one Python.
    wanted=$(echo "$PWD" && python3 --version && cat "$pins")
    [[ ! -f $into/installed || $(<"$into/installed") != "$wanted" ]] || return 0
    say 'installing typos (once)'
    if ! { python3 -m venv --clear "$into" &&
        "$into/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
            --only-binary :all: --requirement "$pins"; } </dev/null; then
        say 'typos cannot be installed: see above. make lint needs PyPI for that, once.'
        return 1
    fi
    printf '%s\n' "$wanted" >"$into/installed"
}

main() {
    local tasks=("$@") task packages
    for task in "${tasks[@]}"; do
        [[ $NEEDS == *$'\n'"$task "* ]] || {
            say "there is no task \`$task\`: build, run, test, lint, bench"
            exit 2
        }
    done
    if ! command -v cargo >/dev/null; then
        say "Rust is missing. See https://rustup.rs, then open a new terminal."
        exit 1
    fi

    packages=$(missing --packages "${tasks[@]}")
    if [[ -n $packages ]]; then
        # Unquoted: one word for each package.
        # shellcheck disable=SC2086
        if ! may_install || ! install_packages $packages; then
            say "missing: $(missing "${tasks[@]}"). Please run (the names are Debian's):"
            say "    sudo apt-get update && sudo apt-get install --yes --no-install-recommends $packages"
            exit 1
        fi
        local left
        left=$(missing "${tasks[@]}")
        if [[ -n $left ]]; then
            say "still not found after installing $packages: $left"
            say "another program of that name may come first in PATH"
            exit 1
        fi
    fi
    [[ " ${tasks[*]} " != *' lint '* ]] || install_cargo_deny
    [[ " ${tasks[*]} " != *' lint '* ]] || install_typos
    [[ " ${tasks[*]} " != *' test '* ]] || scripts/interop.sh
}

main "$@"
