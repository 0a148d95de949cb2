"""From an acknowledged revocation to its refusal on every gateway of one machine, three of them, that
share a Redis. Twice: while the gateways serve nothing, and while each serves half of what it can.

Two clocks. The gateways' own histogram times every revocation, from when it was written down by the
gateway that took it until it is in force; its numbers are bounds of buckets. Beside it stands what a
client sees of a sample: the time from the acknowledgement to the first refusal of a token that was in
use, on the slowest gateway. That includes the round trip of the request that is refused, which is
measured, too.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import gateways
import load
from children import ALL_CORES
from http1 import Connection, HttpError, get, order
from load import LoadError
from log import REVOCATIONS
from machine import core_busy_us
from report import verdict
from rows import GUARDED_PATH
from tokens import claims

NOTE = """Everything on whatever core is free. Revocations are taken by all gateways in turn and come
at their times whether or not earlier ones were answered. *Written → in force* is the gateways' own
histogram over all revocations, with bounds of buckets, worst gateway. *Seen by a client* is a sample
of tokens that were in use: from the acknowledgement to the answer with the first refusal on the last
gateway to refuse. All gateways are asked without a pause, so that it is exact to a poll's round trip,
which it contains: the truth lies between it and *last admitted*, when the last request that was still
admitted had been sent. Redis keeps nothing on disk here."""

POSTER = Path(__file__).parent / "poster.py"
GATEWAYS = 3
LIMIT_MS = 5
PER_SECOND = 500
SAMPLED_PER_SECOND = 25
# How long each load runs before the first revocation and after the last.
MARGIN_S = 2
CAPACITY_S = 3
# How long the last revocation may take to be everywhere before it counts as lost.
ARRIVAL_TIMEOUT_S = 60
PREFIX = "propagation"
FAMILY = "portcullis_revocation_propagation_seconds"


def run(bench, options):
    """What was measured for each load."""
    # Here everything runs on whatever core is free, as it would on one machine.
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALL_CORES)
    server = gateways.redis(bench)
    fleet = []
    try:
        for number in range(1, GATEWAYS + 1):
            store = server.store(PREFIX)
            fleet.append(gateways.gateway(bench, store, core=None, name=f"portcullis-{number}"))
        token = bench.issuers["rsa"].token()
        alone = _requests_per_second(bench, fleet[:1], token)
        together = _requests_per_second(bench, fleet, token)
        half = [each / 2 for each in together]
        samples = options.revocations * SAMPLED_PER_SECOND // PER_SECOND
        fresh = bench.minted("rsa", 2 * samples).read_text().split()
        loads = {}
        for name, rates, sampled in (("none", None, fresh[:samples]), ("half", half, fresh[samples:])):
            credentials = _warmed(fleet, sampled)
            loads[name] = _measure(bench, fleet, token, rates, credentials, options.revocations)
            said = loads[name]["seen_ms"]
            print(f"bench: propagation, load {name}: p99 {said['p99']:.2f} ms as seen", file=sys.stderr)
        return {"alone": alone, "together": together, "half": half, "loads": loads}
    finally:
        for running in fleet:
            bench.children.kill(running.child)
        bench.children.kill(server.child)
        os.sched_setaffinity(0, pinned)


def _requests_per_second(bench, fleet, token):
    """What each gateway serves when all of these are asked for as much as they can."""
    with _driven(bench, fleet, token, CAPACITY_S) as summaries:
        pass
    return [one["requests"] * 1e6 / one["duration_us"] for one in summaries]


@contextmanager
def _driven(bench, fleet, token, seconds, rates=None):
    """A load for each gateway; the list that this gives is filled when it has ended."""
    started, summaries = [], []
    for number, running in enumerate(fleet):
        rate = None if rates is None else round(rates[number])
        name = f"wrk-{number}"
        started.append(
            load.start(bench, running.port, GUARDED_PATH, seconds, token=token, rate=rate, name=name)
        )
    try:
        yield summaries
    except BaseException:
        for child in started:
            bench.children.kill(child)
        raise
    summaries += [load.finish(bench, child, seconds) for child in started]


def _measure(bench, fleet, token, rates, credentials, count):
    """`count` revocations, most of them by another program and those of `credentials` by this one."""
    seconds, others = count / PER_SECOND, count - len(credentials)
    posted = [PER_SECOND - SAMPLED_PER_SECOND, others, "rsa", *(one.admin for one in fleet)]
    before = [gateways.metrics(running.admin) for running in fleet]

    def revoke_all():
        time.sleep(MARGIN_S)
        busy, begun = core_busy_us(), time.monotonic()
        child = bench.children.start("poster", [sys.executable, POSTER, *posted])
        try:
            seen = _sample(fleet, credentials)
            child.wait(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            raise LoadError("the program that revokes did not end in time") from None
        finally:
            bench.children.kill(child)
        busy = (core_busy_us() - busy) / ((time.monotonic() - begun) * 1e6)
        return seen, child, busy

    summaries = []
    if rates is None:
        seen, child, busy = revoke_all()
    else:
        with _driven(bench, fleet, token, round(seconds + 3 * MARGIN_S), rates) as summaries:
            seen, child, busy = revoke_all()
    written = _posted(child)
    if written["refused"]:
        raise LoadError(f"{written['refused']} revocations were not taken")
    applied = [_applied(running, since, count) for running, since in zip(fleet, before)]
    return {
        "revocations": count,
        "samples": len(credentials),
        "per_second": written["taken"] / written["wall_s"] + SAMPLED_PER_SECOND,
        "reached": [one["requests"] * 1e6 / one["duration_us"] for one in summaries],
        "served_p99_us": [one["p99_us"] for one in summaries],
        "cores_busy": busy,
        "applied": applied,
        "acknowledged_ms": _percentiles(written["answered_ms"] + seen["acknowledged"]),
        "late_ms": _percentiles(written["late_ms"]),
        "seen_ms": _percentiles(seen["refused"]),
        "seen_last_admitted_ms": _percentiles(seen["admitted"]),
        "polls": seen["polls"],
        "round_trip_ms": _percentiles(seen["round_trips"]),
    }


def _warmed(fleet, fresh):
    """(token, `jti`) of tokens that each gateway has admitted already."""
    connections = [Connection(running.port) for running in fleet]
    for token in fresh:
        for connection in connections:
            _expect(connection.ask(get(GUARDED_PATH, load.BEARER + token)), 200)
    return [(token, claims(token)["jti"]) for token in fresh]


def _sample(fleet, credentials):
    """Revokes each credential and asks every gateway until it refuses it."""
    admins = [Connection(running.admin) for running in fleet]
    connections = [Connection(running.port) for running in fleet]
    seen = {"acknowledged": [], "refused": [], "admitted": [], "round_trips": [], "polls": 0}
    begun = time.monotonic()
    for number, (token, jti) in enumerate(credentials):
        due = begun + number / SAMPLED_PER_SECOND
        time.sleep(max(0.0, due - time.monotonic()))
        request, asked = get(GUARDED_PATH, load.BEARER + token), time.monotonic()
        _expect(admins[number % len(admins)].ask(order(REVOCATIONS, scope="token", jti=jti, issuer="rsa")), 201)
        acknowledged = time.monotonic()
        seen["acknowledged"].append((acknowledged - asked) * 1e3)
        polls = _poll(connections, request)
        seen["polls"] += len(polls)
        seen["round_trips"] += [(now - sent) * 1e3 for _, sent, now in polls]
        # In between it came into force on the slowest gateway.
        admitted = max((sent for status, sent, _ in polls if status == 200), default=acknowledged)
        refused = max(now for status, _, now in polls if status == 401)
        seen["admitted"].append((admitted - acknowledged) * 1e3)
        seen["refused"].append((refused - acknowledged) * 1e3)
    return seen


def _poll(connections, request):
    """(status, sent, answered) of each request until all gateways refuse it."""
    polls, waiting = [], connections
    while waiting:
        sent = []
        for connection in waiting:
            sent.append(time.monotonic())
            connection.send(request)
        still = []
        for connection, when in zip(waiting, sent):
            answer = connection.answer()
            polls.append((answer[0], when, time.monotonic()))
            if answer[0] == 200:
                still.append(connection)
            else:
                _expect(answer, 401)
        waiting = still
    return polls


def _expect(answer, status):
    if answer[0] != status:
        raise HttpError(f"answered {answer[0]} instead of {status}: {answer[1][:200]!r}")


def _posted(child):
    try:
        return json.loads(child.log.read_text().splitlines()[-1])
    except (ValueError, IndexError):
        raise LoadError(f"the program that revokes ended with status {child.returncode}") from None


def _applied(running, before, count):
    """{upper bound: observations up to it} of what a gateway has applied since, once that is all."""
    before, give_up = gateways.histogram(before, FAMILY), time.monotonic() + ARRIVAL_TIMEOUT_S
    while True:
        after = gateways.histogram(gateways.metrics(running.admin), FAMILY)
        applied = {bound: after[bound] - before[bound] for bound in after}
        if applied[float("inf")] == count:
            return applied
        if time.monotonic() > give_up:
            raise LoadError(f"a gateway has applied {applied[float('inf')]:.0f} revocations of {count}")
        time.sleep(0.05)


def _percentiles(numbers):
    ordered = sorted(numbers)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return {"p50": at(0.5), "p99": at(0.99), "max": ordered[-1]}


def _bound_ms(buckets, share):
    """The bucket in which this share of the observations is reached, by its upper bound."""
    wanted = share * buckets[float("inf")]
    return 1e3 * next(bound for bound in sorted(buckets) if buckets[bound] >= wanted)


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    half = result["loads"]["half"]
    p50, p99, longest = _bounds_ms(half["applied"])
    in_time = min(buckets[LIMIT_MS / 1e3] / buckets[float("inf")] for buckets in half["applied"])
    seen = half["seen_ms"]
    what = f"{half['revocations']:,} revocations at {half['per_second']:.0f}/s, {GATEWAYS} gateways at half load: "
    limit = f"p99 ≤ {LIMIT_MS} ms"
    return [
        (
            what + "written → in force, slowest gateway",
            limit,
            f"≤ {p99:g} ms ({in_time:.2%} ≤ {LIMIT_MS} ms)",
            f"p50 ≤ {p50:g}, max ≤ {longest:g}",
            verdict(in_time >= 0.99),
        ),
        (
            what + "acknowledged → refused on all, as seen by a client",
            limit,
            f"{seen['p99']:.2f} ms",
            f"p50 {seen['p50']:.2f}, max {seen['max']:.2f}",
            verdict(seen["p99"] <= LIMIT_MS),
        ),
    ]


def _bounds_ms(applied):
    """p50, p99 and longest, each of the gateway where it is worst."""
    return [max(_bound_ms(buckets, share) for buckets in applied) for share in (0.5, 0.99, 1.0)]


def table(result):
    """A line for each load, and what the load was."""
    lines = [
        "| load | written → in force, p50 / p99 / max | seen by a client, p50 / p99 / max "
        "| last admitted, p50 / p99 | a poll's round trip, p50 / p99 | acknowledgement, p50 / p99 | cores busy |",
        "| --- | --- | --- | --- | --- | --- | --: |",
    ]
    for name, one in result["loads"].items():
        cells = [
            name if not one["reached"] else f"{name}: {_rates(one['reached'])} requests/s",
            " / ".join(f"≤ {bound:g} ms" for bound in _bounds_ms(one["applied"])),
            _written(one["seen_ms"], "p50", "p99", "max"),
            _written(one["seen_last_admitted_ms"], "p50", "p99"),
            _written(one["round_trip_ms"], "p50", "p99"),
            _written(one["acknowledged_ms"], "p50", "p99"),
            f"{one['cores_busy']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    said = (
        f"One gateway alone, with Redis, nginx and wrk on the same cores, serves {_rates(result['alone'])} "
        f"requests/s of a warm token; the {GATEWAYS} together {_rates(result['together'])}. Half of the latter "
        f"is what each was asked for ({_rates(result['half'])}): on so few cores half of the former could not "
        "be had by all at once."
    )
    return "\n".join(lines) + "\n\n" + said


def _rates(numbers):
    return " + ".join(f"{number:,.0f}" for number in numbers)


def _written(percentiles, *names):
    return " / ".join(f"{percentiles[name]:.2f}" for name in names) + " ms"
