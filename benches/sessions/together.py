"""Connections that ask for the same thing at the same moment."""

import select
import socket
import time

from children import LOCALHOST
from http1 import HttpError

ANSWER_TIMEOUT_S = 10


class Together:
    """Kept-alive connections, all of which a gateway has served before."""

    def __init__(self, port, count, request):
        self.sockets = [socket.create_connection((LOCALHOST, port), timeout=30) for _ in range(count)]
        for one in self.sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(request)
        self.answers()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()

    def send(self, request):
        """Sends a request on each; when each was sent, in seconds."""
        sent = []
        for one in self.sockets:
            sent.append(time.monotonic())
            one.sendall(request)
        return sent

    def is_any_answered(self):
        """Whether there is anything to read."""
        return bool(select.select(self.sockets, [], [], 0)[0])

    def answers(self):
        """When each was answered, in seconds; all must be permitted."""
        poll, number_of = select.epoll(), {}
        for number, one in enumerate(self.sockets):
            poll.register(one, select.EPOLLIN)
            number_of[one.fileno()] = number
        answered, give_up = [None] * len(self.sockets), time.monotonic() + ANSWER_TIMEOUT_S
        while None in answered:
            ready = poll.poll(max(0.0, give_up - time.monotonic()))
            if not ready:
                raise HttpError(f"{answered.count(None)} of {len(answered)} requests were not answered")
            now = time.monotonic()
            for file, _ in ready:
                number = number_of[file]
                # An answer of so few bytes comes in one piece.
                text = self.sockets[number].recv(65536)
                if not text.startswith(b"HTTP/1.1 200 "):
                    raise HttpError(f"a request was answered {text[:100]!r}")
                answered[number] = now
        poll.close()
        return answered
