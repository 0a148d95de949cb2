"""One measurement: start a proxy, prove it works, warm it up, count."""

import time

import http1
import proof
import proxies
from children import CpuClock, resident_bytes
from load import CONNECTIONS, LoadError, load
from machine import core_busy_us
from rows import PUBLIC_PATH

WARM_UP_S = 1
# Lines of a single-use list that the warm-up may use; the measurement gets the rest.
WARM_UP_TOKENS = 2000
# Tokens minted for each second of a round: more than any proxy here verifies on one core.
TOKENS_PER_SECOND = 25_000
# How many idle connections are held at once to tell what one costs. Two descriptors each, and more for
# the gateway than for us, are below what a shell allows.
IDLE_CONNECTIONS = 400


def tokens_needed(seconds):
    """Length of the list of single-use tokens for rounds of `seconds`."""
    return WARM_UP_TOKENS + TOKENS_PER_SECOND * seconds


def measure(bench, row):
    """CPU time per request of `row`, in a process of its own: no cache outlives a round."""
    running = row.start(bench)
    try:
        prove(bench, row, running.port)
        return count(bench, row, running)
    finally:
        bench.children.kill(running.child)


def memory(bench):
    """Resident memory of gateways: in MB where nothing was served yet, in KB for an idle connection."""
    result = {}
    for key, start in (
        ("idle", proxies.portcullis_idle),
        ("idle_5k_routes", lambda bench: proxies.portcullis(bench, routes=5_000)),
    ):
        running = start(bench)
        try:
            time.sleep(3)  # "idle" is a state over time: what the start took is given back after two seconds
            result[key] = resident_bytes(running.child.pid) / 1e6
            if key == "idle":
                result["idle_connection"] = _bytes_of_idle_connection(running) / 1e3
        finally:
            bench.children.kill(running.child)
    return result


def _bytes_of_idle_connection(running):
    """What a kept-alive connection costs between its requests: the difference of some hundreds."""
    request = http1.get(PUBLIC_PATH, "Accept: */*")

    def open_connections(count):
        connections = [http1.Connection(running.port) for _ in range(count)]
        for connection in connections:
            connection.ask(request)
        return connections

    # The first ones make what is made once.
    held = open_connections(100)
    before = resident_bytes(running.child.pid)
    held += open_connections(IDLE_CONNECTIONS)
    grown = resident_bytes(running.child.pid) - before
    for connection in held:
        connection.socket.close()
    return grown / IDLE_CONNECTIONS


def prove(bench, row, port):
    """Sees that the proxy does what its row says."""
    if row.is_guarded:
        proof.prove_guards(port, row.path, bench.issuers[row.issuer])
        return
    proof.prove_forwards(port, row.path)
    if row.proxy == "Portcullis":
        proof.prove_strips(port, row.path)


def count(bench, row, running):
    """Warms the proxy up, drives it, and counts."""
    first_load, main_load = _loads(bench, row)
    return count_load(bench, running, row.path, first_load, main_load)


def count_load(bench, running, path, first_load, main_load):
    """The same with what `load` is to send in the warm-up, and then."""
    clock = CpuClock(running.child.pid)
    warm_up = load(bench, running.port, path, WARM_UP_S, **first_load)
    estimate_us = clock.elapsed_us() / warm_up["requests"]

    seconds = bench.seconds
    if "single_use" in main_load:
        # Stop before the list does: one core cannot answer more than 1/estimate a second, and
        # a warmed-up process may be somewhat faster than the estimate.
        tokens = tokens_needed(bench.seconds) - WARM_UP_TOKENS
        seconds = min(seconds, max(1, int(0.85 * tokens * estimate_us / 1e6)))

    arrived = bench.upstream.requests()
    result = counted(bench, running, lambda: load(bench, running.port, path, seconds, **main_load))
    arrived = bench.upstream.requests() - arrived - 1  # the second question counted itself
    _check_arrivals(result["requests"], arrived)
    return result


def counted(bench, running, drive):
    """CPU time per answer while `drive` asks, which returns wrk's summary."""
    core = core_busy_us(bench.proxy_core)
    clock = CpuClock(running.child.pid)
    summary = drive()
    cpu_us, threads_us = clock.elapsed_us(), clock.elapsed_by_thread_us()
    core = core_busy_us(bench.proxy_core) - core
    wall_us = summary["duration_us"]
    return {
        "cpu_us_per_request": cpu_us / summary["requests"],
        "requests": summary["requests"],
        "requests_per_second": summary["requests"] * 1e6 / wall_us,
        "cpu_us": cpu_us,
        "wall_us": wall_us,
        "threads_us": threads_us,
        # How much of its core the proxy used, and how much strangers used: below 0.9 it was
        # waiting for the load; above a few hundredths someone else disturbed its caches.
        "busy": cpu_us / wall_us,
        "strangers": max(0.0, core - cpu_us) / wall_us,
        "p50_us": summary["p50_us"],
        "p99_us": summary["p99_us"],
    }


def _loads(bench, row):
    """Arguments of the warm-up and of the measured load."""
    if row.issuer is None:
        return {}, {}
    if row.single_use:
        last = tokens_needed(bench.seconds)
        file = bench.minted(row.issuer, last)
        return (
            {"single_use": (file, 1, WARM_UP_TOKENS)},
            {"single_use": (file, WARM_UP_TOKENS + 1, last)},
        )
    if row.in_turn:
        in_turn = {"in_turn": (bench.minted(row.issuer, row.in_turn), 1, row.in_turn)}
        return in_turn, in_turn
    token = bench.issuers[row.issuer].token()
    return {"token": token}, {"token": token}


def _check_arrivals(answered, arrived):
    """Each answer wrk counted must have come from the upstream: a redirect or an answer of the
    proxy's own would pass for a success. Up to one a connection is on its way when wrk stops."""
    if not answered <= arrived <= answered + 2 * CONNECTIONS:
        raise LoadError(f"{answered} requests were answered, but {arrived} reached the upstream")
