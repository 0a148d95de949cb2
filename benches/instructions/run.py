#!/usr/bin/env python3
"""Counts instructions per request under callgrind: `make bench-instructions`, or this file.

Unlike time, the count does not depend on neighbours or on how warm a cache is, so two builds can be
compared to the hundredth. It leaves out what the kernel does, which is most of a request's time.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.dont_write_bytecode = True  # before our own modules: a measurement leaves no litter beside them
sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("shared", "peers")]

import machine
import proxies
from bench import NEEDED, ROOT, Bench, end_in_time, find_tools
from children import Children, NotReady
from http1 import Connection
from requests_sent import BODY, drive, request
from rows import GUARDED_PATH, PUBLIC_PATH

CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out", "--instr-atstart=no"]
WARM_UP = 300
HAPROXY = proxies.haproxy

# work -> how the proxy is started, the path, whose token is sent (None: nobody's), whether a body is
CASES = {
    "HAProxy, plain": (HAPROXY, PUBLIC_PATH, None, False),
    "HAProxy, HS256": (partial(HAPROXY, issuer="hs"), GUARDED_PATH, "hs", False),
    "HAProxy, RS256": (partial(HAPROXY, issuer="rsa"), GUARDED_PATH, "rsa", False),
    "Portcullis, public": (proxies.portcullis, PUBLIC_PATH, None, False),
    "Portcullis, RS256 seen before": (proxies.portcullis, GUARDED_PATH, "rsa", False),
    "Portcullis, ES256 seen before": (proxies.portcullis, GUARDED_PATH, "ec", False),
    "Portcullis, public, a body of 512 bytes": (proxies.portcullis, PUBLIC_PATH, None, True),
}


class Callgrind(Children):
    """Starts what is to be measured under callgrind, and everything else as it is."""

    def start(self, name, argv, core=None):
        if name in ("portcullis", "haproxy"):
            argv = [*CALLGRIND, *argv]
        return super().start(name, argv, core)


HEADER = """# Instructions per request: {cpu}

{date}. Counted by callgrind over {requests} requests of one kept-alive connection, in the process of the
proxy and without the kernel. Repeat with `make bench-instructions`.

| work | instructions per request |
| --- | --: |
"""


def main():
    options = _options()
    tools = find_tools("haproxy", needed={**NEEDED, "valgrind": "valgrind"})
    end_in_time(options.limit)
    here = machine.describe()
    table = HEADER.format(cpu=here["cpu"], date=here["date"], requests=f"{options.requests:,}")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Callgrind(directory) as children:
        bench = Bench(options, tools, directory, children)
        for work, case in CASES.items():
            if options.only is None or options.only in work:
                line = f"| {work} | {_measure(bench, options, *case):,} |"
                print(line, flush=True)
                table += line + "\n"
    if options.only is None:
        path = options.out or ROOT / "benches" / "results" / f"{machine.label(here)}-instructions.md"
        path.write_text(table)
        print(f"bench: written to {path}", file=sys.stderr)


def _measure(bench, options, start, path, issuer, has_body):
    """Instructions of the proxy's process per request of one kept-alive connection."""
    running = start(bench)
    try:
        connection = Connection(running.port)
        field = "" if issuer is None else f"Authorization: Bearer {bench.issuers[issuer].token()}\r\n"
        asked = request(path, field, BODY if has_body else None)
        drive(connection, asked, WARM_UP)
        _control("--instr=on", running.child.pid)
        _control("--zero", running.child.pid)
        drive(connection, asked, options.requests)
        _control("--dump", running.child.pid)
        dump = _last_dump(bench.directory)
        if options.keep is not None:
            options.keep.write_bytes(dump.read_bytes())
        return round(_total(dump) / options.requests)
    finally:
        bench.children.kill(running.child)
        for dump in bench.directory.glob("callgrind.out*"):
            dump.unlink()


def _control(what, pid):
    subprocess.run(["callgrind_control", what, str(pid)], check=True, capture_output=True)


def _last_dump(directory):
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        dumps = [file for file in directory.glob("callgrind.out.*") if "totals:" in file.read_text(errors="replace")]
        if dumps:
            return dumps[-1]
        time.sleep(0.1)
    raise NotReady("callgrind wrote nothing")


def _total(dump):
    """Instructions in a dump; the dump of each thread, if they are apart, is in the same file."""
    totals = re.findall(r"^(?:summary|totals): (\d+)", dump.read_text(errors="replace"), re.MULTILINE)
    return int(totals[-1])


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a trial of a minute")
    parser.add_argument("--requests", type=int, help="requests that are counted")
    parser.add_argument("--limit", type=int, default=15 * 60, help="seconds after which the run ends in any case")
    parser.add_argument("--out", type=Path, help="the Markdown file")
    parser.add_argument("--only", help="a part of the name of the work to measure")
    parser.add_argument("--keep", type=Path, help="where to keep callgrind's last dump, for callgrind_annotate")
    parser.add_argument("--portcullis", type=lambda path: Path(path).resolve(), help="another gateway binary than the release build")
    options = parser.parse_args()
    options.seconds = 1
    if options.requests is None:
        options.requests = 300 if options.quick else 3000
    return options


if __name__ == "__main__":
    sys.exit(main())
