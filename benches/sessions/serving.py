"""What a session costs the requests: CPU time per request as in benches/peers, with a session's cookie,
without any credential, and with a bearer token."""

from dataclasses import dataclass
from typing import Optional

import gateways
import people
import stored
from load import load_once
from measure import count_load
from proof import prove_forwards, prove_guards, prove_strips, prove_strips_cookie
from report import cost, ratio, verdict
from rounds import line, measure_all, middle
from rows import GUARDED_PATH, PUBLIC_PATH, Target

NOTE = """CPU time of the gateway per answered request, {rounds} rounds of {seconds} s, interleaved, as
in the peer benchmark: one worker, pinned to one core; wrk, the upstream and Redis on another. All have
the same configuration but for the store. What is sent was seen before: one session by logging in, many
by sending each once. Uses of sessions are written down as ever, once in three minutes for each.
*control* is the part of the threads that listen to the store. *busy*: share of its core the gateway
used; *others*: share anyone else used there."""

# More than a processor's first cache holds.
FEW = 2000
SLOWEST_LIST_S = 60


@dataclass(frozen=True)
class Case:
    """A kind of request, and what is behind the gateway that gets it."""

    key: str
    work: str
    path: str = people.PATH
    store: str = "redis"
    sends: str = "session"  # or an issuer's name, whose token is sent, or nothing
    in_turn: Optional[str] = None  # which of the filled sessions are sent


CASES = [
    Case("public", "public route", PUBLIC_PATH, sends="nothing"),
    Case("redis", "session cookie, Redis"),
    Case("embedded", "session cookie, embedded store", store="embedded"),
    Case("few", "{few:,} session cookies in turn, Redis", in_turn="few"),
    Case("many", "{many:,} session cookies in turn, Redis", in_turn="many"),
    Case("public_cookie", "public route, sent a session cookie all the same", PUBLIC_PATH),
    Case("rs256", "RS256 bearer", GUARDED_PATH, sends="rsa"),
    Case("es256", "ES256 bearer", GUARDED_PATH, sends="ec"),
]

LIMIT = 1.05
TARGETS = [
    Target("session cookie vs. public route, Redis", "redis", "public", LIMIT),
    Target("session cookie vs. public route, embedded store", "embedded", "public", LIMIT),
    Target("{few:,} session cookies in turn vs. public route", "few", "public", LIMIT),
    Target("{many:,} session cookies in turn vs. public route", "many", "public", None),
    Target("session cookie vs. public route that is sent it, too", "redis", "public_cookie", None),
    Target("RS256 bearer vs. public route", "rs256", "public", None),
    Target("ES256 bearer vs. public route", "es256", "public", None),
]


def run(bench, options):
    """Every case once in each round."""
    people.write_users(bench)
    server = gateways.redis(bench, core=bench.load_core)
    try:
        client = server.client()
        filled = {
            name: stored.fill(client, name, count, bench.directory / f"{name}.sessions")
            for name, count in (("few", FEW), ("many", options.sessions))
        }
        result = {"few": FEW, "many": options.sessions}
        measure = lambda case, number: _measure(bench, server, filled.get(case.in_turn), case, number)
        work = lambda case: _filled(case.work, result)
        return {**result, **measure_all(CASES, options.rounds, measure, work)}
    finally:
        bench.children.kill(server.child)


def _measure(bench, server, sessions, case, number):
    """One round of a case, with a gateway of its own."""
    if sessions is not None:
        sessions.refresh(server.client())
    if case.store == "embedded":
        store = gateways.embedded(bench, f"serving-{number}")
    else:
        store = server.store("one" if sessions is None else sessions.prefix)
    running = people.gateway(bench, store)
    try:
        what = _prepared(bench, running, case, sessions)
        return count_load(bench, running, case.path, what, what)
    finally:
        bench.children.kill(running.child)


def _prepared(bench, running, case, sessions):
    """What is sent, of which the gateway has been seen to know what it is."""
    if case.sends == "nothing":
        prove_forwards(running.port, case.path)
        prove_strips(running.port, case.path)
        return {}
    if case.sends != "session":
        issuer = bench.issuers[case.sends]
        prove_guards(running.port, case.path, issuer)
        return {"token": issuer.token()}
    if sessions is None:
        secret = people.log_in(running.port)
        what = {"token": secret, "field": people.FIELD}
    else:
        secret = sessions.first()
        what = {"in_turn": sessions.list(), "field": people.FIELD}
        load_once(bench, running.port, case.path, sessions.list(), SLOWEST_LIST_S, field=people.FIELD)
    if case.path == PUBLIC_PATH:
        prove_strips_cookie(running.port, case.path, people.COOKIE, secret)
    else:
        people.prove(running, secret)
    return what


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    rows = []
    for target in TARGETS:
        found = ratio(result, target.measured, target.peer)
        work = _filled(target.work, result)
        limit = "" if target.limit is None else f"≤ {target.limit:.2f} ×"
        if found is None:
            rows.append((work, limit, "", "", "not measured"))
            continue
        middle, low, high = found
        word = "" if target.limit is None else verdict(middle <= target.limit)
        rows.append((work, limit, f"{middle:.3f} ×", f"{low:.3f}–{high:.3f}", word))
    return rows


def table(result):
    """A line for each case."""
    lines = [
        "| work | CPU µs/request | rounds | control | requests/s | p99, ms | busy | others |",
        "| --- | --: | --- | --: | --: | --: | --: | --: |",
    ]
    work = lambda case: _filled(case.work, result)
    lines += [line(result, case, 8, _cells, work) for case in CASES]
    return "\n".join(lines)


def _cells(rounds):
    """The cells of a line, behind the first."""
    return [
        f"{middle(rounds, cost):.1f}",
        " ".join(f"{cost(one):.1f}" for one in rounds),
        f"{middle(rounds, lambda one: one['threads_us'].get('control', 0.0) / one['requests']):.2f}",
        f"{middle(rounds, lambda one: one['requests_per_second']):,.0f}",
        f"{middle(rounds, lambda one: one['p99_us']) / 1e3:.2f}",
        f"{middle(rounds, lambda one: one['busy']):.0%}",
        f"{middle(rounds, lambda one: one['strangers']):.0%}",
    ]


def _filled(text, result):
    return text.format(few=result["few"], many=result["many"])
