#!/usr/bin/env python3
"""Appends revocations to a log in Redis at a steady rate until it is killed:
arrivals.py REDIS_PORT PREFIX ISSUER RATE

One at a time, not in bunches: that wakes the gateways as often as can be."""

import sys
import time
import uuid
from pathlib import Path

sys.dont_write_bytecode = True
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

from log import ANSWERS, Log, token_record
from resp import Redis

LIFETIME_S = 3600
# How many appends may be without an answer before we wait for the oldest.
UNANSWERED_MAX = 64


def main():
    port, prefix, issuer, rate = sys.argv[1:]
    redis = Redis(int(port))
    log = Log(redis, prefix)
    sequence, unanswered = log.head(), 0
    due = time.monotonic()
    while True:
        sequence += 1
        expires = int(time.time()) + LIFETIME_S
        redis.send(log.append(sequence, token_record(issuer, uuid.uuid4(), expires), expires))
        unanswered += 1
        if unanswered > UNANSWERED_MAX:
            for _ in range(ANSWERS):
                redis.answer()
            unanswered -= 1
        due += 1 / float(rate)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
