"""Who can log in, the gateway that lets them, and logging in."""

import http.client
import json
import subprocess

import gateways
from children import LOCALHOST
from http1 import HttpError, post
from proof import NotProven, prove_session
from tokens import ROLE, SCOPE, SUBJECT

LOGIN = "/auth/login"
COOKIE = "__Host-session"
# What stands before a session's secret in the head of a request.
FIELD = f"Cookie: {COOKIE}="
PASSWORD = "correct horse battery staple"
# Enough that nobody has so many sessions that older ones have to make room.
USERS = 100
PATH = "/web/1"
# The route continues the list with which the configuration ends.
ROUTE = """\
  - name: web
    match: { path: "/web/{*rest}" }
    upstream: bench
    authenticate: [session]
    require: { scopes: [orders:read], any_role: [clerk] }
"""
# Attempts are counted as ever, but nobody runs out of them: it is one client that logs in all the time.
LOGINS = """\
login:
  password_file: users.yaml
  attempts: { per_account: 1000000/1s, per_address: 1000000/1s,
    successes_per_account: 1000000/1s, successes_per_address: 1000000/1s }
"""
# A hash that costs as little as the gateway takes.
CHEAP = ("--memory", "7MiB", "--passes", "1")


def name(number):
    """The name of a user."""
    return f"user-{number % USERS}"


def hashed(bench, password, *cost):
    """The hash of a password, at the default cost or this one."""
    words = [bench.portcullis(), "password", "hash", *cost]
    done = subprocess.run(words, input=password + "\n", capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise NotProven(f"`portcullis password hash` failed: {done.stderr[-300:]}")
    return done.stdout.strip()


def write_users(bench, *cost):
    """Writes the password file; everybody has the same password, hashed at the default cost or
    this one."""
    password = hashed(bench, PASSWORD, *cost)
    # The first is who the tokens are about.
    subjects = [SUBJECT] + [f"{SUBJECT}-{number}" for number in range(1, USERS)]
    users = {
        name(number): {
            "password": password,
            "subject": subject,
            "roles": [ROLE],
            "scopes": [SCOPE],
            "claims": {"email": f"{subject}@example.com"},
        }
        for number, subject in enumerate(subjects)
    }
    # JSON is YAML, too.
    (bench.directory / "users.yaml").write_text(json.dumps(users, indent=1))


def gateway(bench, store, **how):
    """A gateway where the users can log in."""
    return gateways.gateway(bench, ROUTE + LOGINS + store, **how)


def login(number, **more):
    """The request of a user who logs in."""
    return post(LOGIN, username=name(number), password=PASSWORD, **more)


def log_in(port, number=0):
    """Logs a user in; the secret of the session."""
    body = json.dumps({"username": name(number), "password": PASSWORD})
    connection = http.client.HTTPConnection(LOCALHOST, port, timeout=30)
    try:
        connection.request("POST", LOGIN, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text, cookie = answer.read(), answer.getheader("Set-Cookie", "")
    finally:
        connection.close()
    if answer.status != 200 or not cookie.startswith(f"{COOKIE}="):
        raise HttpError(f"a login was answered {answer.status}: {text[:200]!r}")
    return cookie.removeprefix(f"{COOKIE}=").partition(";")[0]


def prove(running, secret):
    """The gateway guards the route, and knows this session."""
    prove_session(running.port, PATH, COOKIE, secret)
