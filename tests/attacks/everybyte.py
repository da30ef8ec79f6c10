"""Bytes of every value in every place that a peer controls, against the model."""

import contextlib
import re

from ground import connect, serving
from guessing import token_file
from harness.clients import Peer
from harness.lines import MAX_LINE, TOO_LONG, WHITE, pattern

BYTES = [bytes([value]) for value in range(256)]
MARK = b"Zq"  # stands beside every byte, so that it would be found in the log


def messages(byte):
    """BYTE in each place."""
    yield from (byte, byte * 40, byte + MARK, MARK + byte, MARK + byte + MARK, MARK + byte + b"\r")
    for command in (b"/stats", b"/time", b"/whoami", b"/help", b"/shutdown"):
        for at in range(len(command)):
            yield from (command[:at] + byte + command[at:], command[:at] + byte + command[at + 1:])
        yield from (command + byte, command + byte + MARK, command + b" " + byte + MARK,
                    command + b" " + MARK + byte)
    yield from (b"/" + byte, b"/" + MARK + byte, b"/shutdown " + byte, b"/shutdown " + MARK + byte + MARK)


def ask_lines(client):
    """All in one stream, cut where it falls, and the answers in their order."""
    asked = [message for byte in BYTES for message in messages(byte) if b"\n" not in message]
    client.send_in_background(b"".join(message + b"\n" for message in asked), finish=False)
    for message in asked:
        answer = client.line()
        assert re.fullmatch(pattern(message, "tcp"), answer), (message, answer)
    return len(asked)


def ask_ends(server):
    """As the last of a stream that ends without LF: a line is answered as if it had one."""
    for byte in BYTES:
        with connect(server) as client:
            assert client.ask_all(MARK + byte) == MARK + byte
    return len(BYTES)


def ask_overlong(client):
    for byte in BYTES:
        if byte != b"\n":
            longest = byte.replace(b"/", b".") * MAX_LINE + b"\n"
            assert client.ask(byte * (MAX_LINE + 1) + b"\n") == TOO_LONG, byte
            assert client.ask(longest) == longest
    return 2 * (len(BYTES) - 1)


def ask_datagrams(peer):
    """Long enough that no answer is longer than its question."""
    asked = 0
    for byte in BYTES:
        for message in messages(byte):
            # Behind a command white space does not count; an echo comes back as it is.
            message += b" " * 200
            if message.startswith(b"/") and not message[1:2].strip(WHITE):
                message += MARK
            answer = peer.ask(message)
            asked += 1
            assert re.fullmatch(pattern(message, "udp"), answer, re.DOTALL), (message, answer)
    return asked


def every_byte(polite):
    """In lines, datagrams, commands, arguments, guesses; and nothing of it gets into the log."""
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(token_file())
        server = stack.enter_context(serving("-vv", f"--shutdown-token-file={path}"))
        client = stack.enter_context(connect(server))
        polite.begin(server, client)
        peer = stack.enter_context(Peer("127.0.0.1", server.udp_port))
        asked = ask_lines(client) + ask_ends(server) + ask_overlong(client) + ask_datagrams(peer)
        figures = polite.end()
        client.close()
        server.stop()
        allowed = {
            "ts", "level", "msg", "role", "proto", "addr", "peer", "conn", "fd", "reason", "input", "unanswered",
            "answer", "sent", "came", "answers", "suppressed", "left_out", "cause", "privileges", "files", "calls",
            "version", "sockets", "max_tcp", "max_line", "max_datagram", "idle_timeout_s", "line_timeout_s",
            "drain_delay_s", "drain_timeout_s", "token", "root", "accepted", "busy", "lines", "datagrams",
            "answered", "dropped", "received"}
        assert {key for record in server.records for key in record} <= allowed
        assert MARK.decode() not in server.log_text()
        return {**figures, "messages": asked}
