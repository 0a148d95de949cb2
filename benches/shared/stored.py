"""Sessions in Redis, written as the gateway writes them: see src/store/redis.rs for the keys,
src/store/redis/script/sessions.rs for what is done to them and src/store/session.rs for the records.
Logging in as often would take an hour of hashing."""

import base64
import hashlib
import json
import random
import secrets
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from resp import RedisError, encoded
from tokens import ROLE, SCOPE, SUBJECT

# The gateway's defaults.
IDLE_S = 30 * 60
LIFETIME_S = 12 * 3600
MARGIN_S = 3600
ISSUER = "gateway"
# A use is written down once in this time. So that as many are as ever, they are spread over it.
TOUCHED_EVERY_S = IDLE_S // 10
# As many as a subject may have.
PER_SUBJECT = 100
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Sessions:
    """Sessions below a prefix, and the file of their secrets, one a line."""

    prefix: str
    secrets: Path
    count: int

    def first(self):
        """The first of the secrets."""
        with open(self.secrets) as lines:
            return lines.readline().strip()

    def list(self, first=1):
        """The lines of the file from the `first` on, as `load` wants them."""
        return (self.secrets, first, self.count)

    def refresh(self, redis):
        """All were used lately once more, not all at the same moment."""
        ids = (id_of(secret) for secret in self.secrets.read_text().split())
        for piece in _pieces(ids):
            scored = [word for id in piece for word in (_lately(), id)]
            redis.ask("ZADD", _key(self.prefix, "sessions"), "XX", *scored)


def fill(redis, prefix, count, path):
    """Writes down `count` sessions, of as many subjects as it takes; their secrets go to `path`."""
    all = [_encode(secrets.token_bytes(32)) for _ in range(count)]
    path.write_text("\n".join(all) + "\n")
    for number, piece in enumerate(_pieces(all)):
        _write(redis, prefix, f"{SUBJECT}-{number}" if number else SUBJECT, [id_of(secret) for secret in piece])
    if redis.ask("ZCARD", _key(prefix, "sessions")) != count:
        raise RedisError("the sessions were not written as they should be")
    return Sessions(prefix, path, count)


def id_of(secret):
    """By what the gateway knows the session of a cookie."""
    return _encode(hashlib.sha256(base64.urlsafe_b64decode(secret + "=")).digest())


def _write(redis, prefix, subject, ids):
    """The sessions of one subject."""
    now = int(time.time())
    ends, expires = now + LIFETIME_S, now + LIFETIME_S + MARGIN_S
    digest, seen = _digest(ISSUER, subject), [_lately() for _ in ids]
    commands = [
        encoded("SET", _key(prefix, f"session:{id}"), _record(subject, id, now, ends), "EXAT", expires)
        for id in ids
    ]
    scored = [word for id, seen in zip(ids, seen) for word in (seen, id)]
    due = [word for id, seen in zip(ids, seen) for word in (min(seen + IDLE_S, ends), id + digest)]
    of_subject = _key(prefix, f"subject:{digest}")
    commands += [
        encoded("ZADD", _key(prefix, "sessions"), *scored),
        encoded("ZADD", _key(prefix, "due"), *due),
        encoded("ZADD", of_subject, *(word for id in ids for word in (now, id))),
        encoded("EXPIREAT", of_subject, expires),
    ]
    redis.send(b"".join(commands))
    for _ in commands:
        redis.answer()


def _record(subject, id, created, ends):
    fields = {
        "version": 1,
        "subject": subject,
        "issuer": ISSUER,
        "method": "password",
        "roles": [ROLE],
        "scopes": [SCOPE],
        "claims": {"email": f"{subject}@example.com"},
        "created": created,
        "ends": ends,
        "idle_s": IDLE_S,
        "family": id,
        "user_agent": USER_AGENT,
        "address": "192.0.2.1",
    }
    return json.dumps(fields, separators=(",", ":"))


def _lately():
    return int(time.time()) - random.randrange(TOUCHED_EVERY_S)


def _digest(*texts):
    digest = hashlib.sha256()
    for text in texts:
        digest.update(struct.pack(">Q", len(text.encode())) + text.encode())
    return _encode(digest.digest())


def _key(prefix, name):
    return f"{prefix}:{{revocations}}:{name}"


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _pieces(all):
    piece = []
    for one in all:
        piece.append(one)
        if len(piece) == PER_SUBJECT:
            yield piece
            piece = []
    if piece:
        yield piece
