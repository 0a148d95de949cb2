"""Keys and tokens, the same for every peer.

The repeated tokens are made with openssl, so that no proxy is measured against a signer of its
own; only the long lists of single-use tokens come from the gateway's command, which is fast.
"""

import base64
import hashlib
import hmac
import json
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

AUDIENCE = "orders-api"
SUBJECT = "user-4711"
SCOPE = "orders:read"
ROLE = "clerk"
LIFETIME_S = 3600
# The admin token of the gateways: as they make it, 43 characters of base64url.
ADMIN_TOKEN = "bench-" * 7 + "A"
SHARED_SECRET = "a-shared-secret-of-32-characters"


class TokenError(Exception):
    """Keys or tokens could not be made."""


@dataclass(frozen=True)
class Issuer:
    """One issuer: its algorithm, its keys on disk, and the tokens every proxy is shown."""

    algorithm: str
    name: str
    private_key: Path
    public_key: Path
    jwks: Path

    def token(self, **changes):
        """A token with the bench's claims; keyword arguments replace some of them."""
        now = int(time.time())
        claims = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "iat": now,
            "exp": now + LIFETIME_S,
            "jti": str(uuid.uuid4()),
            "scope": SCOPE,
            "roles": [ROLE],
        }
        claims.update(changes)
        header = {"alg": self.algorithm, "typ": "JWT"}
        signed = f"{_part(header)}.{_part(claims)}"
        return f"{signed}.{_base64(self._sign(signed.encode()))}"

    def _sign(self, message):
        if self.algorithm == "HS256":
            return hmac.digest(SHARED_SECRET.encode(), message, hashlib.sha256)
        signature = _openssl(["dgst", "-sha256", "-sign", self.private_key], message)
        return signature if self.algorithm == "RS256" else _fixed_width(signature)


def rsa_issuer(directory):
    """RS256 with an RSA-2048 key."""
    options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    issuer = _generate(directory, "rsa", "RS256", options)
    modulus = _openssl(["rsa", "-pubin", "-in", issuer.public_key, "-noout", "-modulus"], b"")
    n = bytes.fromhex(modulus.decode().strip().partition("=")[2])
    # 65537 is what genpkey uses.
    _write_jwks(issuer, {"kty": "RSA", "n": _base64(n), "e": "AQAB"})
    return issuer


def ec_issuer(directory):
    """ES256 with a P-256 key."""
    options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    issuer = _generate(directory, "ec", "ES256", options)
    der = _openssl(["pkey", "-pubin", "-in", issuer.public_key, "-outform", "DER"], b"")
    # RFC 5480 §2.2: the key ends in the uncompressed point, 0x04 || x || y.
    x, y = der[-64:-32], der[-32:]
    _write_jwks(issuer, {"kty": "EC", "crv": "P-256", "x": _base64(x), "y": _base64(y)})
    return issuer


def shared_secret_issuer():
    """HS256; there is no key file, the secret stands in the proxy's configuration."""
    none = Path("/dev/null")
    return Issuer("HS256", "https://hs.example", none, none, none)


def break_signature(token):
    """The same token with another first byte of the signature."""
    signed, _, signature = token.rpartition(".")
    first = "A" if signature[0] != "A" else "B"
    return f"{signed}.{first}{signature[1:]}"


def mint_many(gateway, issuer, count, path):
    """Writes `count` different tokens, one a line, to `path`, with the gateway's own command."""
    words = [gateway, "token", "--key", issuer.private_key, "--issuer", issuer.name]
    words += ["--audience", AUDIENCE, "--subject", SUBJECT, "--scope", SCOPE, "--role", ROLE]
    words += ["--lifetime", f"{LIFETIME_S // 3600}h", "--count", count]
    with open(path, "wb") as output:
        done = subprocess.run(
            [str(word) for word in words],
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=180,
        )
    if done.returncode != 0:
        raise TokenError(f"`portcullis token` failed: {done.stderr.decode(errors='replace')[-300:]}")
    _check_list(path, issuer, count)


def _check_list(path, issuer, count):
    """The list must be what the rows claim: all different, and like the repeated token."""
    tokens = Path(path).read_text().split()
    if len(tokens) != count or len(set(tokens)) != count:
        raise TokenError(f"expected {count} different tokens, found {len(set(tokens))}")
    shown, minted = claims(issuer.token()), claims(tokens[0])
    for name in ("iss", "aud", "sub", "scope", "roles"):
        if shown[name] != minted.get(name):
            raise TokenError(f"claim {name} is {minted.get(name)!r}, not {shown[name]!r}")
    if not {"iat", "exp", "jti"} <= minted.keys():
        raise TokenError("a minted token lacks iat, exp or jti")


def _generate(directory, name, algorithm, options):
    private, public = directory / f"{name}.key.pem", directory / f"{name}.pub.pem"
    _openssl(["genpkey", *options, "-out", private], b"")
    _openssl(["pkey", "-in", private, "-pubout", "-out", public], b"")
    return Issuer(algorithm, f"https://{name}.example", private, public, directory / f"{name}.jwks.json")


def _write_jwks(issuer, key):
    # No `kid`: the tokens carry none, and a key with one would not be tried by every peer.
    key = {**key, "use": "sig", "alg": issuer.algorithm}
    issuer.jwks.write_text(json.dumps({"keys": [key]}))


def _fixed_width(der):
    """RFC 7518 §3.4: r and s as 32 bytes each, where openssl writes an ASN.1 sequence."""
    numbers, at = [], 2
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + length], "big"))
        at += 2 + length
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def claims(token):
    """What a token says, unverified."""
    return _read(token.split(".")[1])


def header(token):
    """What its header says."""
    return _read(token.split(".")[0])


def _read(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _part(value):
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(words, message):
    done = subprocess.run(
        ["openssl", *map(str, words)],
        input=message,
        capture_output=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise TokenError(f"openssl {words[0]} failed: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout
