#!/usr/bin/env python3
"""Measures what revocations cost and how fast they are: `make bench-revocation`, or this file.

Parts: serving (CPU per request with a long list, and while revocations arrive), starting (with a long
list in Redis), propagation (over three gateways), appending (latency of writing one down).
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import appending
import propagation
import serving
import starting
from parts import Benchmark

BENCHMARK = Benchmark(
    name="revocation",
    title="Revocation benchmark",
    command="bench-revocation",
    about=__doc__,
    # Propagation first: it is the one that a machine which has just worked hard would disturb.
    parts={"propagation": propagation, "serving": serving, "starting": starting, "appending": appending},
    full={
        "rounds": 5,
        "seconds": 3,
        "entries": 1_000_000,
        "embedded": 1_000_000,
        "revocations": 10_000,
        "limit": 25 * 60,
    },
    quick={
        "rounds": 1,
        "seconds": 1,
        "entries": 200_000,
        "embedded": 20_000,
        "revocations": 2_000,
        "limit": 4 * 60,
    },
    help={
        "rounds": "rounds of serving, at least 3 for a result to quote",
        "seconds": "length of a measurement of serving",
        "entries": "how many live revocations a long list has",
        "embedded": "the same in the embedded store",
        "revocations": "how many are followed over three gateways",
    },
)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
