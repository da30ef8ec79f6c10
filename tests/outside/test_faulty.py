"""The role faulty: what it is asked to do wrong, and nothing else.

A delay may be late on a busy machine, and is never early."""

import re
import shlex
import signal
import time

import pytest

from harness import network
from harness.clients import Client
from harness.daemon import ROOT
from harness.wait import wait_until

HOUR = 3_600_000  # milliseconds: longer than any test
ROWS = re.findall(r"^\.It (?:Li )?(\"?/.+)$", (ROOT / "man/epoll-echo.8").read_text(), re.MULTILINE)
EXAMPLES = [[" ".join(word for word in shlex.split(cell) if word != "Li") for cell in row.split(" Ta ")]
            for row in ROWS if " Ta " in row]
MIB = 1 << 20
BYTES = 300 * MIB
UNREAD = b"unread\n" * 5_000_000
SETTLED = 5 * MIB  # of memory: the datagrams that may wait, and what malloc keeps beside them


@pytest.fixture(scope="module")
def server(module_start, trigger):
    return module_start(f"--trigger={trigger}", "--listen=faulty:0", listening=4)


def tcp(server):
    return server.port_of("tcp", role="faulty")


def udp(server):
    return server.port_of("udp", role="faulty")


@pytest.fixture
def faulty(server, dial, host):
    return dial(server, host, port=tcp(server))


def all_until_reset(client):
    """What comes before the reset, which has to come."""
    everything = b""
    with pytest.raises(ConnectionResetError):
        while piece := client.socket.recv(65536):
            everything += piece
    return everything


def waits(server, client):
    """Everything has arrived, and nothing more is done."""
    client.delivered()
    server.settle()
    return client


def test_there_is_an_example_of_every_command():
    usage = {"/delay", "/drip", "/drop", "/close", "/reset", "/pause", "/bytes"}
    assert {sent.split()[0] for sent, _, _ in EXAMPLES} == usage


@pytest.mark.parametrize("sent, answer", [(sent, answer) for sent, answer, _ in EXAMPLES])
def test_the_examples_of_the_manual_by_tcp(faulty, sent, answer):
    faulty.send(sent.encode() + b"\nafter\n")
    if answer == "a reset":
        assert all_until_reset(faulty) == b""
    elif answer == "the end":
        assert faulty.rest() == b""
    else:
        before = b"" if answer == "nothing" else answer.encode() + b"\n"
        assert faulty.read(len(before) + 6) == before + b"after\n"


@pytest.mark.parametrize("sent, answer", [(sent, answer) for sent, _, answer in EXAMPLES])
def test_the_examples_of_the_manual_by_udp(server, peer, host, sent, answer):
    asked = peer(server, host, port=udp(server))
    asked.send(sent.encode())
    if answer != "nothing":
        assert asked.receive() == answer.encode() + b"\n"
    assert asked.ask(b"after") == b"after"


@pytest.mark.parametrize("milliseconds", [1, 250, 1001])
def test_a_delay_is_never_early(server, faulty, peer, milliseconds):
    line = f"/delay {milliseconds} x\n".encode()
    begun = time.monotonic()
    assert faulty.ask(line) == b"x\n"
    between = time.monotonic()
    assert peer(server, port=udp(server)).ask(line) == b"x\n"
    assert min(between - begun, time.monotonic() - between) >= milliseconds / 1000


def test_drips_and_pauses_are_never_early(faulty):
    begun = time.monotonic()
    assert faulty.ask(b"/drip 50 hello\n") == b"hello\n"
    between = time.monotonic()
    assert faulty.ask(b"/pause 300\nafter\n") == b"after\n"
    assert min(between - begun, time.monotonic() - between) >= 0.3


def test_later_answers_wait_behind_a_delay_by_tcp(faulty):
    lines = b"before\n/delay 200 first\nsecond\n/drip 10 third\n/delay 0 fourth\nfifth\n"
    assert faulty.ask_all(lines) == b"before\nfirst\nsecond\nthird\nfourth\nfifth\n"


def test_others_go_on_by_udp(server, peer, host):
    asked = peer(server, host, port=udp(server))
    for sent in (b"/delay 2000 third", b"/delay 1000 second", b"first"):
        asked.send(sent)
    assert [asked.receive() for _ in range(3)] == [b"first", b"second\n", b"third\n"]


def test_a_client_may_have_ended_its_side(faulty):
    assert faulty.ask_all(b"/delay 300 late\nand a line without its end") == b"late\nand a line without its end"


def test_a_close_amid_pipelined_lines_is_a_clean_end(faulty):
    faulty.send(b"one\n/delay 100 two\n/close\nnever\n" * 100)
    assert faulty.rest() == b"one\ntwo\n"


def test_a_reset_amid_pipelined_lines_is_one(faulty):
    faulty.send(b"one\n/delay 100 two\n/reset\nnever\n" * 100)
    assert all_until_reset(faulty) == b"one\ntwo\n"


def test_a_pause_fills_the_windows(server, faulty):
    faulty.send(f"/pause {HOUR}\n".encode())
    sent = faulty.clog(UNREAD)
    server.settle()
    assert sent < len(UNREAD)
    assert faulty.unsent() > 0, "the server's window has room"
    assert faulty.silent(), "it has been read from"


def test_after_a_pause_all_is_read(faulty):
    faulty.send(b"/pause 1000\n")
    faulty.send_in_background(UNREAD)
    assert faulty.rest() == UNREAD


@pytest.mark.plain
def test_many_bytes_are_never_held(server, faulty):
    assert len(faulty.ask(b"/bytes 1000000\n")) == 1_000_000
    before = most = server.memory()
    faulty.send(f"/bytes {BYTES}\nafter\n".encode())
    left = BYTES
    while left > 0:
        piece = faulty.read(min(left, 10 * MIB))
        left -= len(piece)
        assert piece.strip(b"x") == (b"" if left else b"\n")
        most = max(most, server.memory())
    assert faulty.line() == b"after\n"
    assert most - before < MIB


@pytest.mark.plain
def test_bytes_that_nobody_reads_are_not_made(server, faulty):
    before = server.memory()
    waits(server, faulty).send(f"/bytes {BYTES}\n".encode())
    waits(server, faulty)
    assert server.memory() - before < MIB


def test_timeouts_stand_still_while_it_waits(start, dial):
    """What has begun behind the delay is late only after it, and so is what is silent."""
    server = start("--listen=faulty:0", "--idle-timeout=1", "--line-timeout=1", listening=4)
    begun, silent = (dial(server, port=tcp(server)) for _ in range(2))
    begun.send(b"/delay 3000 x\nbegun")
    silent.send(b"/delay 3000 x\n")
    assert (begun.rest(), silent.rest()) == (b"x\nERR line-timeout\n", b"x\n")


def test_who_resets_while_it_waits_is_gone_at_once(start, dial, trigger):
    server = start(f"--trigger={trigger}", "--listen=faulty:0", listening=4)
    settled = server.descriptors()
    clients = [dial(server, port=tcp(server)) for _ in range(3)]
    for client, command in zip(clients, ("/delay {} x", "/drip {} x", "/pause {}")):
        client.send((command.format(60_000 if "drip" in command else HOUR) + "\n").encode())
        waits(server, client)
    assert server.descriptors() == settled + 3
    for client in clients:
        client.reset()
    wait_until(lambda: server.descriptors() == settled, "the connections to be gone")


@pytest.mark.parametrize("trigger", ["level", "edge"])
def test_at_a_graceful_end_all_that_waits_goes_out_in_order(start, dial, peer, trigger):
    server = start(f"--trigger={trigger}", "--listen=faulty:0", listening=4)
    client, asked = dial(server, port=tcp(server)), peer(server, port=udp(server))
    client.send(f"/delay {HOUR} one\ntwo\n/drip 60000 three\n/pause {HOUR}\n/delay {HOUR} four\nfive\n".encode())
    for sent in (b"/delay 3000000 second", b"/delay 3500000 third", b"/delay 2500000 first"):
        asked.send(sent)
    waits(server, client)
    assert client.silent()
    server.signal(signal.SIGTERM)
    assert client.rest() == b"one\ntwo\nthree\nfour\nfive\n"
    assert [asked.receive() for _ in range(3)] == [b"first\n", b"second\n", b"third\n"]
    server.ended()


@pytest.mark.parametrize("trigger", ["level", "edge"])
def test_who_waits_has_a_turn_yet_where_the_end_may_take_no_time(start, dial, trigger):
    server = start(f"--trigger={trigger}", "--drain-timeout=0", "--listen=faulty:0", listening=4)
    clients = [dial(server, port=tcp(server)) for _ in range(20)]
    for client in clients:
        client.send(f"/delay {HOUR} one\n".encode())
        client.delivered()
    server.settle()
    server.signal(signal.SIGTERM)
    assert {client.rest() for client in clients} == {b"one\n"}
    server.ended()


def forge_all(count, target, data):
    """From as many sources."""
    for i in range(count):
        network.forge((f"127.1.{i >> 8}.{i & 255}", 40000), target, data, device="lo")


@pytest.mark.plain
def test_a_forged_flood_of_delays_stays_small_and_keeps_nobody_out(start, peer, namespace):
    server = start("--listen=faulty:0", listening=4)
    target = ("127.0.0.1", udp(server))
    asked = peer(server, port=udp(server))
    assert asked.ask(b"/delay 1 x") == b"x\n"
    before = server.memory()

    def flooded():
        """Some is lost on the way where the machine is busy."""
        forge_all(3000, target, f"/delay {HOUR} x".encode())
        forge_all(300, target, f"/delay {HOUR} ".encode() + b"x" * 60_000)
        server.settle()
        return server.stats()["udp_dropped"] >= 2000

    wait_until(flooded, "a flood")
    assert server.memory() - before < SETTLED
    assert asked.ask(b"/delay 100 x") == b"x\n"


def test_a_vanished_client_of_a_delayed_datagram_harms_nobody(server, peer):
    with peer(server, port=udp(server)) as gone:
        gone.send(b"/delay 200 x")
    assert peer(server, port=udp(server)).ask(b"/delay 400 y") == b"y\n"


def test_no_other_port_knows_these_commands(server, dial):
    assert dial(server).ask(b"/delay 0 x\n") == b"ERR unknown-command\n"
    assert b" /delay MS TEXT " not in dial(server).ask(b"/help\n")
    with Client("127.0.0.1", tcp(server)) as client:
        assert b" /delay MS TEXT " in client.ask(b"/help\n")
