#!/usr/bin/env python3
"""How long requests take at half of what each proxy can do: `make bench-latency`, or this file.

First each proxy is driven as fast as it answers, for its capacity; then with half as many requests a second,
evenly spaced over the same connections. In every round all proxies have their turn.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import machine
import proxies
from bench import NEEDED, ROOT, Bench, end_in_time, find_tools
from children import LOCALHOST, Children, NotReady
from rows import GUARDED_PATH, PUBLIC_PATH

CONNECTIONS = 16
PERCENTILES = (50, 99, 99.9)

# work -> how the proxy is started, the path, whether a token is sent
CASES = {
    "HAProxy, plain": (proxies.haproxy, PUBLIC_PATH, False),
    "Portcullis, public": (proxies.portcullis, PUBLIC_PATH, False),
    "HAProxy, RS256": (partial(proxies.haproxy, issuer="rsa"), GUARDED_PATH, True),
    "Envoy, RS256, with its token cache": (partial(proxies.envoy, issuer="rsa", cache=True), GUARDED_PATH, True),
    "Portcullis, RS256 seen before": (proxies.portcullis, GUARDED_PATH, True),
}

HEADER = """# Latency at half load: {cpu}

{date}, {cores} cores: the proxy has one, h2load and the upstream share the other. Microseconds until the end of
the answer, the median of {rounds} rounds of {seconds} s over {connections} connections, at half of the requests a
second that each can answer. Repeat with `make bench-latency`.

| work | requests/s | p50 | p99 | p99.9 |
| --- | --: | --: | --: | --: |
"""


def main():
    options = _options()
    tools = find_tools("haproxy", needed={**NEEDED, "h2load": "nghttp2-client"})
    end_in_time(options.limit)
    here = machine.describe()
    rates, found = {}, {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Children(directory) as children:
        bench = Bench(options, tools, directory, children)
        for number in range(options.rounds):
            for work, case in CASES.items():
                try:
                    rate, latencies = _measure(bench, options, *case)
                except proxies.Absent as absent:
                    print(f"bench: {work}: skipped, {absent}", file=sys.stderr)
                    continue
                print(f"bench: round {number + 1}: {work}: {rate}/s: {latencies}", file=sys.stderr)
                rates.setdefault(work, []).append(rate)
                found.setdefault(work, []).append(latencies)
    table = HEADER.format(
        cpu=here["cpu"],
        date=here["date"],
        cores=here["cores"],
        rounds=options.rounds,
        seconds=options.seconds,
        connections=CONNECTIONS,
    )
    for work, rounds in found.items():
        medians = [f"{statistics.median(column):,.0f}" for column in zip(*rounds)]
        table += f"| {work} | {statistics.median(rates[work]):,.0f} | {' | '.join(medians)} |\n"
    print(table)
    path = options.out or ROOT / "benches" / "results" / f"{machine.label(here)}-latency.md"
    path.write_text(table)
    print(f"bench: written to {path}", file=sys.stderr)


def _measure(bench, options, start, path, is_guarded):
    """Half of a proxy's requests a second, and the percentiles at that rate in microseconds."""
    running = start(bench)
    try:
        token = bench.issuers["rsa"].token() if is_guarded else None
        capacity = len(_drive(bench, running.port, path, token, options.seconds)) / options.seconds
        each = max(1, round(capacity / 2 / CONNECTIONS))
        taken = sorted(_drive(bench, running.port, path, token, options.seconds, each))
        last = len(taken) - 1
        return each * CONNECTIONS, [taken[min(last, int(len(taken) * percent / 100))] for percent in PERCENTILES]
    finally:
        bench.children.kill(running.child)


def _drive(bench, port, path, token, seconds, each=None):
    """The microseconds that each request took; as fast as they are answered, or so many a second on each
    connection."""
    log = bench.directory / "requests.log"
    words = [bench.tools["h2load"], "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{seconds}", f"--log-file={log}"]
    words += [f"--rps={each}"] if each is not None else []
    words += ["-H", f"Authorization: Bearer {token}"] if token is not None else []
    words.append(f"http://{LOCALHOST}:{port}{path}")
    # It inherits the core of this process.
    subprocess.run(words, check=True, capture_output=True, timeout=seconds + 60)
    taken = []
    for line in log.read_text().splitlines():
        _, status, microseconds = line.split("\t")[:3]
        if status != "200":
            raise NotReady(f"a request was answered with {status}")
        taken.append(int(microseconds))
    log.unlink()
    return taken


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a trial of a minute")
    parser.add_argument("--rounds", type=int, help="rounds, at least 3 for a result to quote")
    parser.add_argument("--seconds", type=int, help="length of a measurement")
    parser.add_argument("--limit", type=int, default=15 * 60, help="seconds after which the run ends in any case")
    parser.add_argument("--out", type=Path, help="the Markdown file")
    parser.add_argument("--portcullis", type=lambda path: Path(path).resolve(), help="another gateway binary than the release build")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (2 if options.quick else 5)
    return options


if __name__ == "__main__":
    sys.exit(main())
