#!/usr/bin/env python3
"""Measures what sessions cost and how fast they are: `make bench-session`, or this file.

Parts: serving (CPU per request with a session's cookie), steady (what Redis is asked meanwhile: nothing),
reading (the first request of a session, and its memory), entering (logging in).
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import entering
import reading
import serving
import steady
from parts import Benchmark

BENCHMARK = Benchmark(
    name="sessions",
    title="Session benchmark",
    command="bench-session",
    about=__doc__,
    parts={"serving": serving, "steady": steady, "reading": reading, "entering": entering},
    full={
        "rounds": 5,
        "seconds": 3,
        "sessions": 100_000,
        "requests": 100_000,
        "idle": 5,
        "rate": 2_000,
        "limit": 8 * 60,
    },
    quick={
        "rounds": 1,
        "seconds": 1,
        "sessions": 10_000,
        "requests": 20_000,
        "idle": 2,
        "rate": 2_000,
        "limit": 2 * 60,
    },
    help={
        "rounds": "rounds of serving, at least 3 for a result to quote",
        "seconds": "length of a measurement of serving",
        "sessions": "how many live sessions are many",
        "requests": "over how many requests the commands of Redis are counted, at least",
        "idle": "for how many seconds they are counted without requests",
        "rate": "how many requests a second there are beside logins",
    },
)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
