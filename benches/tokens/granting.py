"""How fast the token endpoint is: refresh tokens that are exchanged, each for the next, and access
tokens for clients."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import gateways
import issuing
import load
import people
from children import LOCALHOST
from measure import WARM_UP_S, counted
from report import cost
from rounds import line, measure_all, middle, of

NOTE = """{rounds} rounds of {seconds} s, interleaved, each with a new gateway and a new store. The gateway is
pinned to one core; wrk and Redis to another. *Refresh*: whoever asks has a login of his own, and
exchanges his refresh token for the next one as soon as that is there; each answer brings an access token
(ES256), too. *Client credentials*: one client by its secret (argon2id, seen before), asked for an access
token. Latency is each request's own, as wrk sees it in a closed loop. *CPU*: of the gateway, for each
answer. *busy*: share of its core the gateway used; *others*: share anyone else used there."""

ASK = Path(__file__).parent / "wrk" / "ask.lua"
MANY = 64
REFRESHES = "portcullis_refreshes_total{"
ISSUED = "portcullis_tokens_issued_total{"


@dataclass(frozen=True)
class Case:
    """Who asks for what, and where it is kept."""

    grant: str
    store: str
    asking: int  # how many ask at the same time

    @property
    def key(self):
        return f"{self.grant}-{self.store}-{self.asking}"

    @property
    def work(self):
        return f"{GRANTS[self.grant]}, {STORES[self.store]}, {self.asking} at a time"


GRANTS = {"refresh": "refresh", "client": "client credentials"}
STORES = {
    "embedded": "embedded store",
    "redis": "Redis that keeps nothing on disk",
    "durable": "Redis, appendfsync always",
}
CASES = [Case("refresh", store, asking) for store in STORES for asking in (1, MANY)]
CASES += [Case("client", "redis", asking) for asking in (1, MANY)]


def run(bench, options):
    """Every case once in each round."""
    issuing.write_files(bench, *people.CHEAP)
    return measure_all(CASES, options.rounds, partial(_measure, bench), said=_said)


def _said(one):
    return f"{one['requests_per_second']:,.0f}/s, {cost(one):.1f} µs each"


def _measure(bench, case, number):
    """One round of a case, with a gateway and a store of its own."""
    with _store(bench, case.store, f"{case.key}-{number}") as (store, redis):
        running = issuing.gateway(bench, store)
        try:
            if case.grant == "refresh":
                issuing.prove_refreshes(running)
                # Which tokens are good when wrk has stopped nobody knows: the last answers are lost.
                words = [("refresh", _logins(bench, running, case, half)) for half in ("first", "second")]
            else:
                issuing.prove_grants(running)
                words = [("grant", issuing.basic())] * 2
            _ask(bench, running, case, WARM_UP_S, words[0])
            before, calls = gateways.metrics(running.admin), _calls(redis)
            one = counted(bench, running, lambda: _ask(bench, running, case, bench.seconds, words[1]))
            one["redis_calls"] = _calls(redis) - calls
            _prove_counted(case, before, gateways.metrics(running.admin), one)
            return one
        finally:
            bench.children.kill(running.child)


@contextmanager
def _store(bench, kind, name):
    """What a gateway's configuration says about its store, and the connection to a Redis."""
    if kind == "embedded":
        yield gateways.embedded(bench, name), None
        return
    server = gateways.redis(bench, core=bench.load_core, append_only=kind == "durable")
    try:
        yield server.store(name), server.client()
    finally:
        bench.children.kill(server.child)


def _calls(redis):
    return 0 if redis is None else sum(redis.calls().values())


def _logins(bench, running, case, half):
    """A file of a refresh token for each who asks."""
    path = bench.directory / f"{half}.refresh-tokens"
    path.write_text("\n".join(issuing.refresh_tokens(running, case.asking)) + "\n")
    return path


def _ask(bench, running, case, seconds, words):
    """wrk's summary."""
    url = f"http://{LOCALHOST}:{running.port}{issuing.TOKEN}"
    words = [bench.tools["wrk"], "-t1", f"-c{case.asking}", f"-d{seconds}s", "-s", ASK, url, "--", *words]
    child = bench.children.start("wrk", words, core=bench.load_core)
    try:
        return load.finish(bench, child, seconds)
    except load.LoadError as reason:
        refused = [line for line in child.log.read_text().splitlines() if line.startswith("REFUSED ")]
        raise load.LoadError(f"{reason}; {refused[0]}" if refused else str(reason)) from None


def _prove_counted(case, before, after, one):
    """The gateway has done as often what it was asked for, and nothing else."""
    family = REFRESHES if case.grant == "refresh" else ISSUED
    moved = {name: after[name] - before.get(name, 0) for name in after if name.startswith(family)}
    moved = {name: count for name, count in moved.items() if count}
    # Each connection may have an answer that wrk did not wait for, now and in the warm-up.
    if len(moved) != 1 or not one["requests"] <= sum(moved.values()) <= one["requests"] + 2 * case.asking:
        raise load.LoadError(f"{one['requests']} requests were answered, and the gateway counts {moved}")


def targets(result):
    """(work, limit, measured, range, verdict): numbers to know, none of which has a limit."""
    rows = []
    for case in CASES:
        rounds = of(result, case)
        if not rounds:
            rows.append((f"{case.work}, one core", "", "", "", "not measured"))
            continue
        rate, p99 = (_spread(rounds, number) for number in (_rate, _p99_ms))
        measured = f"{rate[0]:,.0f}/s, p99 {p99[0]:.1f} ms"
        span = f"{rate[1]:,.0f}–{rate[2]:,.0f}/s, p99 {p99[1]:.1f}–{p99[2]:.1f} ms"
        rows.append((f"{case.work}, one core", "", measured, span, ""))
    return rows


def _spread(rounds, number):
    numbers = [number(one) for one in rounds]
    return median(numbers), min(numbers), max(numbers)


def _rate(one):
    return one["requests_per_second"]


def _p99_ms(one):
    return one["p99_us"] / 1e3


def table(result):
    """A line for each case."""
    lines = [
        "| work | answers/s | rounds | p50, ms | p99, ms | CPU µs | Redis calls each | busy | others |",
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: |",
    ]
    lines += [line(result, case, 9, partial(_cells, case)) for case in CASES]
    return "\n".join(lines)


def _cells(case, rounds):
    """The cells of a line, behind the first."""
    return [
        f"{middle(rounds, _rate):,.0f}",
        " ".join(f"{_rate(one):,.0f}" for one in rounds),
        f"{middle(rounds, lambda one: one['p50_us']) / 1e3:.2f}",
        f"{middle(rounds, _p99_ms):.2f}",
        f"{middle(rounds, cost):.1f}",
        "" if case.store == "embedded" else f"{middle(rounds, lambda one: one['redis_calls'] / one['requests']):.2f}",
        f"{middle(rounds, lambda one: one['busy']):.0%}",
        f"{middle(rounds, lambda one: one['strangers']):.0%}",
    ]
