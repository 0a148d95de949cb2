"""Logging in: how fast that is, and what other requests feel of a crowd that does."""

import json
import subprocess
import sys
import time
from pathlib import Path

import gateways
import load
import people

NOTE = """Passwords are hashed with argon2id as `portcullis password hash` does by default; sessions are in
Redis. Whoever is answered, or refused, logs in again at once. Meanwhile wrk asks {rate:,} times a second
with a session's cookie. *One core*: the gateway has a core, all else the other. *Any core*: the gateway,
wrk and those who log in run where there is room."""

CROWD = Path(__file__).parent / "crowd.py"
PREFIX = "entering"
SECONDS = 4
# How long a crowd lasts before requests are measured beside it, and after.
MARGIN_S = 1
CROWD_TIMEOUT_S = 30
# Few enough that nobody is refused for there being too many.
WAITING = 32
FLOOD = 50


def run(bench, options):
    """For each place, logins alone, and requests while nobody logs in and beside a flood."""
    people.write_users(bench)
    places = {"one core": (bench.proxy_core, bench.load_core), "any core": (None, None)}
    server = gateways.redis(bench, core=bench.load_core)
    try:
        measured = {name: _at(bench, server, options.rate, *cores) for name, cores in places.items()}
        return {"rate": options.rate, "places": measured}
    finally:
        bench.children.kill(server.child)


def _at(bench, server, rate, own_core, core):
    running = people.gateway(bench, server.store(PREFIX), core=own_core)
    try:
        secret = people.log_in(running.port)
        people.prove(running, secret)

        def requests(seconds):
            what = {"token": secret, "field": people.FIELD, "rate": rate, "core": core}
            return load.finish(bench, load.start(bench, running.port, people.PATH, seconds, **what), seconds)

        def logins(count, seconds, meanwhile=lambda: None):
            words = [sys.executable, CROWD, running.port, count, seconds]
            return _beside(bench, bench.children.start("crowd", words, core=core), meanwhile)

        def flooded():
            time.sleep(MARGIN_S)
            return requests(SECONDS)

        requests(1)
        quiet = requests(SECONDS)
        one, _ = logins(1, SECONDS)
        some, _ = logins(WAITING, SECONDS)
        flood, beside = logins(FLOOD, SECONDS + 2 * MARGIN_S, flooded)
        return {"logins": {1: one, WAITING: some, FLOOD: flood}, "requests": {0: quiet, FLOOD: beside}}
    finally:
        bench.children.kill(running.child)


def _beside(bench, crowd, work):
    """What the crowd says in the end, and what was done meanwhile."""
    try:
        done = work()
        crowd.wait(timeout=CROWD_TIMEOUT_S)
        return json.loads(crowd.log.read_text().splitlines()[-1]), done
    except subprocess.TimeoutExpired:
        raise load.LoadError("those who log in did not end in time") from None
    except (ValueError, IndexError):
        raise load.LoadError(f"those who log in ended with status {crowd.returncode}") from None
    finally:
        bench.children.kill(crowd)


def targets(result):
    """(work, limit, measured, range, verdict): numbers to know, none of which has a limit."""
    rows = []
    for place, measured in result["places"].items():
        for count in (1, WAITING):
            one = measured["logins"][count]
            span = f"p50 {_at_share(one, 0.5):.0f}, p99 {_at_share(one, 0.99):.0f} ms"
            rows.append((f"logins, {count} at a time, {place}", "", f"{_rate(one):.0f}/s", span, ""))
        quiet, beside = (measured["requests"][count] for count in (0, FLOOD))
        span = f"p50 {_ms(quiet, 'p50_us')} → {_ms(beside, 'p50_us')} ms"
        what = f"p99 of {result['rate']:,} requests/s, nobody logs in → {FLOOD} do, {place}"
        rows.append((what, "", f"{_ms(quiet, 'p99_us')} → {_ms(beside, 'p99_us')} ms", span, ""))
    return rows


def table(result):
    """A line for each crowd, and one for the requests beside it."""
    lines = [
        "| where | log in at a time | logins/s | p50, ms | p99, ms | refused/s | requests/s beside | p50, ms | p99, ms | max, ms |",
        "| --- | --: | --: | --: | --: | --- | --: | --: | --: | --: |",
    ]
    for place, measured in result["places"].items():
        for count in (0, 1, WAITING, FLOOD):
            lines.append("| " + " | ".join([place, str(count), *_crowd_cells(measured, count)]) + " |")
    return "\n".join(lines)


def _crowd_cells(measured, count):
    crowd, requests = measured["logins"].get(count), measured["requests"].get(count)
    cells = [""] * 4
    if crowd is not None:
        others = {status: n for status, n in crowd["statuses"].items() if status != "200"}
        refused = ", ".join(f"{n / crowd['wall_s']:,.0f} × {status}" for status, n in others.items())
        cells = [f"{_rate(crowd):.0f}", f"{_at_share(crowd, 0.5):.0f}", f"{_at_share(crowd, 0.99):.0f}", refused]
    if requests is None:
        return cells + [""] * 4
    rate = requests["requests"] * 1e6 / requests["duration_us"]
    return [*cells, f"{rate:,.0f}", *(_ms(requests, name) for name in ("p50_us", "p99_us", "max_us"))]


def _rate(crowd):
    return len(crowd["took_ms"]) / crowd["wall_s"]


def _at_share(crowd, share):
    took = crowd["took_ms"]
    if not took:
        return float("nan")
    return took[min(len(took) - 1, int(share * len(took)))]


def _ms(summary, name):
    return f"{summary[name] / 1e3:.2f}"
