"""Attacks on a port of the role faulty: whoever asks may have it wait, drip, pause and make bytes."""

import contextlib
import time

from crowd import CONTROL, LINES, PROCESS_MOST, bare, clog
from datagrams import HERE, PEERS_MOST, Forger, forging
from ground import connect, resident, serving
from harness.clients import Client, Peer
from harness.wait import wait_until

FAULTY = {"role": "faulty"}
HOUR = b"/delay 3600000 x"
DELAYED_MOST = 1024  # datagrams
WAITING_MOST = 220  # bytes of the process for a connection with a short line
PAUSE = (b"/pause 3600000\n" + LINES.encode() * (1 << 14))[: 1 << 20]
BYTES = b"/bytes 1073741824\n"


@contextlib.contextmanager
def faulty(polite, connections):
    """A daemon with such a port, a place to ask for the statistics, and room for so many."""
    most = connections + polite.connections + CONTROL + 1
    with serving("--listen=faulty:0", f"--max-tcp={most}") as server, connect(server) as control:
        yield server, control


def still_served(server):
    with Client("127.0.0.1", server.port_of("tcp", **FAULTY)) as client:
        assert client.ask(b"/delay 1 served\n") == b"served\n"


def asked_until_answered(honest):
    """How often a delay of 50 ms was asked for until the answer came: the kernel drops what it has no
    room for."""
    asked = []

    def answered():
        asked.append(time.monotonic())
        honest.send(b"/delay 50 %d" % len(asked))
        with contextlib.suppress(TimeoutError):
            return honest.receive()
        return None

    wait_until(answered, "an honest client to be answered")
    assert time.monotonic() - asked[0] >= 0.05
    return len(asked)


def forged_delays(polite, heard, answers):
    """Delays of an hour from sources that do not exist, until the daemon has had HEARD, while an honest
    client gets ANSWERS."""
    with forging(), faulty(polite, 0) as (server, control):
        port = server.port_of("udp", **FAULTY)
        forger = Forger(port, HOUR.decode())
        # Both tables are touched from end to end.
        while control.stats()["active_udp_peers"] < PEERS_MOST:
            forger.finish(forger.start(10_000))
        polite.begin(server, control)
        first, before = resident(server), control.stats()
        flood = forger.start(heard)
        with Peer(HERE, port) as honest:
            honest.socket.settimeout(0.5)
            asked = sum(asked_until_answered(honest) for _ in range(answers))
        figures = polite.end()
        forger.finish(flood)
        while (now := control.stats())["total_clients"] - before["total_clients"] < heard:
            forger.finish(forger.start(min(500_000, heard)))
        grown = resident(server) - first
        assert grown <= 64 * 1024, grown
        # One too many costs one that waits, and is counted.
        assert now["udp_dropped"] - before["udp_dropped"] >= heard - DELAYED_MOST
        return {**figures, "heard": now["total_clients"] - before["total_clients"], "answers": answers, "asked": asked,
                "rss_grown_kb": grown / 1024}


def hours(polite, connections):
    """Each connection waits for an hour."""
    with faulty(polite, connections) as (server, control), contextlib.ExitStack() as stack:
        still_served(server)
        before = server.memory()
        for _ in range(connections):
            stack.enter_context(bare(server, **FAULTY)).sendall(HOUR + b"\n")
        wait_until(lambda: control.stats()["connected_tcp"] == connections + CONTROL, "all to be connected")
        server.settle()  # nobody wakes it up before the hour is over
        each = (server.memory() - before) / connections
        assert each <= WAITING_MOST, each
        polite.begin(server, control)
        still_served(server)
        return {**polite.end(), "connections": connections, "each_bytes": each}


def unread(polite, connections, text):
    """Each asks for more than its socket holds, or has its input left unread, and takes nothing."""
    with faulty(polite, connections) as (server, control), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(bare(server, **FAULTY)) for _ in range(connections)]
        wait_until(lambda: control.stats()["connected_tcp"] == connections + CONTROL, "all to be connected")
        before = server.memory()
        if text == BYTES:
            for client in clients:
                client.sendall(text)
        else:
            clog(clients, [text])
        server.settle()
        each = (server.memory() - before) / connections
        assert each <= PROCESS_MOST, each
        polite.begin(server, control)
        still_served(server)
        return {**polite.end(), "connections": connections, "process_kb": each / 1024}


def drips(polite, connections, count):
    """Each has COUNT bytes come one by one, a millisecond apart, and reads them."""
    text = b"x" * (count - 1) + b"\n"
    with faulty(polite, connections) as (server, control), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(bare(server, **FAULTY)) for _ in range(connections)]
        polite.begin(server, control)
        sent, begun = control.stats()["tcp_bytes_out"], server.cpu_seconds()
        at = time.monotonic()
        for client in clients:
            client.sendall(b"/drip 1 " + text)
        figures = polite.end()
        still_served(server)
        for client in clients:
            received = b""
            while not received.endswith(b"\n"):
                received += client.recv(65536)
            assert received == text
        seconds, busy = time.monotonic() - at, server.cpu_seconds() - begun
        assert control.stats()["tcp_bytes_out"] - sent >= count * connections
        return {**figures, "connections": connections, "cpu_percent": 100 * busy / seconds}
