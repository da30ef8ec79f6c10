"""TCP: lines in, lines out, however the stream is cut."""

import random
import socket

import pytest

from harness.lines import MAX_LINE, TOO_LONG, Stream, random_bytes

EVERY_BYTE_BUT_LF = bytes(byte for byte in range(256) if byte != 0x0A)
LONGEST = b"x" * MAX_LINE + b"\n"
OVERLONG = b"y" * (MAX_LINE + 1) + b"\n"


@pytest.fixture
def client(server, dial, host):
    return dial(server, host)


# What is sent, and what comes back until the end.
STREAMS = {
    "nothing": (b"", b""),
    "word": (b"hello\n", b"hello\n"),
    "empty": (b"\n", b"\n"),
    "terminators": (b"a\r\nb\n\r\na\rb\r\n", b"a\r\nb\n\r\na\rb\r\n"),
    "every byte": (EVERY_BYTE_BUT_LF + b"\n", EVERY_BYTE_BUT_LF + b"\n"),
    "no command": (b" /stats\n", b" /stats\n"),
    "longest": (LONGEST, LONGEST),
    "commands among lines": (b"1\n/x\n2\n/x\n3\n", b"1\nERR unknown-command\n2\nERR unknown-command\n3\n"),
    "unterminated": (b"whole\nrest", b"whole\nrest"),
    "unterminated with CR": (b"whole\nrest\r", b"whole\nrest\r"),
    "unterminated, longest": (b"whole\n" + LONGEST[:-1], b"whole\n" + LONGEST[:-1]),
    "unterminated command": (b"/nonsense", b"ERR unknown-command\n"),
    "CR counts": (LONGEST[:-1] + b"\r\nnext\n", TOO_LONG + b"next\n"),
    "overlong among lines": (b"before\n" + OVERLONG + b"after\n", b"before\n" + TOO_LONG + b"after\n"),
    "overlong command": (b"/" + OVERLONG + b"next\n", TOO_LONG + b"next\n"),
    "overlong and unterminated": (OVERLONG[:-1], TOO_LONG),
    "a megabyte": (b"x" * 1_000_000 + b"\nnext\n", TOO_LONG + b"next\n"),
    "good lines between overlong ones": ((OVERLONG + b"good\n") * 3, (TOO_LONG + b"good\n") * 3),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_answered(client, name):
    question, answer = STREAMS[name]
    assert Stream().add(question).end().answer == answer  # the model says the same
    assert client.ask_all(question) == answer


@pytest.mark.parametrize("seed", range(4))
def test_the_cut_into_packets_changes_nothing(client, seed):
    """Lines around the limit, none overlong twice in a row, sent in random pieces."""
    chance = random.Random(seed)
    stream = Stream()
    for _ in range(40):
        length = chance.choice([0, 1, 7, 1000, MAX_LINE - 1, MAX_LINE])
        stream.add(random_bytes(chance, length).replace(b"/", b"-") + b"\n")
        if chance.random() < 0.3:
            stream.add(b"z" * (MAX_LINE + chance.choice([1, 2, 5000])) + b"\nbetween\n")
    question = stream.question
    while question:
        size = chance.choice([1, 2, 100, 1460, MAX_LINE, 20000])
        client.send(question[:size])
        del question[:size]
    client.finish()
    assert client.rest() == stream.answer


def test_nothing_is_answered_before_the_lf(client, server, dial, host):
    client.send(b"begun")
    assert dial(server, host).ask(b"another\n") == b"another\n"
    assert client.silent()
    assert client.ask(b" and ended\n") == b"begun and ended\n"


@pytest.mark.parametrize("pieces, answer", [
    ([b"ab", (b"c",), b"d\n"], b"abcd\n"),
    ([b"ab", (b"\n",)], b"ab\n"),
    ([(b"x",), b"\n"], b"x\n"),
    ([b"a\n", (b"b",), (b"c",), b"\n"], b"a\nbc\n"),
])
def test_urgent_bytes_stand_in_the_stream(client, pieces, answer):
    for piece in pieces:
        if isinstance(piece, tuple):
            client.socket.send(piece[0], socket.MSG_OOB)
        else:
            client.send(piece)
        client.delivered()
    assert client.read(len(answer)) == answer
    assert client.ask_all(b"") == b""


# Overlong lines


def test_one_byte_too_many_is_answered_before_the_line_ends(client):
    client.send(b"x" * MAX_LINE)
    assert client.ask(b"x") == TOO_LONG
    assert client.ask(b"still it\nnext\n") == b"next\n"


@pytest.mark.parametrize("more", [b"", b"\n", b"\n" + b"more\n" * 6000], ids=["begun", "whole", "more"])
def test_the_second_overlong_line_in_a_row_ends_the_connection(client, more):
    """Also before it ends, and for a client that goes on sending."""
    client.send(OVERLONG + OVERLONG[:-1] + more)
    assert client.rest() == TOO_LONG + TOO_LONG


@pytest.mark.parametrize("limit", [1, 10, 1 << 20])
def test_max_line_sets_the_limit(start, trigger, dial, host, limit):
    client = dial(start(f"--trigger={trigger}", f"--max-line={limit}"), host)
    longest = b"x" * limit + b"\n"
    client.send(longest)
    assert client.line() == longest
    client.send(b"x" + longest + longest)
    assert client.line() == TOO_LONG
    assert client.line() == longest
