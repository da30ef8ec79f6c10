"""Many connections, slow readers, much data: nothing is lost and memory stays bounded."""

import hashlib
import random

import pytest

from harness.daemon import all_descriptors
from harness.lines import TOO_LONG
from harness.wait import wait_until

PAGE_BYTES = 4096
LINE = b"%07d " + b"x" * 91 + b"\n"  # a hundred bytes


def lines(size):
    return b"".join(LINE % number for number in range(size // 100))


@pytest.fixture
def server(start, trigger):
    return start(f"--trigger={trigger}", "--max-tcp=10010")


def test_a_slow_reader_gets_every_byte_of_20_megabytes(server, dial, host):
    question, answer = lines(20_000_000), bytearray()
    client = dial(server, host, receive_buffer=4096)
    sending = client.send_in_background(question)
    wait_until(lambda: client.unsent() > 0, "the server to stop reading")
    pieces = random.Random(1)
    while piece := client.read(pieces.choice([1, 100, 4096, 300_000])):
        answer += piece
    sending.join()
    assert hashlib.sha256(answer).digest() == hashlib.sha256(question).digest()  # a difference is not to be shown


@pytest.mark.parametrize("last, answer", [
    (b"an unterminated end", b"an unterminated end"),
    (b"z" * 100_000 + b"\nend\n", TOO_LONG + b"end\n"),
], ids=["unterminated", "overlong"])
def test_what_comes_behind_unread_megabytes_is_answered_in_its_place(server, dial, host, last, answer):
    """To a half-closed connection."""
    question = lines(4_000_000)
    client = dial(server, host, receive_buffer=4096)
    sending = client.send_in_background(question + last)
    wait_until(lambda: client.unsent() > 0 or not sending.is_alive(), "the sender to be ahead")
    assert client.rest() == question + answer
    sending.join()


@pytest.mark.plain
def test_ten_thousand_connections_cost_at_most_64_bytes_each_when_idle(server, dial):
    if all_descriptors() < 10_500:
        pytest.skip(f"needs 10,500 descriptors, the hard limit is {all_descriptors()}")
    clients = []
    memory = {}
    for count in (5_000, 10_000):
        fresh = [dial(server) for _ in range(count - len(clients))]
        for client in fresh:
            client.send(b"warm up\n")
        for client in fresh:
            assert client.line() == b"warm up\n"
        clients += fresh
        memory[count] = server.memory()
    assert server.stats()["connected_tcp"] == 10_001
    for client in random.Random(1).sample(clients, 500):
        assert client.ask(b"still here\n") == b"still here\n"
    grown = memory[10_000] - memory[5_000]
    assert grown <= 64 * 5_000 + PAGE_BYTES, f"{grown / 5_000:.1f} bytes each"


@pytest.mark.plain
def test_what_was_owed_costs_no_memory_once_it_is_sent(start, dial, trigger):
    server = start("--socket-buffer=32768", f"--trigger={trigger}")
    clients = [dial(server, receive_buffer=4096) for _ in range(400)]
    question = lines(30_000)
    for client in clients:
        client.send(question)
        assert client.read(len(question)) == question
    server.settle()
    idle = server.memory()
    for _ in range(2):
        with server.frozen():
            for client in clients:
                client.send(question)
        server.settle()
    owing = server.memory()
    for client in clients:
        assert client.read(2 * len(question)) == 2 * question
    assert owing - idle > 500_000  # or this would show nothing
    wait_until(lambda: server.memory() - idle < 100_000, "the memory to be given back")
