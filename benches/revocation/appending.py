"""How long it takes to write a revocation down, in each kind of store, and how long a gateway takes to
start with a long list in its own file. Everything runs on whatever core is free."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import gateways
import load
from children import LOCALHOST
from http1 import Connection, HttpError, order
from log import REVOCATIONS
from tokens import ADMIN_TOKEN

NOTE = "From the request to the admin listener until its answer."

REVOKE = Path(__file__).parent / "wrk" / "revoke.lua"
APPENDS = 2000
# As many as the embedded store puts into one transaction.
CONNECTIONS = 256
# The longest that it appends in one go; the latencies are those of the last one.
SLICE_MAX_S = 60
STOP_TIMEOUT_S = 30
# A million lines of it are of no use to anybody.
NO_AUDIT_LOG = "audit_log: { file: /dev/null }\n"


def run(bench, options):
    """Latencies one after another, and the embedded store in bulk."""
    latencies = {"embedded": _one_by_one(bench, gateways.embedded(bench, "appending"))}
    for name, durable in (("Redis that keeps nothing on disk", False), ("Redis, appendfsync always", True)):
        server = gateways.redis(bench, append_only=durable)
        try:
            latencies[name] = _one_by_one(bench, server.store("appending"))
        finally:
            bench.children.kill(server.child)
    return {"latencies": latencies, "appends": APPENDS, **_in_bulk(bench, options.embedded)}


def _one_by_one(bench, store):
    """What a single client waits for, in milliseconds."""
    running = gateways.gateway(bench, store, core=None)
    try:
        connection, took = Connection(running.admin), []
        for number in range(APPENDS):
            request = order(REVOCATIONS, scope="subject", subject=f"nobody-{number}", issuer="rsa")
            begun = time.monotonic()
            status, body = connection.ask(request)
            took.append((time.monotonic() - begun) * 1e3)
            if status != 201:
                raise HttpError(f"a revocation was answered {status}: {body[:200]!r}")
    finally:
        bench.children.kill(running.child)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[int(0.99 * len(took))], "max": took[-1]}


def _in_bulk(bench, entries):
    """Fills a file through the admin listener, then starts gateways with it."""
    store = gateways.embedded(bench, "bulk") + NO_AUDIT_LOG
    print(f"bench: appending {entries:,} revocations to the embedded store", file=sys.stderr)
    running = gateways.gateway(bench, store, core=None)
    try:
        filled = _fill(bench, running.admin, entries)
        starts = {}
        for how, ending in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
            running.child.send_signal(ending)
            running.child.wait(STOP_TIMEOUT_S)
            bench.children.kill(running.child)
            begun = time.monotonic()
            running = gateways.gateway(bench, store, core=None)
            starts[how] = time.monotonic() - begun
        return {"bulk": filled, "starts": starts, "entries": filled["requests"]}
    except subprocess.TimeoutExpired:
        raise load.LoadError("the gateway did not stop") from None
    finally:
        bench.children.kill(running.child)


def _fill(bench, admin, entries):
    """Appends about as many, in a trial second and then for as long as it seems to take."""
    total, seconds = {"requests": 0, "duration_us": 0}, 1
    while total["requests"] < entries:
        words = [bench.tools["wrk"], "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", REVOKE]
        # Some that were sent when a slice ended are in the log, too.
        words += [f"http://{LOCALHOST}:{admin}{REVOCATIONS}", "--", 2 * total["requests"], "rsa", ADMIN_TOKEN]
        slice = load.finish(bench, bench.children.start("wrk", words), seconds)
        total = {**slice, **{name: total[name] + slice[name] for name in total}}
        left, rate = entries - total["requests"], slice["requests"] / slice["duration_us"] * 1e6
        seconds = min(SLICE_MAX_S, max(1, round(left / rate)))
    return total


def targets(result):
    """(work, limit, measured, range, verdict): numbers to know, none of which has a limit."""
    rows = []
    for name, took in result["latencies"].items():
        measured, span = f"p50 {took['p50']:.2f} ms", f"p99 {took['p99']:.2f}, max {took['max']:.2f}"
        rows.append((f"revocation acknowledged, {name}", "", measured, span, ""))
    bulk, count = result["bulk"], f"{result['entries']:,}"
    rate = f"{bulk['requests'] * 1e6 / bulk['duration_us']:,.0f}/s"
    span = f"p50 {bulk['p50_us'] / 1e3:.1f}, p99 {bulk['p99_us'] / 1e3:.1f} ms"
    rows.append((f"{count} revocations, embedded, {CONNECTIONS} connections", "", rate, span, ""))
    for how, took in result["starts"].items():
        rows.append((f"start to ready, embedded, {count} entries, {how} before", "", f"{took:.2f} s", "", ""))
    return rows


def table(result):
    """Nothing that the table of targets does not say."""
    return f"{result['appends']:,} appends to each store, one after another on one connection."
