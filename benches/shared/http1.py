"""One kept-alive connection: as little as a client can do, because it shares the machine with what it
measures."""

import json
import socket
import urllib.parse

from children import LOCALHOST
from tokens import ADMIN_TOKEN


class HttpError(Exception):
    """An answer that cannot be read, or is not what was asked for."""


class Connection:
    """Requests go out as prepared bytes; answers must say how long they are."""

    def __init__(self, port):
        self.port = port
        self.sent = b""
        self._connect()

    def _connect(self):
        self.socket = socket.create_connection((LOCALHOST, self.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def ask(self, request):
        """The status and the body of the answer."""
        self.send(request)
        return self.answer()

    def send(self, request):
        """Sends a request whose answer is yet to be read."""
        self.sent = request
        self.socket.sendall(request)

    def answer(self):
        """The status and the body of the next answer. The gateway closes a connection after many
        requests, and ends a request in flight whose token is revoked; it is then asked once more."""
        try:
            status = self.answers.readline()
        except ConnectionResetError:
            status = b""
        if not status:
            self._connect()
            self.socket.sendall(self.sent)
            status = self.answers.readline()
        length = None
        while (line := self.answers.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is None:
            raise HttpError(f"the answer {status!r} does not tell its length")
        return int(status.split()[1]), self.answers.read(length)


def get(path, field):
    """A request with one more field in its head."""
    return f"GET {path} HTTP/1.1\r\nHost: {LOCALHOST}\r\n{field}\r\n\r\n".encode()


def post(path, **what):
    """A request with a body in JSON."""
    return _post(path, "application/json", json.dumps(what))


def order(path, **what):
    """The same for the admin API, with its token."""
    return _post(path, f"application/json\r\nAuthorization: Bearer {ADMIN_TOKEN}", json.dumps(what))


def form(path, **what):
    """A request with a body as a browser's form has it."""
    return _post(path, "application/x-www-form-urlencoded", urllib.parse.urlencode(what))


def _post(path, media, body):
    head = f"POST {path} HTTP/1.1\r\nHost: {LOCALHOST}\r\nContent-Type: {media}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
