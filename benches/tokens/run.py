#!/usr/bin/env python3
"""Measures what the gateway's own tokens cost and how fast they come: `make bench-token`, or this file.

Parts: serving (CPU per request with an internal token for the upstream), granting (the token endpoint:
refreshes, and clients).
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import granting
import serving
from parts import Benchmark

BENCHMARK = Benchmark(
    name="tokens",
    title="Token benchmark",
    command="bench-token",
    about=__doc__,
    parts={"serving": serving, "granting": granting},
    full={"rounds": 5, "seconds": 3, "limit": 25 * 60},
    # No shorter: in 3 s each of the tokens that live for 4 s is made once.
    quick={"rounds": 1, "seconds": 3, "limit": 5 * 60},
    help={
        "rounds": "rounds of each measurement, at least 3 for a result to quote",
        "seconds": "length of each",
    },
)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
