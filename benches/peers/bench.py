"""What every measurement needs: where it is made, with what, against which upstream, for how long."""

import os
import shutil
import signal
import sys
from pathlib import Path

import machine
import proxies
import tokens
from upstream import Upstream

ROOT = Path(__file__).resolve().parents[2]
# The programs nothing can be measured without, and the Debian packages that bring them.
NEEDED = {"wrk": "wrk", "nginx": "nginx-light", "openssl": "openssl"}


class TimeUp(Exception):
    """The time limit of the whole run has passed."""


class Bench:
    """A run's surroundings."""

    def __init__(self, options, tools, directory, children):
        self.directory = Path(directory)
        self.children = children
        self.tools = tools
        self.seconds = options.seconds
        self.venv = ROOT / "target" / "bench-venv"
        self.gateway = options.portcullis
        self.proxy_core, self.load_core = machine.two_cores()
        os.sched_setaffinity(0, {self.load_core})
        self.issuers = {
            "rsa": tokens.rsa_issuer(self.directory),
            "ec": tokens.ec_issuer(self.directory),
            "hs": tokens.shared_secret_issuer(),
        }
        self.lists = {}
        self.upstream = Upstream(self)

    def built(self, name):
        """A program of this project's release build."""
        path = ROOT / "target" / "release" / name
        if not os.access(path, os.X_OK):
            raise proxies.Absent(f"target/release/{name} is not built")
        return path

    def portcullis(self):
        """The gateway to measure."""
        if self.gateway is not None:
            return self.gateway
        return self.built("portcullis")

    def minted(self, issuer, count):
        """A file of `count` different tokens, minted when first asked for."""
        if (issuer, count) not in self.lists:
            path = self.directory / f"{issuer}-{count}.tokens"
            print(f"bench: minting {count} {self.issuers[issuer].algorithm} tokens", file=sys.stderr)
            tokens.mint_many(self.portcullis(), self.issuers[issuer], count, path)
            self.lists[issuer, count] = path
        return self.lists[issuer, count]


def find_tools(*more, needed=NEEDED):
    """Where the programs are; ends the run if a needed one is not there."""
    # Debian keeps daemons in sbin, which an ordinary user's path may lack.
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    tools = {name: shutil.which(name, path=path) for name in [*needed, *more]}
    missing = [package for name, package in needed.items() if tools[name] is None]
    if missing:
        raise SystemExit(f"bench: nothing can be measured without: {' '.join(missing)} (Debian packages)")
    return tools


def end_in_time(seconds):
    """Raises TimeUp when the time is up, and ends in an orderly way when asked to."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _time_up)
    signal.alarm(seconds)


def _stop(*_):
    raise SystemExit(143)


def _time_up(*_):
    raise TimeUp
