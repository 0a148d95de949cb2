#!/usr/bin/env python3
"""Measures Portcullis against its peers on this machine: `make bench`, or this file.

The measure is CPU time of the proxy process per request, as a ratio to peers of the same run:
on shared machines requests per second say more about the neighbours than about the proxy.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them

import machine
import proxies
import report
import tokens
from children import Children, NotReady
from load import LoadError
from measure import idle_megabytes, measure, tokens_needed
from proof import NotProven
from rows import ROWS
from upstream import Upstream

ROOT = Path(__file__).resolve().parents[2]
FULL = {"rounds": 5, "seconds": 3, "limit": 12 * 60}
QUICK = {"rounds": 3, "seconds": 1, "limit": 4 * 60}
NEEDED = {"wrk": "wrk", "nginx": "nginx-light", "openssl": "openssl"}


class TimeUp(Exception):
    """The time limit of the whole run has passed."""


class Bench:
    """What a measurement needs to know: where, with what, against which upstream."""

    def __init__(self, options, tools, directory, children):
        self.directory = Path(directory)
        self.children = children
        self.tools = tools
        self.seconds = options.seconds
        self.venv = ROOT / "target" / "bench-venv"
        self.gateway = options.portcullis
        self.proxy_core, self.load_core = machine.two_cores()
        os.sched_setaffinity(0, {self.load_core})
        self.issuers = {
            "rsa": tokens.rsa_issuer(self.directory),
            "ec": tokens.ec_issuer(self.directory),
            "hs": tokens.shared_secret_issuer(),
        }
        self.lists = {}
        self.upstream = Upstream(self)

    def built(self, name):
        """A program of this project's release build."""
        path = ROOT / "target" / "release" / name
        if not os.access(path, os.X_OK):
            raise proxies.Absent(f"target/release/{name} is not built")
        return path

    def portcullis(self):
        """The gateway to measure."""
        if self.gateway is not None:
            return self.gateway
        return self.built("portcullis")

    def single_use(self, issuer):
        """A file of tokens that were not sent yet, minted when first asked for."""
        if issuer not in self.lists:
            path = self.directory / f"{issuer}.tokens"
            count = tokens_needed(self.seconds)
            print(f"bench: minting {count} {self.issuers[issuer].algorithm} tokens", file=sys.stderr)
            tokens.mint_many(self.portcullis(), self.issuers[issuer], count, path)
            self.lists[issuer] = path
        return self.lists[issuer]


def main():
    options = _options()
    tools = _tools()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _time_up)
    signal.alarm(options.limit)

    run = {
        "machine": machine.describe(),
        "seconds": options.seconds,
        "rounds": 0,
        "versions": {},
        "measured": {},  # row -> round -> numbers
        "trouble": {},  # row -> why it has no result
        "idle_megabytes": None,
        "notes": [],
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Children(directory) as children:
        try:
            bench = Bench(options, tools, directory, children)
            _measure_all(bench, options, run)
        except TimeUp:
            run["notes"].append(f"stopped at the time limit of {options.limit} s")
        signal.alarm(0)
    return _finish(options, run)


def _measure_all(bench, options, run):
    started = time.monotonic()
    _guarded(run, "idle memory", lambda: run.update(idle_megabytes=idle_megabytes(bench)))
    for number in range(1, options.rounds + 1):
        round_started = time.monotonic()
        for row in ROWS:
            if row.key not in run["trouble"]:
                _measure_row(bench, run, row, number)
        run["rounds"] = number
        if number == 1:
            run["versions"] = _versions(bench)
        now = time.monotonic()
        if number < options.rounds and now - started + (now - round_started) > options.limit - 15:
            run["notes"].append(f"stopped after {number} of {options.rounds} rounds: time limit")
            return


def _measure_row(bench, run, row, number):
    def one():
        result = measure(bench, row)
        run["measured"].setdefault(row.key, {})[number] = result
        print(
            f"bench: round {number}  {row.proxy}, {row.work}: "
            f"{result['cpu_us_per_request']:.1f} µs/request",
            file=sys.stderr,
        )

    _guarded(run, row.key, one)


def _guarded(run, key, work):
    """Runs `work`; what goes wrong becomes the row's result instead of ending the run."""
    try:
        work()
    except proxies.Absent as reason:
        run["trouble"][key] = f"skipped: {reason}"
    except (NotProven, NotReady, LoadError, tokens.TokenError) as reason:
        run["trouble"][key] = f"**INVALID**: {reason}"
        print(f"bench: !!! {key} is INVALID: {reason}", file=sys.stderr)
    else:
        return
    if not any(key == row.key for row in ROWS):
        run["notes"].append(f"{key}: {run['trouble'][key]}")


def _finish(options, run):
    if run["rounds"] < 3:
        run["notes"].append("fewer than three complete rounds: a trial, nothing to quote")
    path = options.out
    if path is None:
        path = ROOT / "benches" / "results" / f"{machine.label(run['machine'])}.md"
    report.write(run, path)
    print(report.markdown(run))
    print(f"bench: written to {path} and {path.with_suffix('.json').name}", file=sys.stderr)
    return 1 if any("INVALID" in reason for reason in run["trouble"].values()) else 0


def _versions(bench):
    commands = {
        "wrk": ["wrk", "-v"],
        "nginx": ["nginx", "-v"],
        "haproxy": ["haproxy", "-v"],
        "openssl": ["openssl", "version"],
    }
    found = {
        name: machine.first_line([bench.tools[name], *words[1:]])
        for name, words in commands.items()
        if bench.tools.get(name)
    }
    if bench.tools.get("envoy"):
        line = machine.first_line([bench.tools["envoy"], "--version"])
        found["envoy"] = line.rpartition("version: ")[2]
    try:
        found["portcullis"] = machine.first_line([bench.portcullis(), "--version"])
    except proxies.Absent:
        pass
    return found


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s: about 3 minutes")
    parser.add_argument("--rounds", type=int, help="rounds, at least 3 for a result to quote")
    parser.add_argument("--seconds", type=int, help="length of a measurement")
    parser.add_argument("--limit", type=int, help="seconds after which the run ends in any case")
    parser.add_argument("--out", type=Path, help="the Markdown file; the JSON goes beside it")
    parser.add_argument("--portcullis", type=Path, help="another gateway binary than the release build")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _tools():
    # Debian keeps daemons in sbin, which an ordinary user's path may lack.
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    tools = {name: shutil.which(name, path=path) for name in [*NEEDED, "haproxy"]}
    missing = [package for name, package in NEEDED.items() if tools[name] is None]
    if missing:
        raise SystemExit(f"bench: nothing can be measured without: {' '.join(missing)} (Debian packages)")
    return tools


def _stop(*_):
    raise SystemExit(143)


def _time_up(*_):
    raise TimeUp


if __name__ == "__main__":
    sys.exit(main())
