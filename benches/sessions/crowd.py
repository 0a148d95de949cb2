#!/usr/bin/env python3
"""People who log in, each again and again as soon as he is answered: crowd.py PORT PEOPLE SECONDS
Prints what came of it as JSON."""

import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import people
from http1 import Connection

NICE = 19


def main():
    port, count, seconds = map(int, sys.argv[1:])
    # Whoever is measured beside this must not wait for it, but for the gateway.
    os.nice(NICE)
    answered = []
    until = time.monotonic() + seconds

    def insist(number):
        connection = Connection(port)
        while time.monotonic() < until:
            begun = time.monotonic()
            status, _ = connection.ask(people.login(number))
            answered.append((status, (time.monotonic() - begun) * 1e3))
            number += count

    threads = [threading.Thread(target=insist, args=(number,)) for number in range(count)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(
        json.dumps(
            {
                "wall_s": time.monotonic() - begun,
                "statuses": Counter(status for status, _ in answered),
                "took_ms": sorted(round(took, 3) for status, took in answered if status == 200),
            }
        )
    )


if __name__ == "__main__":
    main()
