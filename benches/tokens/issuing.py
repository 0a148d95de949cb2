"""A gateway that issues tokens: its configuration, what it is asked for, and that it does what is
measured."""

import base64
import json

import gateways
import people
import tokens
from http1 import Connection, HttpError, form, order
from load import BEARER
from proof import IDENTITY, NotProven, prove_refuses_nobody, seen_upstream
from rows import GUARDED_PATH
from tokens import AUDIENCE, ROLE, SCOPE, SUBJECT

ISSUER = "https://gateway.example"
TOKEN = "/auth/token"
JWKS = "/.well-known/jwks.json"
API_KEYS = "/v1/api-keys"
# What stands before an API key in the head of a request.
API_KEY_FIELD = "X-Api-Key: "
# As many as there may be.
API_KEYS_MAX = 1000
CLIENT, SECRET = "batch", "correct-horse-battery-client"

# Routes that differ in what the upstream is told.
PLAIN, TOLD, BRIEFLY = "/plain/1", "/told/1", "/briefly/1"
UPSTREAM_AUDIENCE = "orders"
LIFETIME_S = {TOLD: 60, BRIEFLY: 4}
KEY_ENCRYPTION_KEY = "key-encryption-key"


def write_files(bench, *cost):
    """Writes what the configuration names; passwords are hashed at the default cost or this one."""
    people.write_users(bench, *cost)
    (bench.directory / KEY_ENCRYPTION_KEY).write_text("k" * 32)
    clients = [{"id": CLIENT, "secret_hash": people.hashed(bench, SECRET), "scopes": [SCOPE]}]
    # JSON is YAML, too.
    (bench.directory / "clients.yaml").write_text(json.dumps(clients))


def gateway(bench, store, **how):
    """A gateway that issues all kinds of tokens."""
    return gateways.gateway(bench, _CONFIGURATION + people.LOGINS + store, **how)


def _route(path):
    lines = [
        f"  - name: {path.split('/')[1]}",
        f'    match: {{ path: "{path[:-1]}{{*rest}}" }}',
        "    upstream: bench",
        "    authenticate: [bearer, session, api_key]",
        f"    require: {{ scopes: [{SCOPE}], any_role: [{ROLE}] }}",
    ]
    if path in LIFETIME_S:
        wanted = f"audience: {UPSTREAM_AUDIENCE}, lifetime: {LIFETIME_S[path]}s"
        lines.append(f"    forward: {{ internal_token: {{ {wanted} }} }}")
    return "".join(f"{line}\n" for line in lines)


# The routes continue the list with which the configuration ends.
_CONFIGURATION = f"""\
{"".join(_route(path) for path in (PLAIN, TOLD, BRIEFLY))}\
tokens:
  issuer: {ISSUER}
  signing: {{ encryption_key_file: {KEY_ENCRYPTION_KEY} }}
  access: {{ audiences: [{AUDIENCE}] }}
clients_file: clients.yaml
api_keys: {{ header: {API_KEY_FIELD.rstrip(": ")} }}
"""


def make_api_keys(running, count):
    """Makes API keys."""
    connection, keys = Connection(running.admin), []
    for _ in range(count):
        status, body = connection.ask(order(API_KEYS, subject=SUBJECT, scopes=[SCOPE], roles=[ROLE]))
        if status != 201:
            raise HttpError(f"an API key was answered {status}: {body[:200]!r}")
        keys.append(json.loads(body)["key"])
    return keys


def refresh_tokens(running, count):
    """The refresh tokens of so many logins."""
    connection = Connection(running.port)
    answers = (_asked(connection, people.login(number, deliver="tokens")) for number in range(count))
    return [answer["refresh_token"] for answer in answers]


def basic():
    """The client's credentials, as HTTP has them."""
    return base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()


def prove_refreshes(running):
    """A refresh token leads to another, and to an access token that opens a route; a made-up one does
    not."""
    connection, (first,) = Connection(running.port), refresh_tokens(running, 1)
    pair = _asked(connection, _refresh(first))
    if pair["refresh_token"] == first:
        raise NotProven("a refresh token was not exchanged")
    _prove_opens(running, pair["access_token"])
    broken = first[:-8] + "AAAAAAAA"
    status, body = connection.ask(_refresh(broken))
    if status != 400 or json.loads(body).get("error") != "invalid_grant":
        raise NotProven(f"a made-up refresh token was answered {status}: {body[:200]!r}")


def prove_grants(running):
    """A client gets an access token by its secret, and not by another."""
    connection = Connection(running.port)
    asked = {"grant_type": "client_credentials", "client_id": CLIENT}
    token = _asked(connection, form(TOKEN, **asked, client_secret=SECRET))["access_token"]
    said = tokens.claims(token)
    if (said["iss"], said["sub"], said["scope"]) != (ISSUER, CLIENT, SCOPE):
        raise NotProven(f"the client's token says {said}")
    status, body = connection.ask(form(TOKEN, **asked, client_secret="another"))
    if status != 401:
        raise NotProven(f"another secret was answered {status}: {body[:200]!r}")


def prove_route(running, path, field, credential):
    """A route admits this credential, nobody without, and tells the upstream who came as it should."""
    name, _, before = field.partition(": ")
    headers = {name: before + credential}
    prove_refuses_nobody(running.port, path)
    first, again = (seen_upstream(running.port, path, "a credential", headers) for _ in range(2))
    if path not in LIFETIME_S:
        if {first, again} != {IDENTITY}:
            raise NotProven(f"the upstream saw {first.strip()!r}")
        return
    if first != again:
        raise NotProven("an internal token was made twice")
    head, _, tail = IDENTITY.partition("authorization=")
    if not (first.startswith(f"{head}authorization=Bearer ") and first.endswith(tail)):
        raise NotProven(f"the upstream saw {first.strip()!r}")
    _prove_internal(running, first.removeprefix(f"{head}authorization=Bearer ").removesuffix(tail), path)


def _prove_internal(running, token, path):
    """The token is ours, and says what it should."""
    header, said = tokens.header(token), tokens.claims(token)
    found = (header["typ"], said["iss"], said["aud"], said["sub"], said["scope"], said["roles"])
    if found != ("internal+jwt", ISSUER, UPSTREAM_AUDIENCE, SUBJECT, SCOPE, [ROLE]):
        raise NotProven(f"the internal token says {header} {said}")
    if said["exp"] - said["iat"] != LIFETIME_S[path]:
        raise NotProven(f"the internal token lives {said['exp'] - said['iat']} s")
    published = _asked(Connection(running.port), f"GET {JWKS} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    if header["kid"] not in (key["kid"] for key in published["keys"]):
        raise NotProven("the internal token is signed by a key that is not published")


def _prove_opens(running, token):
    headers = {"Authorization": f"{BEARER.partition(': ')[2]}{token}"}
    seen = seen_upstream(running.port, GUARDED_PATH, "an access token", headers)
    if seen != IDENTITY:
        raise NotProven(f"with an access token the upstream saw {seen.strip()!r}")


def _refresh(token):
    return form(TOKEN, grant_type="refresh_token", refresh_token=token)


def _asked(connection, request):
    status, body = connection.ask(request)
    if status != 200:
        raise HttpError(f"the gateway answered {status}: {body[:200]!r}")
    return json.loads(body)
