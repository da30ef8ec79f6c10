"""Bytes of every value in every place that a peer controls, against the contract written anew."""

import contextlib
import re

from ground import Client, serving
from guessing import token_file
from harness import TOO_LONG, Peer

BYTES = [bytes([value]) for value in range(256)]
WHITE = b" \t\n\v\f\r"
STATS = rb"total_clients=\d+ active_udp_peers=\d+ connected_tcp=\d+( \w+=\d+)*\n"
TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\n"
WHOAMI = rb"proto=%s peer=127\.0\.0\.1:\d+ local=127\.0\.0\.1:\d+\n"
HELP = rb"[^\n]*/stats[^\n]*\n"
GUESS = rb"ERR shutdown-(token-invalid|throttled)\n"
MARK = b"Zq"  # stands beside every byte, so that it would be found in the log


def expected(message, protocol):
    """A pattern for the answer to MESSAGE: a line without its LF, or a datagram."""
    if not message.startswith(b"/"):
        return re.escape(message + b"\n" * (protocol == b"tcp"))
    name = re.match(rb"[^%s]*" % re.escape(WHITE), message)[0]
    argument = message[len(name):].lstrip(WHITE).rstrip(b"\r\n")
    known = {b"/stats": STATS, b"/time": TIME, b"/whoami": WHOAMI % protocol, b"/help": HELP}
    if name == b"/shutdown" and protocol == b"udp":
        return rb"ERR shutdown-not-allowed\n"
    if name == b"/shutdown":
        return GUESS if argument else rb"ERR shutdown-token-required\n"
    return known.get(name, rb"ERR unknown-command\n")


def messages(byte):
    """BYTE in each place."""
    yield from (byte, byte * 40, byte + MARK, MARK + byte, MARK + byte + MARK, MARK + byte + b"\r")
    for command in (b"/stats", b"/time", b"/whoami", b"/help", b"/shutdown"):
        for at in range(len(command)):
            yield from (command[:at] + byte + command[at:], command[:at] + byte + command[at + 1:])
        yield from (command + byte, command + byte + MARK, command + b" " + byte + MARK,
                    command + b" " + MARK + byte)
    yield from (b"/" + byte, b"/" + MARK + byte, b"/shutdown " + byte, b"/shutdown " + MARK + byte + MARK)


def lines():
    for byte in BYTES:
        yield from (message for message in messages(byte) if b"\n" not in message)


def ask_lines(client, asked):
    """All in one stream, cut where it falls, and the answers in their order."""
    client.send_in_background(b"".join(message + b"\n" for message in asked), finish=False)
    for message in asked:
        answer = client.line()
        assert re.fullmatch(expected(message, b"tcp"), answer), (message, answer)
    return len(asked)


def ask_ends(server):
    """As the last of a stream that ends without LF: a line is answered as if it had one."""
    for count, byte in enumerate(value for value in BYTES if value != b"\n"):
        with Client("127.0.0.1", server.tcp_port) as client:
            client.send(MARK + byte)
            client.finish()
            assert client.rest() == MARK + byte
    return count + 1


def ask_overlong(client):
    for byte in BYTES:
        if byte != b"\n":
            assert client.ask(byte * 4097 + b"\n") == TOO_LONG, byte
            assert client.ask(byte.replace(b"/", b".") * 4096 + b"\n") == byte.replace(b"/", b".") * 4096 + b"\n"
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
            assert re.fullmatch(expected(message, b"udp"), answer, re.DOTALL), (message, answer)
    return asked


def every_byte(polite):
    """In lines, datagrams, commands, arguments, guesses; and nothing of it gets into the log."""
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(token_file())
        server = stack.enter_context(serving("-vv", f"--shutdown-token-file={path}"))
        client = stack.enter_context(Client("127.0.0.1", server.tcp_port))
        polite.begin(server, client)
        peer = stack.enter_context(contextlib.closing(Peer("127.0.0.1", server.udp_port)))
        asked = ask_lines(client, list(lines())) + ask_ends(server) + ask_overlong(client) + ask_datagrams(peer)
        figures = polite.end()
        client.close()
        server.stop()
        allowed = {"ts", "level", "msg", "proto", "addr", "peer", "fd", "reason", "input", "unanswered", "answer",
                   "sent", "came", "answers", "suppressed", "cause"}
        assert {key for record in server.records for key in record} <= allowed
        assert MARK.decode() not in server.log_text()
        return {**figures, "messages": asked}
