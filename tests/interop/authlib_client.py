"""A client of the gateway that speaks OAuth 2.0 with Authlib. Argument: the issuer.

Each line read says in JSON what to do, and as which client; each line written what came of it.
"""

import json
import pathlib
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

TIMEOUT_S = 20

metadata = AuthorizationServerMetadata(
    requests.get(get_well_known_url(sys.argv[1], external=True), timeout=TIMEOUT_S).json()
)
# A gateway has no authorization endpoint, so no response types; Authlib wants one to be there.
AuthorizationServerMetadata({**metadata, "response_types_supported": ["none"]}).validate()


def session(client_id, method, secret=None, key_file=None, **more):
    if key_file is not None:
        secret = pathlib.Path(key_file).read_text()
    opened = OAuth2Session(
        client_id,
        secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        token_endpoint=metadata["token_endpoint"],
        default_timeout=TIMEOUT_S,
        **more,
    )
    opened.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"]))
    return opened


def grant(client, scope=None):
    return session(**client).fetch_token(grant_type="client_credentials", scope=scope)


def refresh(client, refresh_token):
    return session(**client).refresh_token(refresh_token=refresh_token)


def revoke(client, token, hint):
    return told(session(**client).revoke_token(metadata["revocation_endpoint"], token, hint))


def introspect(client, token, hint):
    asked = session(**client).introspect_token(metadata["introspection_endpoint"], token, hint)
    return told(asked)


def told(response):
    """What an answer says that Authlib leaves to its caller."""
    answer = response.json() if response.content else {}
    if "error" in answer:
        raise OAuthError(answer["error"], answer.get("error_description"))
    response.raise_for_status()
    return answer


def fetch(client, tokens, url):
    """Gets a page. An access token that has expired is first refreshed, by Authlib itself."""
    updates = []

    def update(token, refresh_token=None, access_token=None):
        updates.append({"tokens": token, "instead_of": refresh_token})

    response = session(**client, token=tokens, update_token=update).get(url)
    return {"status": response.status_code, "updates": updates}


CALLS = {
    "metadata": lambda: metadata,
    "grant": grant,
    "refresh": refresh,
    "revoke": revoke,
    "introspect": introspect,
    "fetch": fetch,
}

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"answer": CALLS[asked.pop("call")](**asked)}
    except OAuthError as error:
        answer = {"error": error.error, "description": error.description}
    print(json.dumps(answer), flush=True)
