"""Verifies tokens with PyJWT. Argument: the URL of the key set.

Each line read is a token and what it should be, in JSON; each line written what came of it.
"""

import json
import sys

import jwt

REFUSALS = {
    jwt.InvalidAudienceError: "aud",
    jwt.InvalidIssuerError: "iss",
    jwt.InvalidSignatureError: "signature",
    jwt.InvalidAlgorithmError: "alg",
    jwt.PyJWKClientError: "kid",
}

# An unknown key is looked for at once; by default half a minute after the set was last fetched.
keys = jwt.PyJWKClient(sys.argv[1], cooldown_duration=0)


def verify(token, algorithm, issuer, audience, typ):
    try:
        key = keys.get_signing_key_from_jwt(token)
        told = jwt.decode_complete(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            options={"require": ["iss", "aud", "sub", "iat", "exp", "jti"]},
        )
    except tuple(REFUSALS) as error:
        return {"refused": REFUSALS[type(error)]}
    # PyJWT leaves the type to its caller.
    if told["header"]["typ"] != typ:
        return {"refused": "typ"}
    return {"key": told["header"]["kid"], "claims": told["payload"]}


for line in sys.stdin:
    print(json.dumps(verify(**json.loads(line))), flush=True)
