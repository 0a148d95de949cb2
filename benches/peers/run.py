#!/usr/bin/env python3
"""Measures Portcullis against its peers on this machine: `make bench`, or this file.

The measure is CPU time of the proxy process per request, as a ratio to peers of the same run:
on shared machines requests per second say more about the neighbours than about the proxy.
"""

import argparse
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
from bench import ROOT, Bench, TimeUp, end_in_time, find_tools
from children import Children, NotReady
from load import LoadError
from measure import idle_megabytes, measure
from proof import NotProven
from rows import ROWS

FULL = {"rounds": 5, "seconds": 3, "limit": 12 * 60}
QUICK = {"rounds": 3, "seconds": 1, "limit": 4 * 60}


def main():
    options = _options()
    tools = find_tools("haproxy")
    end_in_time(options.limit)

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
    parser.add_argument("--portcullis", type=lambda path: Path(path).resolve(), help="another gateway binary than the release build")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
