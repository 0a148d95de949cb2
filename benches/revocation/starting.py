"""How long a gateway with a long list takes to be ready, and how much memory the list takes."""

import sys
import time
from statistics import median

import gateways
from children import cpu_since_start_us, resident_bytes
from loaded import prove_loaded
from log import REVOKED_SUBJECT, Log
from report import verdict
from rows import GUARDED_PATH

NOTE = """From the start of the process until `/readyz` answers 200, asked every 20 ms; memory one second
later. Nothing is pinned. Medians."""

READY_LIMIT_S = 5
STARTS = 3
# The memory is read when the start's own work has ended.
SETTLE_S = 1
SNAPSHOT = 'portcullis_store_operations_seconds_sum{operation="snapshot",result="ok"}'
FULL, EMPTY = "full", "empty"


def run(bench, options):
    """Starts with all entries in Redis and with none, in turn, on whatever core is free."""
    server = gateways.redis(bench)
    try:
        log = Log(server.client(), FULL)
        before = log.redis.used_memory()
        log.fill(bench.issuers["rsa"].name, options.entries)
        used = log.redis.used_memory() - before
        starts = {FULL: [], EMPTY: []}
        for prefix in starts:
            server.settle(prefix)
        for number in range(1, STARTS + 1):
            for prefix in starts:
                one = _start(bench, server.store(prefix), options.entries if prefix == FULL else 0)
                starts[prefix].append(one)
            ready_s = starts[FULL][-1]["ready_s"]
            print(f"bench: start {number} with {options.entries:,} entries: {ready_s:.2f} s", file=sys.stderr)
        return {"entries": options.entries, "starts": starts, "redis_bytes": used}
    finally:
        bench.children.kill(server.child)


def _start(bench, store, entries):
    begun = time.monotonic()
    running = gateways.gateway(bench, store, core=None)
    ready_s = time.monotonic() - begun
    try:
        return {"ready_s": ready_s, **look_at(bench, running, entries)}
    finally:
        bench.children.kill(running.child)


def look_at(bench, running, entries):
    """What a gateway that has just become ready has used, if it holds what it should."""
    time.sleep(SETTLE_S)
    used = {
        "snapshot_s": gateways.metrics(running.admin)[SNAPSHOT],
        "cpu_us": cpu_since_start_us(running.child.pid),
        "resident_bytes": resident_bytes(running.child.pid),
    }
    if entries:
        prove_loaded(bench, running, GUARDED_PATH, REVOKED_SUBJECT, entries)
    return used


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    ready = _column(result, FULL, "ready_s")
    middle = median(ready)
    entries = f"{result['entries']:,}"
    return [
        (
            f"start to ready with {entries} entries in Redis",
            f"≤ {READY_LIMIT_S} s",
            f"{middle:.2f} s",
            f"{min(ready):.2f}–{max(ready):.2f}",
            verdict(middle <= READY_LIMIT_S),
        ),
        ("resident memory of the gateway per entry", "", f"{_per_entry(result):.0f} bytes", "", ""),
        ("memory of Redis per entry", "", f"{result['redis_bytes'] / result['entries']:.0f} bytes", "", ""),
    ]


def _per_entry(result):
    full, empty = (median(_column(result, prefix, "resident_bytes")) for prefix in (FULL, EMPTY))
    return (full - empty) / result["entries"]


def _column(result, prefix, name):
    return [one[name] for one in result["starts"][prefix]]


def table(result):
    """A line for each way to start."""
    lines = [
        "| entries | start to ready, s | rounds | reading the list, s | CPU, s | resident MB |",
        "| --: | --: | --- | --: | --: | --: |",
    ]
    for prefix, entries in ((FULL, result["entries"]), (EMPTY, 0)):
        ready = _column(result, prefix, "ready_s")
        cells = [
            f"{entries:,}",
            f"{median(ready):.2f}",
            " ".join(f"{one:.2f}" for one in ready),
            f"{median(_column(result, prefix, 'snapshot_s')):.2f}",
            f"{median(_column(result, prefix, 'cpu_us')) / 1e6:.2f}",
            f"{median(_column(result, prefix, 'resident_bytes')) / 1e6:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
