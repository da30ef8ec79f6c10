"""The pages of the role http: one request a connection, as the programs that ask send it."""

import re
from typing import NamedTuple

from harness.clients import Client

HEAD_END = b"\r\n\r\n"


class Page(NamedTuple):
    """An answer, taken apart."""

    status: int
    fields: dict  # by their names in small letters
    body: bytes

    @classmethod
    def of(cls, answer):
        head, end, body = answer.partition(HEAD_END)
        first, *lines = head.decode("ascii").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [ -~]+", first)
        assert match and end == HEAD_END, answer
        fields = dict(re.fullmatch(r"([\w-]+): ([ -~]+)", line).groups() for line in lines)
        return cls(int(match[1]), {name.lower(): value for name, value in fields.items()}, body)


def ask(port, request, host="127.0.0.1"):
    """What comes for REQUEST, up to the server's end."""
    with Client(host, port) as client:
        client.send(request)
        return Page.of(client.rest())


def get(port, path, host="127.0.0.1"):
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), host)


def metrics(port):
    """The numbers of /metrics, by name and label as they stand there."""
    page = get(port, "/metrics")
    assert page.status == 200, page
    samples = [line.rsplit(" ", 1) for line in page.body.decode("ascii").splitlines() if not line.startswith("#")]
    numbers = {name: float(value) for name, value in samples}
    assert len(numbers) == len(samples), "a number stands there twice"
    return numbers
