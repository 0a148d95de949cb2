#!/usr/bin/env python3
"""Measures what revocations cost and how fast they are: `make bench-revocation`, or this file.

Parts: serving (CPU per request with a long list, and while revocations arrive), starting (with a long
list in Redis), propagation (over three gateways), appending (latency of writing one down).
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))

import appending
import gateways
import machine
import propagation
import serving
import starting
import summary
from bench import NEEDED, ROOT, Bench, TimeUp, end_in_time, find_tools
from children import Children

# Propagation first: it is the one that a machine which has just worked hard would disturb.
PARTS = {"propagation": propagation, "serving": serving, "starting": starting, "appending": appending}
FULL = {
    "rounds": 5,
    "seconds": 3,
    "entries": 1_000_000,
    "embedded": 1_000_000,
    "revocations": 10_000,
    "limit": 25 * 60,
}
QUICK = {
    "rounds": 1,
    "seconds": 1,
    "entries": 200_000,
    "embedded": 20_000,
    "revocations": 2_000,
    "limit": 4 * 60,
}


def main():
    options = _options()
    tools = find_tools(needed={**NEEDED, "redis-server": "redis-server"})
    end_in_time(options.limit)
    run = {
        "machine": machine.describe(),
        "load_average": os.getloadavg()[0],
        "options": {name: getattr(options, name) for name in FULL},
        "versions": {},
        "parts": {},  # part -> what it measured
        "trouble": {},  # part -> why it has no result
        "notes": [],
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Children(directory) as children:
        try:
            bench = Bench(options, tools, directory, children)
            run["versions"] = {
                "portcullis": machine.first_line([bench.portcullis(), "--version"]),
                "redis": machine.first_line([tools["redis-server"], "--version"]).split(" sha=")[0],
            }
            for name in options.only or PARTS:
                _measure(bench, options, run, name)
        except TimeUp:
            run["notes"].append(f"stopped at the time limit of {options.limit} s")
        signal.alarm(0)
    return _finish(options, run)


def _measure(bench, options, run, name):
    """What goes wrong becomes the part's result instead of ending the run."""
    print(f"bench: {name}", file=sys.stderr)
    try:
        result = run["parts"][name] = PARTS[name].run(bench, options)
        run["trouble"].update({f"{name}, {key}": why for key, why in result.get("trouble", {}).items()})
    except gateways.FAULTS as reason:
        run["trouble"][name] = f"{type(reason).__name__}: {reason}"
        print(f"bench: !!! {name} is INVALID: {run['trouble'][name]}", file=sys.stderr)


def _finish(options, run):
    if any(getattr(options, name) < FULL[name] for name in FULL if name not in ("limit", "rounds")):
        run["notes"].append("smaller or shorter than it should be: a trial, nothing to quote")
    if options.rounds < 3:
        run["notes"].append("fewer than three rounds: a trial, nothing to quote")
    path = options.out
    if path is None:
        path = ROOT / "benches" / "results" / f"{machine.label(run['machine'])}-revocation.md"
    text = summary.write(run, PARTS, path)
    print(text)
    print(f"bench: written to {path} and {path.with_suffix('.json').name}", file=sys.stderr)
    return 1 if run["trouble"] else 0


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"one of: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="a trial of about two minutes")
    parser.add_argument("--rounds", type=int, help="rounds of serving, at least 3 for a result to quote")
    parser.add_argument("--seconds", type=int, help="length of a measurement of serving")
    parser.add_argument("--entries", type=int, help="how many live revocations a long list has")
    parser.add_argument("--embedded", type=int, help="the same in the embedded store")
    parser.add_argument("--revocations", type=int, help="how many are followed over three gateways")
    parser.add_argument("--limit", type=int, help="seconds after which the run ends in any case")
    parser.add_argument("--out", type=Path, help="the Markdown file; the JSON goes beside it")
    parser.add_argument("--portcullis", type=Path, help="another gateway binary than the release build")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
