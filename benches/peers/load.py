"""wrk, and what it says about a round."""

import json
import signal
import subprocess
import time
from pathlib import Path

from children import LOCALHOST

SCRIPT = Path(__file__).parent / "wrk" / "load.lua"
CONNECTIONS = 32
# What stands before a credential in the head of a request.
BEARER = "Authorization: Bearer "
# How often we look whether a list of single use has come to its end.
LOOK_EVERY_S = 0.02


class LoadError(Exception):
    """The load generator failed, or its requests did."""


def load(bench, port, path, seconds, single_use=None, **what):
    """Drives 127.0.0.1:`port` for `seconds` and returns wrk's summary; see `start`."""
    child = start(bench, port, path, seconds, single_use=single_use, core=bench.load_core, **what)
    return finish(bench, child, seconds, single_use)


def start(
    bench,
    port,
    path,
    seconds,
    token=None,
    single_use=None,
    in_turn=None,
    field=BEARER,
    rate=None,
    core=None,
    name="wrk",
):
    """Begins to drive 127.0.0.1:`port`, as fast as it answers or at a `rate` per second.

    `token` is sent with each request, after `field`. `single_use` and `in_turn` = (file, first, last)
    name lines of a file of tokens to be sent once each, and to be sent again and again.
    """
    words = [bench.tools["wrk"], "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", SCRIPT]
    if token is not None:
        words += ["-H", field + token]
    words.append(f"http://{LOCALHOST}:{port}{path}")
    if single_use is not None:
        words += ["--", "once", *single_use, field]
    elif in_turn is not None:
        words += ["--", "in-turn", *in_turn, field]
    elif rate is not None:
        words += ["--", "paced", rate]
    return bench.children.start(name, words, core=core)


def finish(bench, child, seconds, single_use=None):
    """Waits for the end of a load of `seconds`; wrk's summary."""
    try:
        child.wait(timeout=seconds + 15)
    except subprocess.TimeoutExpired:
        raise LoadError("wrk did not end in time") from None
    finally:
        bench.children.kill(child)
    return _checked(_summary(child), single_use)


def load_once(bench, port, path, lines, seconds, **what):
    """Sends each of these lines of a list once, as fast as that is answered, and for `seconds` at most."""
    child = start(bench, port, path, seconds, single_use=lines, core=bench.load_core, **what)
    give_up = time.monotonic() + seconds
    while "END OF LIST" not in child.log.read_text() and time.monotonic() < give_up:
        time.sleep(LOOK_EVERY_S)
    # wrk would sleep until its time is up.
    child.send_signal(signal.SIGINT)
    return finish(bench, child, seconds, lines)


def _summary(child):
    for line in child.log.read_text(errors="replace").splitlines():
        if line.startswith("SUMMARY "):
            return json.loads(line.removeprefix("SUMMARY "))
    raise LoadError(f"wrk ended with status {child.returncode} and without a summary")


def _checked(summary, single_use):
    """A round counts only if every request in it was answered as it should be."""
    if summary["requests"] == 0:
        raise LoadError("no request was answered")
    if summary["refused"] or summary["failed"]:
        raise LoadError(f"{summary['refused']} answers above 399, {summary['failed']} failed requests")
    if single_use is not None:
        _, first, last = single_use
        if summary["issued"] > last - first + 1:
            raise LoadError("the list of single-use tokens was too short")
    return summary
