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
sys.path.append(str(Path(__file__).resolve().parents[1] / "shared"))

import gateways
import machine
import proxies
import report
from bench import ROOT, Bench, TimeUp, end_in_time, find_tools
from children import Children
from measure import measure, memory
from rounds import measure_all
from rows import ROWS

FULL = {"rounds": 5, "seconds": 3, "limit": 18 * 60}
QUICK = {"rounds": 3, "seconds": 1, "limit": 6 * 60}


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
        "memory": {},
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
    try:
        run["memory"] = memory(bench)
    except gateways.FAULTS as reason:
        run["notes"].append(f"memory: {type(reason).__name__}: {reason}")

    def is_over(number):
        run["rounds"] = number
        if number == 1:
            run["versions"] = _versions(bench)
        # A round that would be broken off counts for nothing.
        a_round = (time.monotonic() - started) / number
        if number == options.rounds or a_round * (number + 1) < options.limit - 15:
            return False
        run["notes"].append(f"stopped after {number} of {options.rounds} rounds: time limit")
        return True

    measure_all(
        ROWS,
        options.rounds,
        lambda row, number: measure(bench, row),
        work=lambda row: f"{row.proxy}, {row.work}",
        result=run,
        is_over=is_over,
    )


def _finish(options, run):
    if run["rounds"] < 3:
        run["notes"].append("fewer than three complete rounds: a trial, nothing to quote")
    path = options.out
    if path is None:
        path = ROOT / "benches" / "results" / f"{machine.label(run['machine'])}.md"
    report.write(run, path)
    print(report.markdown(run))
    print(f"bench: written to {path} and {path.with_suffix('.json').name}", file=sys.stderr)
    # A peer that is not installed is no fault of the run.
    faults = [reason for reason in run["trouble"].values() if not reason.startswith("Absent")]
    return 1 if faults else 0


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
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s: about 5 minutes")
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
