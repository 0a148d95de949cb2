"""The first request of a session, which has to be read from the store: once, however many ask at the
same time; what that costs, and how much memory a session takes from then on."""

import os
import signal
import sys
import time
from statistics import median

import gateways
import people
import stored
from children import CpuClock, resident_bytes
from http1 import get
from load import CONNECTIONS, load, load_once
from proof import NotProven
from report import verdict
from together import Together

NOTE = """*At once*: 100 connections ask for one session that was never asked for, 20 times in each of two
ways. *As it comes*: Redis answers when it can, perhaps before the last of them has asked. *Held back*:
Redis is stopped until all are seen to wait. Latency is each one's own, from when it was sent, or from
when Redis goes on.

*Never seen*: each of many sessions is asked for once, by wrk; the gateway is pinned to one core, the
rest to another. Memory is what the resident memory grew by. The sessions in the embedded store have
logged in before, with a gateway that is gone."""

TOGETHER = 100
REPEATS = 20
# The longest that all need to arrive while Redis is stopped.
ARRIVED_S = 0.05
AT_ONCE, MANY = "at-once", "many"
SLOWEST_LIST_S = 120
# The memory is read when the work has ended.
SETTLE_S = 1
# Those in the embedded store have to log in.
EMBEDDED = 2000
EMBEDDED_STARTS = 3
FOUND = 'portcullis_store_operations_seconds_count{operation="find_session",result="ok"}'


def run(bench, options):
    """Both ways of asking at once, and each store."""
    people.write_users(bench)
    server = gateways.redis(bench, core=bench.load_core)
    try:
        at_once = _at_once(bench, server)
        redis = _never_seen_in_redis(bench, server, options.sessions)
    finally:
        bench.children.kill(server.child)
    return {"at_once": at_once, "redis": redis, "embedded": _never_seen_in_a_file(bench)}


def _at_once(bench, server):
    """For each way, the reads of the store for each session, and latencies."""
    client, path = server.client(), bench.directory / "at-once.sessions"
    sessions = stored.fill(client, AT_ONCE, 1 + 2 * REPEATS, path)
    known, *fresh = sessions.secrets.read_text().split()
    running = people.gateway(bench, server.store(AT_ONCE))
    result = {}
    try:
        people.prove(running, known)
        with Together(running.port, TOGETHER, _request(known)) as together:
            for way, ask in (("as it comes", _as_it_comes), ("held back", _held_back)):
                reads, took_ms = [], []
                for secret in fresh[:REPEATS]:
                    before = client.calls()["get"]
                    took_ms += ask(together, server, _request(secret))
                    reads.append(client.calls()["get"] - before)
                del fresh[:REPEATS]
                took_ms.sort()
                result[way] = {"reads": reads, "p50_ms": median(took_ms), "max_ms": took_ms[-1]}
    finally:
        bench.children.kill(running.child)
    return result


def _request(secret):
    return get(people.PATH, people.FIELD + secret)


def _as_it_comes(together, server, request):
    sent = together.send(request)
    return [(answered - sent) * 1e3 for answered, sent in zip(together.answers(), sent)]


def _held_back(together, server, request):
    os.kill(server.child.pid, signal.SIGSTOP)
    try:
        together.send(request)
        time.sleep(ARRIVED_S)
        if together.is_any_answered():
            raise NotProven("a request was answered while the store was stopped")
    finally:
        os.kill(server.child.pid, signal.SIGCONT)
    begun = time.monotonic()
    return [(answered - begun) * 1e3 for answered in together.answers()]


def _never_seen_in_redis(bench, server, count):
    """What it costs to get `count` sessions into memory, and what they occupy there."""
    client, path = server.client(), bench.directory / "never-seen.sessions"
    before = client.used_memory()
    # The first of them is asked for before; as many as there are connections may be left over.
    sessions = stored.fill(client, MANY, 1 + count + 2 * CONNECTIONS, path)
    redis_bytes = client.used_memory() - before
    running = people.gateway(bench, server.store(MANY))
    try:
        people.prove(running, sessions.first())
        warm = {"token": sessions.first(), "field": people.FIELD}
        load(bench, running.port, people.PATH, 1, **warm)
        time.sleep(SETTLE_S)
        resident, reads = resident_bytes(running.child.pid), client.calls()["get"]
        one = _ask_each(bench, running, sessions.list(first=2))
        one["reads"] = client.calls()["get"] - reads
        time.sleep(SETTLE_S)
        one["resident_bytes"] = resident_bytes(running.child.pid) - resident
        one["redis_bytes_each"] = redis_bytes / sessions.count
        held = gateways.metrics(running.admin)["portcullis_session_cache_entries"]
    finally:
        bench.children.kill(running.child)
    if held < one["requests"]:
        raise NotProven(f"{held:.0f} sessions are in memory, not {one['requests']}")
    return one


def _never_seen_in_a_file(bench):
    """The same from a file of the gateway's own, several times."""
    people.write_users(bench, *people.CHEAP)
    store, path = gateways.embedded(bench, "reading"), bench.directory / "file.sessions"
    print(f"bench: {EMBEDDED:,} log in to the embedded store", file=sys.stderr)
    running = people.gateway(bench, store, core=None)
    try:
        secrets = [people.log_in(running.port, number) for number in range(EMBEDDED)]
    finally:
        bench.children.kill(running.child)
    path.write_text("\n".join(secrets) + "\n")
    sessions = stored.Sessions("", path, EMBEDDED)
    rounds = []
    for _ in range(EMBEDDED_STARTS):
        running = people.gateway(bench, store)
        try:
            people.prove(running, sessions.first())
            load(bench, running.port, people.PATH, 1, token=sessions.first(), field=people.FIELD)
            reads = gateways.metrics(running.admin)[FOUND]
            one = _ask_each(bench, running, sessions.list(first=2))
            one["reads"] = gateways.metrics(running.admin)[FOUND] - reads
            rounds.append(one)
        finally:
            bench.children.kill(running.child)
    return rounds


def _ask_each(bench, running, sessions):
    """Asks for each session once; what that took."""
    clock = CpuClock(running.child.pid)
    summary = load_once(bench, running.port, people.PATH, sessions, SLOWEST_LIST_S, field=people.FIELD)
    cpu_us = clock.elapsed_us()
    return {
        # Who asks last does not wait for the answer.
        "sent": summary["issued"],
        "requests": summary["requests"],
        "seconds": summary["list_us"] / 1e6,
        "cpu_us": cpu_us,
        "p50_us": summary["p50_us"],
        "p99_us": summary["p99_us"],
    }


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    rows = []
    for way, one in result["at_once"].items():
        worst = max(one["reads"])
        what = f"first request of a session, {TOGETHER} at once, {way}: reads of the store"
        rows.append((what, "1", f"{worst}", f"{min(one['reads'])}–{worst}", verdict(worst == 1)))
    redis = result["redis"]
    asked, reads = redis["requests"], redis["reads"]
    rows += [
        (f"{asked:,} sessions asked for once: reads of the store", "1 each", f"{reads:,}", "", verdict(asked <= reads <= redis["sent"])),
        (f"resident memory per session, {asked:,} in memory", "", f"{redis['resident_bytes'] / asked:.0f} bytes", "", ""),
        ("memory of Redis per session", "", f"{redis['redis_bytes_each']:.0f} bytes", "", ""),
    ]
    for name, rounds in (("Redis", [redis]), ("embedded", result["embedded"])):
        rate, cost = median(_rate(one) for one in rounds), median(_cost(one) for one in rounds)
        rows.append((f"first requests, {name}, one core", "", f"{rate:,.0f}/s", f"{cost:.1f} CPU µs each", ""))
    return rows


def _rate(one):
    return one["requests"] / one["seconds"]


def _cost(one):
    return one["cpu_us"] / one["requests"]


def table(result):
    """A line for each way to ask at once, and for each time that many were asked for."""
    lines = ["| at once | sessions | reads of each | p50, ms | max, ms |", "| --- | --: | --- | --: | --: |"]
    for way, one in result["at_once"].items():
        reads = " ".join(str(reads) for reads in sorted(set(one["reads"])))
        lines.append(f"| {way} | {len(one['reads'])} | {reads} | {one['p50_ms']:.2f} | {one['max_ms']:.2f} |")
    lines += [
        "",
        "| never seen | sessions | in all, s | requests/s | CPU µs each | busy | p50, ms | p99, ms | reads |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, one in [("Redis", result["redis"]), *(("embedded", one) for one in result["embedded"])]:
        cells = [
            name,
            f"{one['requests']:,}",
            f"{one['seconds']:.2f}",
            f"{_rate(one):,.0f}",
            f"{_cost(one):.1f}",
            f"{one['cpu_us'] / 1e6 / one['seconds']:.0%}",
            f"{one['p50_us'] / 1e3:.2f}",
            f"{one['p99_us'] / 1e3:.2f}",
            f"{one['reads']:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
