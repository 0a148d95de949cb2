"""The revocation log in Redis, written as the gateway writes it: see src/store/redis.rs for the keys
and src/store/record.rs for the records. Whoever follows it cannot tell the difference."""

import random
import time
from collections import deque
from dataclasses import dataclass

from resp import Redis, RedisError, encoded

# Whom each filled log cuts off, to see that it is in force.
REVOKED_SUBJECT = "user-0815"
# Each also has an entry of every kind that could hit a bearer token, so that a gateway looks for all
# of them. Those hit nobody: they cut off what was issued in 1970.
LONG_AGO = 1
FEWEST = 4
LIFETIME_S = 24 * 3600
# The log goes on from its last record; a gateway that starts reads nothing before it.
STREAM_TAIL = 1000
PIECE = 1000
# How many answers an append has.
ANSWERS = 4
# Where a gateway's admin listener takes revocations.
REVOCATIONS = "/v1/revocations"


@dataclass(frozen=True)
class Log:
    """The log below a prefix, and the connection to write it with."""

    redis: Redis
    prefix: str

    @property
    def stream(self):
        return f"{self.prefix}:{{revocations}}:log"

    @property
    def live(self):
        return f"{self.prefix}:{{revocations}}:live"

    def head(self):
        """How many records were ever appended."""
        if not self.redis.ask("EXISTS", self.stream):
            return 0
        told = self.redis.ask("XINFO", "STREAM", self.stream)
        return int(dict(zip(told[::2], told[1::2]))[b"last-generated-id"].split(b"-")[0])

    def append(self, sequence, record, expires):
        """The commands that append one record; they have four answers."""
        return b"".join(
            [
                encoded("MULTI"),
                encoded("XADD", self.stream, "MAXLEN", "~", 100000, f"{sequence}-0", "record", record),
                encoded("ZADD", self.live, expires, record),
                encoded("EXEC"),
            ]
        )

    def fill(self, issuer, entries):
        """Puts `entries` live records into an empty log, as many appends would have left it."""
        tail = deque(maxlen=STREAM_TAIL)
        for piece in _pieces(_records(issuer, entries)):
            tail.extend(record for record, _ in piece)
            self.redis.ask("ZADD", self.live, *(word for record, expires in piece for word in (expires, record)))
        for sequence, record in enumerate(tail, start=entries - len(tail) + 1):
            self.redis.ask("XADD", self.stream, f"{sequence}-0", "record", record)
        if self.redis.ask("ZCARD", self.live) != entries or self.head() != entries:
            raise RedisError("the log was not filled as it should be")


def token_record(issuer, token_id, expires):
    """The record of one revoked token."""
    return _record("token", expires, issuer, token_id)


def _records(issuer, entries):
    """(record, expiry) of revocations as a busy year brings them: mostly tokens and sessions."""
    number = random.Random(entries)
    now = int(time.time())
    yield _record("subject", now + LIFETIME_S, issuer, REVOKED_SUBJECT, now), now + LIFETIME_S
    for scope, id in (("key", "old-key"), ("issuer", None), ("everything", None)):
        named = None if scope == "everything" else issuer
        yield _record(scope, now + LIFETIME_S, named, id, LONG_AGO), now + LIFETIME_S
    for place in range(entries - FEWEST):
        expires = now + number.randrange(3600, LIFETIME_S)
        id = f"{number.getrandbits(128):032x}"
        if place % 10 < 6:
            yield _record("token", expires, issuer, id), expires
        elif place % 10 < 8:
            yield _record("session", expires, None, id), expires
        elif place % 10 < 9:
            yield _record("subject", expires, issuer, id, now), expires
        else:
            yield _record("client", expires, None, id, now), expires


def _record(scope, expires, issuer, id, cut_off=None):
    """JSON with the fields in the gateway's order. Nothing here needs escaping."""
    fields = [f'{{"kind":"revocation","scope":"{scope}"']
    fields += [f'"{name}":"{text}"' for name, text in (("issuer", issuer), ("id", id)) if text]
    if cut_off is not None:
        fields.append(f'"cut_off":{cut_off}')
    fields.append(f'"expires":{expires},"written_us":{time.time_ns() // 1000}')
    fields.append(f'"actor":"admin","reason":"","mark":{random.getrandbits(64)}}}')
    return ",".join(fields)


def _pieces(records):
    piece = []
    for one in records:
        piece.append(one)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece
