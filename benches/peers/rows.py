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

    @property
    def path(self):
        return PUBLIC_PATH if self.issuer is None else GUARDED_PATH


@dataclass(frozen=True)
class Target:
    """`measured` may cost at most `limit` times what `peer` costs."""

    work: str
    measured: str
    peer: str
    limit: float


MEMORY_LIMIT_MB = 30

gateway = proxies.portcullis
few, many = partial(gateway, routes=10), partial(gateway, routes=10_000)
haproxy, envoy = proxies.haproxy, proxies.envoy

# In the order of measurement: rows that are compared with each other stand together, so that
# the machine changes little between them.
ROWS = [
    Row("bare", "Pingora, bare", "plain proxy", proxies.bare_pingora),
    Row("public", "Portcullis", "public route", gateway),
    Row("warm_rs256", "Portcullis", "RS256 bearer, seen before", gateway, "rsa"),
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
    Target("warm RS256 bearer vs. the same gateway's public route", "warm_rs256", "public", 1.05),
    Target("warm ES256 bearer vs. the same gateway's public route", "warm_es256", "public", 1.05),
    Target("warm RS256 bearer vs. HAProxy RS256", "warm_rs256", "haproxy_rs256", 0.45),
    Target("warm bearer vs. Envoy with token cache", "warm_rs256", "envoy_cached", 0.50),
    Target("every request a new RS256 token, vs. HAProxy", "new_rs256", "haproxy_new_rs256", 1.0),
    Target("every request a new ES256 token, vs. HAProxy", "new_es256", "haproxy_new_es256", 1.0),
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
