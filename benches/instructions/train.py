#!/usr/bin/env python3
"""Sends a gateway the requests that the benchmarks measure, for a build with a profile: `make build-pgo`.

The gateway ends in order, so that it writes down what it has seen.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import proxies
from bench import Bench, end_in_time, find_tools
from children import Children, NotReady
from http1 import Connection
from requests_sent import BODY, drive, request
from rows import GUARDED_PATH, PUBLIC_PATH

REQUESTS = 20_000
NEW_TOKENS = 3_000
LARGE_BODY = "x" * 40_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("portcullis", type=lambda path: Path(path).resolve(), help="the gateway")
    options = parser.parse_args()
    options.seconds = 1
    tools = find_tools()
    end_in_time(15 * 60)
    with tempfile.TemporaryDirectory(prefix="train-") as directory, Children(directory) as children:
        bench = Bench(options, tools, directory, children)
        # The access log is on in every second one: its lines cost as much as a decision.
        for log in (False, True):
            _teach(bench, proxies.portcullis(bench, log=log))


def _teach(bench, gateway):
    connection = Connection(gateway.port)
    authorized = {name: _field(bench.issuers[name].token()) for name in ("rsa", "ec")}
    drive(connection, request(PUBLIC_PATH, "", None), REQUESTS)
    drive(connection, request(PUBLIC_PATH, "", BODY), REQUESTS // 4)
    drive(connection, request(PUBLIC_PATH, "", LARGE_BODY), REQUESTS // 20)
    for field in authorized.values():
        drive(connection, request(GUARDED_PATH, field, None), REQUESTS)
    for name in authorized:
        for token in bench.minted(name, NEW_TOKENS).read_text().split():
            drive(connection, request(GUARDED_PATH, _field(token), None), 1)
    gateway.child.send_signal(signal.SIGTERM)
    if gateway.child.wait(60) != 0:
        raise NotReady(f"the gateway ended with {gateway.child.returncode}")


def _field(token):
    return f"Authorization: Bearer {token}\r\n"


if __name__ == "__main__":
    sys.exit(main())
