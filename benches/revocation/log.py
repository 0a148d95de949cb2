"""The revocation log in Redis, written as the gateway writes it: see src/store/redis.rs for the keys
and src/store/record.rs for the records. Whoever follows it cannot tell the difference."""

import random
import socket
import time
from collections import deque
from dataclasses import dataclass

from children import LOCALHOST

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


class LogError(Exception):
    """Redis does not answer, or not as it should."""


class Redis:
    """A connection that speaks RESP2, one question after another or many at once."""

    def __init__(self, port):
        self.socket = socket.create_connection((LOCALHOST, port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def ask(self, *words):
        """The answer to one command."""
        self.send(encoded(*words))
        return self.answer()

    def send(self, commands):
        """Sends commands as `encoded` made them; each has an answer to be read."""
        self.socket.sendall(commands)

    def answer(self):
        """The next answer: a number, bytes, a list, or None."""
        line = self.answers.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.answers.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.answer() for _ in range(int(rest))]
        raise LogError(f"Redis answered {line[:200]!r}")

    def info(self, section):
        """INFO as a dictionary."""
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commands(self):
        """Commands that clients have sent, those inside scripts not counted; this one is one."""
        return int(self.info("stats")["total_commands_processed"])


def encoded(*words):
    """One command as it goes over the wire."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


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
            raise LogError("the log was not filled as it should be")


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
