"""Many connections, slow readers, much data: nothing is lost and memory stays bounded."""

import hashlib
import contextlib
import hashlib
import random
import threading

import pytest

from harness.daemon import all_descriptors
from harness.lines import TOO_LONG
from harness.wait import PATIENCE, wait_until

LINE = b"%07d " + b"x" * 91 + b"\n"  # a hundred bytes
SMALL_BUFFER = 16384


def lines(size):
    return b"".join(LINE % number for number in range(size // 100))


def in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


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


@pytest.mark.plain
def test_a_client_that_never_reads_costs_bounded_memory(server, dial):
    dial(server).ask(b"warm up\n")
    before = server.memory()
    assert 200_000 < dial(server, receive_buffer=4096).clog(lines(60_000_000)) < 60_000_000
    assert server.memory() - before < 500_000


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


def test_the_end_after_two_overlong_lines_costs_nothing_that_is_owed(server, dial, host):
    question = lines(500_000)
    client = dial(server, host, receive_buffer=4096)
    overlong = b"z" * 5000 + b"\n"
    sending = client.send_in_background(question + overlong * 2 + b"more\n" * 1_000_000)
    server.settle()
    expected = question + TOO_LONG * 2
    assert client.read(len(expected)) == expected
    client.close()
    sending.join()


def flood(client, question, stop):
    """Sends without end, and reads in another thread, as fast as both can."""

    def swallow():
        while client.socket.recv(1 << 20):
            pass

    reading = in_background(swallow)
    while not stop.is_set():
        client.send(question)
    client.finish()
    reading.join()


@pytest.mark.parametrize("question", [lines(1_000_000), b"\n" * 1_000_000], ids=["long", "short"])
def test_a_polite_client_beside_a_flood_gets_all_its_answers(server, dial, question):
    stop = threading.Event()
    floods = [in_background(flood, dial(server), question, stop) for _ in range(2)]
    try:
        polite = dial(server)
        for number in range(50):
            assert polite.ask(b"%d\n" % number) == b"%d\n" % number
        assert all(thread.is_alive() for thread in floods)
    finally:
        stop.set()
        for thread in floods:
            thread.join()


@pytest.mark.plain
def test_ten_thousand_connections_cost_at_most_96_bytes_each_when_idle(server, dial, trigger):
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
    assert memory[10_000] - memory[5_000] <= 96 * 5_000


@pytest.mark.plain
def test_a_thousand_clients_that_never_read_cost_bounded_memory(start, dial):
    """Small socket buffers bound the kernel's part, which would be gigabytes otherwise."""
    server = start(f"--socket-buffer={SMALL_BUFFER}")
    polite = dial(server)
    polite.ask(b"warm up\n")
    before = server.memory()
    question = lines(400_000)
    crowd = [dial(server, receive_buffer=4096, send_buffer=SMALL_BUFFER) for _ in range(1000)]
    for _ in range(2):
        for client in crowd:
            send_what_fits(client, question)
        assert polite.ask(b"here\n") == b"here\n"
    assert server.memory() - before < 1000 * 70_000


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


def send_what_fits(client, question):
    client.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.socket.send(question)
    client.socket.settimeout(PATIENCE)
