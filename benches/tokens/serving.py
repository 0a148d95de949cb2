"""What it costs the requests that upstreams are told by a signed token who the caller is: CPU time per
request as in benches/peers, of two routes of which one has an `internal_token`."""

from dataclasses import dataclass

import gateways
import issuing
import people
import stored
from load import BEARER, load_once
from measure import count_load
from report import cost, ratio, verdict
from rounds import line, measure_all, middle
from rows import Target

NOTE = """CPU time of the gateway per answered request, {rounds} rounds of {seconds} s, interleaved, as
in the peer benchmark: one worker, pinned to one core; wrk, the upstream and Redis on another. All have
the same configuration; only the path that is asked for differs. Whatever is sent was seen before, each of
many once, so that its internal token (ES256) was made, too. One lives for 60 s and is made anew after 45 s:
in no measurement. Where one lives for 4 s, each is made anew every 3 s. There may be no more than 1,000 API
keys. *made*: how many internal tokens were signed, that and the second of warming up together. *busy*:
share of its core the gateway used; *others*: share anyone else used there."""

# More than a processor's first cache holds.
FEW = 2000
SLOWEST_LIST_S = 60
PREFIX = "serving"
MADE = 'portcullis_tokens_issued_total{grant="none",kind="internal"}'
LIMIT = 1.05

CARRIERS = {"bearer": "RS256 bearer", "session": "session cookie", "api_key": "API key"}
FIELDS = {"bearer": BEARER, "session": people.FIELD, "api_key": issuing.API_KEY_FIELD}
IN_TURN = {"bearer": FEW, "session": FEW, "api_key": issuing.API_KEYS_MAX}
TOLD = {issuing.PLAIN: "", issuing.TOLD: ", internal token", issuing.BRIEFLY: ", internal token that lives 4 s"}


@dataclass(frozen=True)
class Case:
    """What a request carries, and what the upstream is told."""

    carrier: str
    in_turn: bool
    path: str

    @property
    def key(self):
        return f"{self.carrier}-{'many' if self.in_turn else 'one'}{self.path}"

    @property
    def work(self):
        return _sent(self.carrier, self.in_turn) + TOLD[self.path]


def _sent(carrier, in_turn):
    name = CARRIERS[carrier]
    return f"{IN_TURN[carrier]:,} {name}s in turn" if in_turn else name


# Those that are compared with each other stand together.
CASES = [
    Case(carrier, in_turn, path)
    for carrier in CARRIERS
    for in_turn in (False, True)
    for path in (issuing.PLAIN, issuing.TOLD)
] + [Case("bearer", True, issuing.BRIEFLY)]


def _targets():
    """Each case with an internal token beside the one without."""
    for case in CASES:
        if case.path != issuing.PLAIN:
            peer = Case(case.carrier, case.in_turn, issuing.PLAIN)
            limit = LIMIT if case.path == issuing.TOLD else None
            what = f"internal token vs. none, {_sent(case.carrier, case.in_turn)}"
            if limit is None:
                what += ", made anew every 3 s"
            yield Target(what, case.key, peer.key, limit)


def run(bench, options):
    """Every case once in each round."""
    issuing.write_files(bench)
    server = gateways.redis(bench, core=bench.load_core)
    try:
        sent = _credentials(bench, server)
        return measure_all(CASES, options.rounds, lambda case, _: _measure(bench, server, sent, case))
    finally:
        bench.children.kill(server.child)


def _credentials(bench, server):
    """For each carrier the file of what is sent, one a line."""
    sessions = stored.fill(server.client(), PREFIX, FEW, bench.directory / "serving.sessions")
    running = issuing.gateway(bench, server.store(PREFIX), core=None)
    try:
        keys = issuing.make_api_keys(running, issuing.API_KEYS_MAX)
    finally:
        bench.children.kill(running.child)
    path = bench.directory / "serving.api-keys"
    path.write_text("\n".join(keys) + "\n")
    return {"bearer": bench.minted("rsa", FEW), "session": sessions, "api_key": path}


def _measure(bench, server, sent, case):
    """One round of a case, with a gateway of its own."""
    path = sent[case.carrier]
    if case.carrier == "session":
        path.refresh(server.client())
        path = path.secrets
    running = issuing.gateway(bench, server.store(PREFIX))
    try:
        with open(path) as lines:
            first = lines.readline().strip()
        field = FIELDS[case.carrier]
        issuing.prove_route(running, case.path, field, first)
        what = {"token": first, "field": field}
        if case.in_turn:
            lines = (path, 1, IN_TURN[case.carrier])
            what = {"in_turn": lines, "field": field}
            load_once(bench, running.port, case.path, lines, SLOWEST_LIST_S, field=field)
        made = _made(running)
        one = count_load(bench, running, case.path, what, what)
        return {**one, "made": _made(running) - made}
    finally:
        bench.children.kill(running.child)


def _made(running):
    """How many internal tokens a gateway has signed."""
    return gateways.metrics(running.admin).get(MADE, 0)


def targets(result):
    """(work, limit, measured, range, verdict) for each target."""
    rows = []
    for target in _targets():
        found = ratio(result, target.measured, target.peer)
        limit = "" if target.limit is None else f"≤ {target.limit:.2f} ×"
        if found is None:
            rows.append((target.work, limit, "", "", "not measured"))
            continue
        middle, low, high = found
        word = "" if target.limit is None else verdict(middle <= target.limit)
        rows.append((target.work, limit, f"{middle:.3f} ×", f"{low:.3f}–{high:.3f}", word))
    return rows


def table(result):
    """A line for each case."""
    lines = [
        "| work | CPU µs/request | rounds | made | requests/s | p99, ms | busy | others |",
        "| --- | --: | --- | --: | --: | --: | --: | --: |",
    ]
    lines += [line(result, case, 8, _cells) for case in CASES]
    return "\n".join(lines)


def _cells(rounds):
    """The cells of a line, behind the first."""
    return [
        f"{middle(rounds, cost):.1f}",
        " ".join(f"{cost(one):.1f}" for one in rounds),
        f"{middle(rounds, lambda one: one['made']):,.0f}",
        f"{middle(rounds, lambda one: one['requests_per_second']):,.0f}",
        f"{middle(rounds, lambda one: one['p99_us']) / 1e3:.2f}",
        f"{middle(rounds, lambda one: one['busy']):.0%}",
        f"{middle(rounds, lambda one: one['strangers']):.0%}",
    ]
