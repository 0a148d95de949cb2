"""Who calls: schemathesis logs in anew for each request, as many of them log out."""

import json
import os
import urllib.request

import schemathesis


def opened(path, body):
    request = urllib.request.Request(os.environ["GATEWAY"] + path, json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    return urllib.request.urlopen(request, timeout=10)


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/auth/(logout|session)")
class User:
    def get(self, case, context):
        name, password = os.environ["GATEWAY_USER"], os.environ["GATEWAY_PASSWORD"]
        with opened("/auth/login", {"username": name, "password": password}) as answer:
            cookie = answer.headers["Set-Cookie"].split(";")[0].split("=", 1)
            return cookie, json.load(answer)["csrf_token"]

    def set(self, case, data, context):
        (name, value), csrf_token = data
        case.cookies[name] = value
        case.headers.setdefault("X-CSRF-Token", csrf_token)


@schemathesis.hook
def before_call(context, case, kwargs):
    # A redirect is an answer; what is behind it has a description of its own.
    kwargs["allow_redirects"] = False
