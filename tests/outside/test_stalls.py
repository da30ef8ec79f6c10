"""A process that did not run for a while, a host that is gone: who is judged, and by what."""

import signal
import time

import pytest

from harness.wait import wait_until

TIMEOUT = 2  # seconds


@pytest.mark.plain
@pytest.mark.parametrize("kind, before, after, answer", [
    ("line", b"half ", b"other half\n", b"half other half\n"),
    ("idle", b"", b"here\n", b"here\n"),
])
def test_who_has_sent_something_meanwhile_is_heard_first(start, dial, trigger, kind, before, after, answer):
    server = start(f"--trigger={trigger}", f"--{kind}-timeout={TIMEOUT}")
    clients = [dial(server) for _ in range(100)]
    silent = dial(server)
    for client in [silent, *clients]:
        assert client.ask(b"hello\n") == b"hello\n"
    for client in [silent, *clients]:
        client.send(before)
    server.settle()
    with server.frozen():
        for client in clients:
            client.send(after)
        time.sleep(2 * TIMEOUT)  # the stall itself, not a wait for something
    for client in clients:
        assert client.line() == answer
    assert silent.rest() == (b"ERR line-timeout\n" if kind == "line" else b"")


def test_after_shutdown_the_first_signal_cuts_nobody_off(start, dial, token_file):
    server = start(f"--shutdown-token-file={token_file}", "--drain-timeout=25")
    reader = dial(server, receive_buffer=4096)
    sent = reader.clog((b"y" * 999 + b"\n") * 20_000)
    assert dial(server).ask(b"/shutdown open sesame\n") == b"OK, shutting down\n"
    server.deliver(signal.SIGTERM)
    reader.send_in_background(b"", finish=True)
    assert len(reader.rest()) >= sent - 1000  # but what was in the midst of a line
    server.ended()


@pytest.mark.plain
def test_memory_goes_back_after_a_wave(start, dial):
    """Of long unfinished lines, with a client that came in their midst and stays."""
    server = start("--max-line=1048576")
    before = dial(server)
    assert before.ask(b"hello\n") == b"hello\n"
    rest = server.memory()
    crowd = [dial(server) for _ in range(60)]
    for client in crowd[:30]:
        client.send(b"x" * 1_000_000)
    stays = dial(server)
    stays.send(b"held")
    for client in crowd[30:]:
        client.send(b"x" * 1_000_000)
    server.settle()
    assert server.memory() - rest > 50_000_000
    for client in crowd:
        client.close()
    # But the buffer that all share, which a line of that size has gone through.
    wait_until(lambda: server.memory() - rest < 1_500_000, "the memory to be given back")
    assert stays.ask(b"\n") == b"held\n"


@pytest.mark.parametrize("clients", [1, 200])  # more than one turn of the end looks at
def test_an_end_without_time_answers_what_was_sent_before(start, dial, trigger, clients):
    server = start(f"--trigger={trigger}", "--drain-timeout=0")
    clients = [dial(server) for _ in range(clients)]
    for client in clients:
        assert client.ask(b"hello\n") == b"hello\n"
    with server.frozen():
        for client in clients:
            client.send(b"question\n")
        server.signal(signal.SIGTERM)
    for client in clients:
        assert client.rest() == b"question\n"
    server.ended()
