"""What Redis is asked while sessions are used that are in memory: its own account of every command, with
requests and without."""

import time

import gateways
import people
import stored
from load import load, load_once
from report import verdict

NOTE = """`INFO commandstats` of a Redis that one gateway uses, commands inside scripts included, over
{idle} s without requests and over at least {requests:,} requests with 2,000 sessions in turn that had
all been read. What is asked per second whether or not there are requests is no cost of theirs. `zadd`
writes down when sessions were last used: at most twice a second, for all that are due."""

PREFIX = "steady"
SESSIONS = 2000
SLOWEST_LIST_S = 30
# How a session is read; nothing else the gateway does is done with these.
READS = ("get", "zscore")


def run(bench, options):
    """Calls of each command, while idle and under load."""
    people.write_users(bench)
    server = gateways.redis(bench, core=bench.load_core)
    try:
        client = server.client()
        sessions = stored.fill(client, PREFIX, SESSIONS, bench.directory / "steady.sessions")
        running = people.gateway(bench, server.store(PREFIX))
        try:
            what = {"in_turn": sessions.list(), "field": people.FIELD}
            people.prove(running, sessions.first())
            load_once(bench, running.port, people.PATH, sessions.list(), SLOWEST_LIST_S, field=people.FIELD)
            load(bench, running.port, people.PATH, 1, **what)
            idle = _watched(client, lambda: time.sleep(options.idle))
            requests = 0

            def serve():
                nonlocal requests
                while requests < options.requests:
                    requests += load(bench, running.port, people.PATH, options.seconds, **what)["requests"]

            busy = _watched(client, serve)
            return {"requests": requests, "idle": idle, "busy": busy}
        finally:
            bench.children.kill(running.child)
    finally:
        bench.children.kill(server.child)


def _watched(client, work):
    """What Redis was asked meanwhile."""
    before, begun = client.calls(), time.monotonic()
    work()
    after, wall_s = client.calls(), time.monotonic() - begun
    moved = {name: calls - before.get(name, 0) for name, calls in after.items()}
    return {"wall_s": wall_s, "calls": {name: calls for name, calls in moved.items() if calls}}


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    requests, busy = result["requests"], result["busy"]
    reads = sum(busy["calls"].get(name, 0) for name in READS)
    extra = max(0.0, sum(_extra(result, name) for name in busy["calls"])) / requests
    rates = [sum(one["calls"].values()) / one["wall_s"] for one in (busy, result["idle"])]
    return [
        (
            "Redis commands a request, steady state",
            "0",
            f"{extra:.4f} ({rates[0]:.1f}/s under load, {rates[1]:.1f}/s idle)",
            "",
            verdict(extra < 0.001),
        ),
        (f"reads of sessions in Redis during {requests:,} requests", "0", f"{reads}", "", verdict(reads == 0)),
    ]


def _extra(result, name):
    """How often a command was called beyond what it is without requests."""
    idle, busy = result["idle"], result["busy"]
    return busy["calls"].get(name, 0) - idle["calls"].get(name, 0) / idle["wall_s"] * busy["wall_s"]


def table(result):
    """A line for each command that was called."""
    idle, busy = result["idle"], result["busy"]
    lines = ["| command | idle, calls/s | under load, calls/s | beyond idle, per request |", "| --- | --: | --: | --: |"]
    for name in sorted(idle["calls"].keys() | busy["calls"].keys()):
        rates = [one["calls"].get(name, 0) / one["wall_s"] for one in (idle, busy)]
        extra = _extra(result, name) / result["requests"]
        lines.append(f"| {name.replace('|', ' ')} | {rates[0]:.2f} | {rates[1]:.2f} | {extra:.6f} |")
    return "\n".join(lines)
