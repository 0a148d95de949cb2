"""What is measured, and which of the performance targets follow from it."""

from dataclasses import dataclass
from functools import partial
from typing import Callable, Optional

import proxies

PUBLIC_PATH = "/public/1"
GUARDED_PATH = "/orders/1"


@dataclass(frozen=True)
class Row:
    """One proxy doing one kind of work."""

    key: str
    proxy: str
    work: str
    start: Callable
    issuer: Optional[str] = None  # whose tokens are sent; None: plain requests
    single_use: bool = False  # each request carries a token this process has not seen
    in_turn: int = 0  # so many different tokens, one after another and again; 0: one token
    public: bool = False  # the route asks for no token, whatever is sent

    @property
    def is_guarded(self):
        return self.issuer is not None and not self.public

    @property
    def path(self):
        return GUARDED_PATH if self.is_guarded else PUBLIC_PATH


@dataclass(frozen=True)
class Target:
    """`measured` may cost at most `limit` times what `peer` costs."""

    work: str
    measured: str
    peer: str
    limit: float


@dataclass(frozen=True)
class MemoryTarget:
    """Resident memory may be at most `limit` of a unit."""

    key: str  # in what `measure.memory` returns
    work: str
    limit: float
    unit: str


MEMORY_TARGETS = [
    MemoryTarget("idle", "resident memory, idle, default configuration", 25, "MB"),
    MemoryTarget("idle_5k_routes", "the same with 5,000 routes", 45, "MB"),
    MemoryTarget("idle_connection", "for each idle connection that has served a request", 10, "KB"),
]

gateway = proxies.portcullis
few, many = partial(gateway, routes=10), partial(gateway, routes=10_000)
haproxy, envoy = proxies.haproxy, proxies.envoy

# In the order of measurement: rows that are compared with each other stand together, so that
# the machine changes little between them.
ROWS = [
    Row("bare", "Pingora, bare", "plain proxy", proxies.bare_pingora),
    Row("public", "Portcullis", "public route", gateway),
    Row("warm_rs256", "Portcullis", "RS256 bearer, seen before", gateway, "rsa"),
    Row("public_token", "Portcullis", "public route, sent that token too", gateway, "rsa", public=True),
    Row("warm_logged", "Portcullis", "RS256 bearer, seen before, with access log", partial(gateway, log=True), "rsa"),
    Row("in_turn", "Portcullis", "RS256 bearer, 2,000 seen before in turn", gateway, "rsa", in_turn=2000),
    Row("warm_es256", "Portcullis", "ES256 bearer, seen before", gateway, "ec"),
    Row("envoy_cached", "Envoy", "RS256, with its token cache", partial(envoy, issuer="rsa", cache=True), "rsa"),
    Row("haproxy_rs256", "HAProxy", "RS256, one token", partial(haproxy, issuer="rsa"), "rsa"),
    Row("public_10", "Portcullis", "public route, 10 routes", few),
    Row("public_10k", "Portcullis", "public route, 10,000 routes", many),
    Row("warm_10", "Portcullis", "RS256 seen before, 10 routes", few, "rsa"),
    Row("warm_10k", "Portcullis", "RS256 seen before, 10,000 routes", many, "rsa"),
    Row("new_rs256", "Portcullis", "RS256, every token new", gateway, "rsa", single_use=True),
    Row("haproxy_new_rs256", "HAProxy", "RS256, every token new", partial(haproxy, issuer="rsa"), "rsa", single_use=True),
    Row("new_es256", "Portcullis", "ES256, every token new", gateway, "ec", single_use=True),
    Row("haproxy_new_es256", "HAProxy", "ES256, every token new", partial(haproxy, issuer="ec"), "ec", single_use=True),
    Row("haproxy_es256", "HAProxy", "ES256, one token", partial(haproxy, issuer="ec"), "ec"),
    Row("haproxy_hs256", "HAProxy", "HS256, one token", partial(haproxy, issuer="hs"), "hs"),
    Row("haproxy", "HAProxy", "plain proxy", haproxy),
    Row("envoy", "Envoy", "plain proxy", envoy),
    Row("envoy_rs256", "Envoy", "RS256, one token", partial(envoy, issuer="rsa"), "rsa"),
    Row("envoy_es256", "Envoy", "ES256, one token", partial(envoy, issuer="ec"), "ec"),
    Row("nginx", "nginx", "plain proxy", proxies.nginx),
]

TARGETS = [
    Target("public route vs. HAProxy as a plain proxy", "public", "haproxy", 1.10),
    Target("public route vs. nginx as a plain proxy", "public", "nginx", 1.15),
    Target("warm RS256 bearer vs. HAProxy as a plain proxy", "warm_rs256", "haproxy", 1.20),
    Target("warm ES256 bearer vs. HAProxy as a plain proxy", "warm_es256", "haproxy", 1.20),
    Target("warm RS256 bearer, with access log, vs. HAProxy as a plain proxy", "warm_logged", "haproxy", 1.20),
    Target("warm RS256 bearer vs. HAProxy HS256", "warm_rs256", "haproxy_hs256", 0.80),
    Target("warm RS256 bearer vs. HAProxy RS256", "warm_rs256", "haproxy_rs256", 0.40),
    Target("warm ES256 bearer vs. HAProxy ES256", "warm_es256", "haproxy_es256", 0.20),
    Target("warm RS256 bearer vs. Envoy with its token cache", "warm_rs256", "envoy_cached", 0.45),
    Target("warm RS256 bearer vs. the public route without a token", "warm_rs256", "public", 1.08),
    Target("warm RS256 bearer vs. the public route sent the same token", "warm_rs256", "public_token", 1.08),
    Target("2,000 warm tokens in turn vs. one", "in_turn", "warm_rs256", 1.05),
    Target("every request a new RS256 token, vs. HAProxy", "new_rs256", "haproxy_new_rs256", 1.0),
    Target("every request a new ES256 token, vs. HAProxy", "new_es256", "haproxy_new_es256", 0.95),
    Target("public route vs. a bare Pingora proxy with the same build flags", "public", "bare", 1.05),
    Target("10,000 routes vs. 10 routes, public route", "public_10k", "public_10", 1.05),
    Target("10,000 routes vs. 10 routes, warm RS256 bearer", "warm_10k", "warm_10", 1.05),
]

# Rows of the target table that need parts this harness does not start.
ELSEWHERE = [
    "warm bearer vs. Aralez' cached HS256",
    "revocations (`make bench-revocation`)",
    "session cookies (`make bench-session`)",
    "internal tokens (`make bench-token`)",
]
