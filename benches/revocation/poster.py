#!/usr/bin/env python3
"""Asks admin listeners, in turn, to revoke at a steady rate that does not wait for answers:
poster.py RATE COUNT ISSUER ADMIN_PORT...  Prints what came of it as JSON."""

import json
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

from http1 import Connection, order
from log import REVOCATIONS

CONNECTIONS_EACH = 8


def main():
    rate, count, issuer, *ports = sys.argv[1:]
    rate, count = float(rate), int(count)
    lanes = [int(port) for port in ports] * CONNECTIONS_EACH
    answered = []
    begun = time.monotonic() + 0.1

    def work(first, connection):
        for number in range(first, count, len(lanes)):
            request = order(REVOCATIONS, scope="subject", subject=f"nobody-{number}", issuer=issuer)
            due = begun + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            status, _ = connection.ask(request)
            now = time.monotonic()
            # From when it was due: who had to wait for a connection waited for an answer, too.
            answered.append((status, (now - due) * 1e3, (sent - due) * 1e3))

    threads = [
        threading.Thread(target=work, args=(first, Connection(port))) for first, port in enumerate(lanes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(
        json.dumps(
            {
                "taken": sum(status == 201 for status, _, _ in answered),
                "refused": sum(status != 201 for status, _, _ in answered),
                "wall_s": time.monotonic() - begun,
                "answered_ms": [round(took, 3) for _, took, _ in answered],
                "late_ms": [round(late, 3) for _, _, late in answered],
            }
        )
    )


if __name__ == "__main__":
    main()
