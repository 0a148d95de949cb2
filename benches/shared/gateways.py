"""Redis, gateways that share it, and what their metrics say."""

import re
import urllib.request
from dataclasses import dataclass
from subprocess import Popen

import proxies
from children import LOCALHOST, NotReady, free_port, wait_listening
from http1 import HttpError
from load import LoadError
from proof import NotProven
from resp import Redis, RedisError
from tokens import TokenError

# What can go wrong with a measurement without being a mistake in it.
FAULTS = (NotProven, NotReady, LoadError, RedisError, HttpError, TokenError, proxies.Absent, OSError)

# A start may read much; slower than this is a result, too, but one that ends the waiting.
START_TIMEOUT_S = 90
SAMPLE = re.compile(r"^([a-zA-Z_:][^ ]*) ([^ ]+)$", re.MULTILINE)
BOUND = re.compile(r'le="([^"]+)"')


@dataclass(frozen=True)
class Server:
    """A Redis of our own that keeps nothing on disk, unless told otherwise."""

    child: Popen
    port: int

    def client(self):
        """A connection to it."""
        return Redis(self.port)

    def settle(self, prefix):
        """Has it be known that it lacks nothing: the first start waits for who may know better."""
        redis = self.client()
        run_id = redis.info("server")["run_id"]
        redis.ask("HSET", f"{prefix}:{{revocations}}:settled", "server", run_id, "done", 1)

    def store(self, prefix):
        """What a gateway's configuration says to use what is below `prefix`."""
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


def embedded(bench, name):
    """What a gateway's configuration says to keep everything in a file of its own."""
    return f'store: {{ embedded: {{ path: "{bench.directory}/{name}.redb" }} }}\n'


def gateway(bench, more, **how):
    """Starts a gateway that has `more` in its configuration; returns once it is ready."""
    return proxies.portcullis(bench, more=more, timeout=START_TIMEOUT_S, **how)


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
