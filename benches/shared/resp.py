"""A client of Redis: as much of one as the measurements need."""

import re
import socket

from children import LOCALHOST

CALLS = re.compile(r"^calls=(\d+)")


class RedisError(Exception):
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
        raise RedisError(f"Redis answered {line[:200]!r}")

    def info(self, section):
        """INFO as a dictionary."""
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commands(self):
        """Commands that clients have sent, those inside scripts not counted; this one is one."""
        return int(self.info("stats")["total_commands_processed"])

    def calls(self):
        """How often each command was called, those inside scripts too, and INFO not."""
        found = self.info("commandstats").items()
        calls = {name.removeprefix("cmdstat_"): int(CALLS.match(told)[1]) for name, told in found}
        calls.pop("info", None)
        return calls

    def used_memory(self):
        """Bytes that the server has taken for what it holds."""
        return int(self.info("memory")["used_memory"])


def encoded(*words):
    """One command as it goes over the wire."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)
