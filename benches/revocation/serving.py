"""What revocations cost the requests: CPU time per request as in benches/peers, with a long list and
with none, while revocations arrive and while none do."""

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gateways
from loaded import prove_loaded
from log import FEWEST, REVOKED_SUBJECT, Log
from measure import count, prove
from report import cost, ratio, verdict
from resp import RedisError
from rounds import line, measure_all, middle
from rows import Row, Target

NOTE = """CPU time of the gateway per answered request, {rounds} rounds of {seconds} s, interleaved, as
in the peer benchmark: one worker, pinned to one core; wrk, the upstream, Redis and whoever writes to
it on another. *edge* is the part of the threads that decide and forward, *control* of those that
follow the log. Where none arrive, as many are written to another log, so that all else is the same.
RS256 tokens, all seen before. *busy*: share of its core the gateway used; *others*: share anyone else
used there."""

ARRIVALS = Path(__file__).parent / "arrivals.py"
ARRIVALS_PER_SECOND = 1000
# Enough that a revocation arrives between two uses of any of them, so that each use must look
# whether it is meant.
TOKENS = 2000
# How long a gateway is watched while it serves nothing.
IDLE_S = 5

# The logs. Whoever is to see no arrivals while all else is the same follows FEW while they go to
# ELSEWHERE.
NONE, MANY, FEW, ELSEWHERE = "none", "many", "few", "elsewhere"


@dataclass(frozen=True)
class Case:
    """A row, the log its gateway follows, and the log that is written meanwhile."""

    row: Row
    follows: str
    arrivals: str = None

    @property
    def key(self):
        return self.row.key

    @property
    def work(self):
        return self.row.work


def _case(key, work, follows, arrivals=None, in_turn=0):
    # The gateway is started by `_measure`, which knows the Redis.
    return Case(Row(key, "Portcullis", work, None, "rsa", in_turn=in_turn), follows, arrivals)


CASES = [
    _case("none", "no revocations, one token", NONE),
    _case("many", "{entries:,} revocations, one token", MANY),
    _case("none_turn", "no revocations, {tokens:,} tokens in turn", NONE, in_turn=TOKENS),
    _case("many_turn", "{entries:,} revocations, {tokens:,} tokens in turn", MANY, in_turn=TOKENS),
    _case("quiet", "none arrive, one token", FEW, ELSEWHERE),
    _case("arriving", "{rate:,}/s arrive, one token", FEW, FEW),
    _case("quiet_turn", "none arrive, {tokens:,} tokens in turn", FEW, ELSEWHERE, TOKENS),
    _case("arriving_turn", "{rate:,}/s arrive, {tokens:,} tokens in turn", FEW, FEW, TOKENS),
    _case("both_turn", "{rate:,}/s arrive to {entries:,}, {tokens:,} tokens in turn", MANY, MANY, TOKENS),
]

TARGETS = [
    Target("{entries:,} live revocations vs. none, warm bearer", "many", "none", 1.05),
    Target("the same, {tokens:,} warm bearers in turn", "many_turn", "none_turn", 1.05),
    Target("{rate:,} revocations/s arrive vs. none, warm bearer", "arriving", "quiet", 1.10),
    Target("the same, {tokens:,} warm bearers in turn", "arriving_turn", "quiet_turn", 1.10),
    Target("the same, into a list of {entries:,}", "both_turn", "quiet_turn", 1.10),
]


def run(bench, options):
    """Every case once in each round."""
    server = gateways.redis(bench, core=bench.load_core)
    issuer = bench.issuers["rsa"].name
    try:
        for prefix, entries in ((MANY, options.entries), (FEW, FEWEST)):
            Log(server.client(), prefix).fill(issuer, entries)
        result = {
            "entries": options.entries,
            "idle_commands_per_second": _commands_when_idle(bench, server),
        }
        measure = lambda case, _: _measure(bench, server, case, options.entries)
        work = lambda case: _filled(case.work, options.entries)
        return {**result, **measure_all(CASES, options.rounds, measure, work)}
    finally:
        bench.children.kill(server.child)


def _commands_when_idle(bench, server):
    running = gateways.gateway(bench, server.store(NONE))
    try:
        watch = _Watch(Log(server.client(), NONE))
        time.sleep(IDLE_S)
        return watch.rates()["commands_per_second"]
    finally:
        bench.children.kill(running.child)


def _measure(bench, server, case, entries):
    log, row = Log(server.client(), case.follows), case.row
    with _arrivals(bench, server, case.arrivals):
        running = gateways.gateway(bench, server.store(case.follows))
        try:
            prove(bench, row, running.port)
            if case.follows != NONE:
                held = entries if case.follows == MANY else FEWEST
                prove_loaded(bench, running, row.path, REVOKED_SUBJECT, held)
            watch = _Watch(log)
            result = count(bench, row, running)
            rates = watch.rates()
        finally:
            bench.children.kill(running.child)
    arrived = rates["arrivals_per_second"]
    if case.arrivals == case.follows and arrived < 0.9 * ARRIVALS_PER_SECOND:
        raise RedisError(f"only {arrived:.0f} revocations arrived each second")
    return {**result, **rates}


class _Watch:
    """What happens in Redis from here on."""

    def __init__(self, log):
        self.log = log
        self.begun, self.head, self.commands = time.monotonic(), log.head(), log.redis.commands()

    def rates(self):
        wall_s = time.monotonic() - self.begun
        return {
            "arrivals_per_second": (self.log.head() - self.head) / wall_s,
            # Without our own questions.
            "commands_per_second": (self.log.redis.commands() - self.commands - 3) / wall_s,
        }


@contextmanager
def _arrivals(bench, server, prefix):
    if prefix is None:
        yield
        return
    words = [sys.executable, ARRIVALS, server.port, prefix, bench.issuers["rsa"].name, ARRIVALS_PER_SECOND]
    child = bench.children.start("arrivals", words, core=bench.load_core)
    try:
        yield
        if child.poll() is not None:
            raise RedisError("the program that writes revocations has ended")
    finally:
        bench.children.kill(child)


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    rows = []
    for target in TARGETS:
        # The edge's threads alone: what decides and forwards, without what follows the log.
        for number, what in ((cost, ""), (_edge_cost, ", threads that serve")):
            found = ratio(result, target.measured, target.peer, number)
            if found is None:
                rows.append((_filled(target.work, result["entries"]) + what, "", "", "", "not measured"))
                continue
            middle, low, high = found
            counts = number is cost
            rows.append(
                (
                    _filled(target.work, result["entries"]) + what,
                    f"≤ {target.limit:.2f} ×" if counts else "",
                    f"{middle:.3f} ×",
                    f"{low:.3f}–{high:.3f}",
                    verdict(middle <= target.limit) if counts else "",
                )
            )
    return [*rows, *_commands(result)]


def _commands(result):
    """What a request costs Redis while nothing arrives: what it costs when there is no request."""
    rounds = list(result["measured"]["none"].values())
    if not rounds:
        return []
    busy = middle(rounds, lambda one: one["commands_per_second"])
    idle = result["idle_commands_per_second"]
    requests = middle(rounds, lambda one: one["requests_per_second"])
    extra = max(0.0, busy - idle) / requests
    measured = f"{extra:.4f} ({busy:.0f}/s under load, {idle:.0f}/s idle)"
    return [("Redis commands a request, steady state", "0", measured, "", verdict(extra < 0.001))]


def _edge_cost(result):
    return _thread_cost(result, "edge")


def _thread_cost(result, *names):
    return sum(result["threads_us"].get(name, 0.0) for name in names) / result["requests"]


def table(result):
    """A line for each case."""
    lines = [
        "| work | CPU µs/request | rounds | edge | control | requests/s | busy | others | arrivals/s |",
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: |",
    ]
    work = lambda case: _filled(case.work, result["entries"])
    lines += [line(result, case, 9, _cells, work) for case in CASES]
    return "\n".join(lines)


def _cells(rounds):
    """The cells of a line, behind the first."""
    return [
        f"{middle(rounds, cost):.1f}",
        " ".join(f"{cost(one):.1f}" for one in rounds),
        f"{middle(rounds, _edge_cost):.1f}",
        f"{middle(rounds, lambda one: _thread_cost(one, 'control')):.2f}",
        f"{middle(rounds, lambda one: one['requests_per_second']):,.0f}",
        f"{middle(rounds, lambda one: one['busy']):.0%}",
        f"{middle(rounds, lambda one: one['strangers']):.0%}",
        f"{middle(rounds, lambda one: one['arrivals_per_second']):,.0f}",
    ]


def _filled(text, entries):
    return text.format(entries=entries, tokens=TOKENS, rate=ARRIVALS_PER_SECOND)
