"""Redis, gateways that follow a log in it, and what their metrics say."""

import re
import time
import urllib.request
from dataclasses import dataclass
from subprocess import Popen

import proxies
from children import LOCALHOST, NotReady, free_port, wait_listening
from http1 import HttpError
from load import LoadError
from log import Log, LogError, Redis
from proof import NotProven, prove_refuses
from tokens import TokenError

# What can go wrong with a measurement without being a mistake in it.
FAULTS = (NotProven, NotReady, LoadError, LogError, HttpError, TokenError, proxies.Absent, OSError)

# A start reads the whole list; slower than this is a result, too, but one that ends the waiting.
START_TIMEOUT_S = 90
SAMPLE = re.compile(r"^([a-zA-Z_:][^ ]*) ([^ ]+)$", re.MULTILINE)
BOUND = re.compile(r'le="([^"]+)"')


@dataclass(frozen=True)
class Server:
    """A Redis of our own that keeps nothing on disk, unless told otherwise."""

    child: Popen
    port: int

    def log(self, prefix):
        """The log below a prefix, on a connection of its own."""
        return Log(Redis(self.port), prefix)

    def store(self, prefix):
        """What a gateway's configuration says to follow that log."""
        return f'store: {{ redis: {{ url: "redis://{LOCALHOST}:{self.port}", prefix: {prefix} }} }}\n'


def redis(bench, core=None, append_only=False):
    """Starts a Redis."""
    port = free_port()
    words = [bench.tools["redis-server"], "--bind", LOCALHOST, "--port", port, "--save", ""]
    words += ["--dir", bench.directory]
    if append_only:
        words += ["--appendonly", "yes", "--appendfsync", "always"]
    child = bench.children.start("redis", words, core=core)
    wait_listening(child, port)
    return Server(child, port)


def gateway(bench, store, **how):
    """Starts a gateway with this store; returns once it is ready."""
    return proxies.portcullis(bench, more=store, timeout=START_TIMEOUT_S, **how)


def prove_loaded(bench, running, path, subject, entries):
    """The gateway holds at least `entries`, and refuses the subject they cut off."""
    held = metrics(running.admin)["portcullis_revocation_entries"]
    # The gauge is behind by what the list has not counted yet.
    if held < 0.99 * entries - 1000:
        raise NotProven(f"the gateway holds {held:.0f} revocations, not {entries}")
    token = bench.issuers["rsa"].token(sub=subject, iat=int(time.time()) - 600)
    prove_refuses(running.port, path, "a revoked subject", token)


def metrics(admin):
    """Every sample of a gateway's metrics, by its name with labels."""
    with urllib.request.urlopen(f"http://{LOCALHOST}:{admin}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {name: float(value) for name, value in SAMPLE.findall(text)}


def histogram(samples, name):
    """{upper bound in seconds: how many observations up to it} of an unlabelled histogram."""
    return {
        float(BOUND.search(sample)[1]): count
        for sample, count in samples.items()
        if sample.startswith(f"{name}_bucket{{")
    }
