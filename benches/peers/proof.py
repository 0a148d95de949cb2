"""Single requests that show a proxy does the work its row is named for.

A benchmark of a gateway that lets everything through is easily won; so before each measurement
a guarded proxy must admit a good token, refuse five bad ones, and tell the upstream who came.
"""

import http.client
import time

import tokens
from children import LOCALHOST

PROBE = {"X-Bench-Probe": "1"}
SPOOFED = {"X-Auth-Subject": "intruder", "X-Auth-Scopes": "everything"}
IDENTITY = f"subject={tokens.SUBJECT} scopes={tokens.SCOPE} authorization= cookie=\n"
NOBODY = "subject= scopes= authorization= cookie=\n"


class NotProven(Exception):
    """The proxy does not do what its row says."""


def prove_forwards(port, path):
    """A plain proxy hands the request on."""
    _expect(port, path, "a plain request", {200}, {}, NOBODY)


def prove_strips(port, path):
    """The gateway's public route removes identity headers a client made up."""
    _expect(port, path, "made-up identity headers", {200}, SPOOFED, NOBODY)


def prove_guards(port, path, issuer):
    """A guarded route verifies signature, lifetime, issuer and audience and passes identity on."""
    now = int(time.time())
    good = issuer.token()
    _expect(port, path, "a good token", {200}, {**_bearer(good), **SPOOFED}, IDENTITY)
    _expect(port, path, "no token", {401}, {})
    # After the good one: a cache that knows a token by part of it would admit this.
    _expect(port, path, "a broken signature", {401}, _bearer(tokens.break_signature(good)))
    old = issuer.token(iat=now - 7200, exp=now - 3600)
    _expect(port, path, "an expired token", {401, 403}, _bearer(old))
    foreign = issuer.token(iss="https://other.example")
    _expect(port, path, "another issuer's token", {401, 403}, _bearer(foreign))
    elsewhere = issuer.token(aud="other-api")
    _expect(port, path, "a token for another audience", {401, 403}, _bearer(elsewhere))
    _expect(port, path, "the good token again", {200}, _bearer(good), IDENTITY)


def prove_session(port, path, cookie, secret):
    """A guarded route knows the session of a cookie, passes identity on, and the cookie not."""
    with_theirs = IDENTITY.replace("cookie=", "cookie=theme=dark; tz=UTC")
    theirs = {"Cookie": f"theme=dark; {cookie}={secret}; tz=UTC"}
    _expect(port, path, "a session", {200}, {**theirs, **SPOOFED}, with_theirs)
    _expect(port, path, "no session", {401}, {})
    nobodys = ("A" if secret[0] != "A" else "B") + secret[1:]
    _expect(port, path, "a session that there is not", {401}, {"Cookie": f"{cookie}={nobodys}"})
    ours = {"Cookie": f"{cookie}={secret}"}
    _expect(port, path, "the session again", {200}, ours, IDENTITY)


def prove_strips_cookie(port, path, cookie, secret):
    """The gateway's public route keeps the session to itself."""
    _expect(port, path, "the cookie of a session", {200}, {"Cookie": f"{cookie}={secret}"}, NOBODY)


def prove_refuses_nobody(port, path):
    """A guarded route refuses who shows nothing."""
    _expect(port, path, "no credential", {401}, SPOOFED)


def seen_upstream(port, path, what, headers):
    """What the upstream sees of a request that is admitted, with made-up identity headers."""
    return _expect(port, path, what, {200}, {**headers, **SPOOFED})


def prove_refuses(port, path, what, token):
    """A guarded route refuses this token."""
    _expect(port, path, what, {401}, _bearer(token))


def _bearer(token):
    return {"Authorization": f"Bearer {token}"}


def _expect(port, path, what, statuses, headers, seen=None):
    """The body of the answer, which the upstream wrote if the request was admitted."""
    connection = http.client.HTTPConnection(LOCALHOST, port, timeout=5)
    try:
        connection.request("GET", path, headers={**PROBE, **headers})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise NotProven(f"{what} got no answer ({type(error).__name__})") from error
    finally:
        connection.close()
    if answer.status not in statuses:
        raise NotProven(f"{what} was answered {answer.status}, not {sorted(statuses)}")
    if seen is not None and body != seen:
        raise NotProven(f"with {what} the upstream saw {body.strip()!r}, not {seen.strip()!r}")
    return body
