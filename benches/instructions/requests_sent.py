"""The requests that are counted, and that a build with a profile learns from."""

from children import NotReady

BODY = "x" * 512


def request(path, field, body):
    """The request that each proxy is sent, as wrk would send it."""
    if body is None:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\n".encode()
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def drive(connection, asked, count):
    for _ in range(count):
        status, _ = connection.ask(asked)
        if status != 200:
            raise NotReady(f"a request was answered with {status}")
