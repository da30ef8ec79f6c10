"""A server that does something wrong is found out, and what is wrong has a name."""

import json
import socket
import subprocess
import time
from pathlib import Path

import pytest

import faulty
from harness.daemon import Daemon
from harness.wait import PATIENCE
from program import BENCH, bench

WAIT = "--timeout=30"


def kinds(result):
    return {name: count for name, count in result["error_kinds"].items() if count}


def change_at(at, change):
    return faulty.answering(lambda number, line: change(line) if number == at else line)


@pytest.mark.parametrize("at", [0, 1, 37])
def test_one_changed_bit(serve, at):
    address = serve(change_at(at, lambda line: line[:-2] + bytes([line[-2] ^ 1]) + line[-1:]))
    result = bench("--verify", WAIT, "-c", 1, "-d", 4, "-n", 50, address).json(status=1)
    assert kinds(result) == {"corrupt": 1}
    assert f"message {at} of connection 0" in result["first_error"]


def test_a_line_without_its_end_shows_without_verify(serve):
    address = serve(change_at(3, lambda line: line[:-1] + b"x"))
    result = bench(WAIT, "-c", 1, "-n", 10, address).json(status=1)
    assert kinds(result) == {"corrupt": 1}


def test_a_dropped_line(serve):
    address = serve(change_at(20, lambda line: b""))
    result = bench("--timeout=1", "-c", 1, "-n", 50, address).json(status=1)
    assert kinds(result) == {"lost": 1}
    assert result["messages"] < 50


def test_an_answer_to_nothing(serve):
    address = serve(change_at(5, lambda line: line * 2))
    result = bench(WAIT, "-c", 1, "-n", 50, address).json(status=1)
    assert kinds(result)["unexpected"] >= 1


def test_a_connection_that_is_closed(serve):
    def talk(connection):
        for number, line in enumerate(faulty.lines(connection)):
            if number == 7:
                connection.sendall(b"Sorry\n")
                return
            connection.sendall(line)

    result = bench(WAIT, "-c", 3, "-n", 1000, serve(faulty.Tcp(talk))).json(status=1)
    assert kinds(result) == {"closed": 3}
    assert "Sorry" in result["first_error"]
    assert result["messages"] == 21


def test_a_server_that_is_full():
    with Daemon("--max-tcp=3") as daemon:
        result = bench(WAIT, "-c", 5, "-n", 100, daemon.address).json(status=1)
    assert kinds(result) == {"refused": 2}
    assert "the server says: Server Busy" in result["first_error"]
    assert result["messages"] > 0


def test_idle_connections_that_are_turned_away():
    with Daemon("--max-tcp=3") as daemon:
        result = bench(WAIT, "--idle=2", "-c", 2, "-t", 0.3, "-w", 0, daemon.address).json(status=1)
    assert kinds(result) == {"refused": 1}
    assert "Server Busy" in result["first_error"]


# 12 is the length of the answer, which so looks like an echo; 100 has a rest to wait for.
@pytest.mark.parametrize("options", [["-s", 5], ["-s", 12], ["-s", 100], ["-s", 100, "--verify"], ["--churn"]],
                         ids=["short", "alike", "long", "verify", "churn"])
def test_a_server_that_says_that_it_is_busy(serve, options):
    address = serve(faulty.answering(lambda number, line: b"Server Busy\n"))
    result = bench(*options, WAIT, "-c", 2, "-n", 2, address).json(status=1)
    assert kinds(result) == {"refused": 2}
    assert "Server Busy" in result["first_error"]
    assert (result["messages"], result["messages_per_second"]) == (0, None)


def test_a_datagram_that_is_refused(serve):
    address = serve(faulty.Udp(lambda number, datagram: [b"ERR too-long-line\n" if number == 3 else datagram]))
    result = bench("--udp", WAIT, "-c", 1, "-s", 100, "-n", 10, address).json(status=1)
    assert kinds(result) == {"refused": 1}
    assert "ERR too-long-line" in result["first_error"]
    assert result["messages"] == 9


def test_a_part_of_an_answer_is_shown(serve):
    address = serve(faulty.answering(lambda number, line: b"-ERR what?\r\n"))
    result = bench("--request=PING\\r\\n", "--reply-bytes=70", "--timeout=0.5", "-c", 1, "-n", 1,
                   address).json(status=1)
    assert kinds(result) == {"lost": 1}
    assert "-ERR what?" in result["first_error"]


@pytest.mark.parametrize("options", [[], ["--churn"], ["--udp", "-t", "0.5"]], ids=["tcp", "churn", "udp"])
def test_nobody_listens(options):
    run = bench(*options, "--timeout=1", "-w", 0, "127.0.0.1:1")
    assert run.status == 1
    assert "refused" in run.out + run.err


def test_churn_against_a_server_that_closes_early(serve):
    address = serve(faulty.Tcp(lambda connection: connection.recv(100)))
    result = bench("--churn", WAIT, "-c", 2, "-n", 10, address).json(status=1)
    # Each message has a connection of its own: one that fails is not the end of the others.
    assert kinds(result) == {"closed": 10}


def snmp(protocol, name):
    """A counter of the kernel's: snmp_counter(7)."""
    names, values = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()
                     if line.startswith(protocol + ":")]
    return int(values[names.index(name)])


@pytest.mark.parametrize("kind, counter, server", [
    ("--udp", ("Udp", "NoPorts"), lambda port: faulty.Udp(lambda number, datagram: [datagram], port)),
    ("--churn", ("Tcp", "AttemptFails"), lambda port: faulty.answering(lambda number, line: line, port)),
], ids=["udp", "churn"])
def test_a_server_that_comes_back(kind, counter, server):
    """A message that is refused is one error; later ones are answered once somebody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "--udp" else socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before, deadline = snmp(*counter), time.monotonic() + PATIENCE
    with subprocess.Popen([BENCH, "--json", kind, "-c", "2", "-n", "200", "-w", "0", "--timeout=20",
                           f"127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True) as running:
        while snmp(*counter) == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with server(port):
            result = json.loads(running.communicate(timeout=PATIENCE)[0])
    assert running.returncode == 1
    assert set(kinds(result)) == {"connect"}
    assert result["messages"] + result["errors"] == 200
    assert result["messages"] > 0


@pytest.mark.parametrize("kind", ["--udp", "--churn"])
def test_a_server_that_does_not_come_back(kind):
    """The run ends by --timeout, however many messages were wanted."""
    result = bench(kind, "-c", 2, "-n", "1e9", "--timeout=0.5", "127.0.0.1:1").json(status=1)
    assert set(kinds(result)) == {"connect"}
    assert result["messages"] == 0


def test_a_lost_datagram_does_not_hold_up_the_others(serve):
    address = serve(faulty.Udp(lambda number, datagram: [] if number == 5 else [datagram]))
    result = bench("--udp", "--timeout=1", "-c", 1, "-d", 4, "-n", 100, address).json(status=1)
    assert kinds(result) == {"lost": 1}
    assert result["messages"] == 99


def test_a_datagram_that_comes_twice(serve):
    address = serve(faulty.Udp(lambda number, datagram: [datagram] * (2 if number == 5 else 1)))
    result = bench("--udp", WAIT, "-c", 1, "-n", 100, address).json(status=1)
    assert kinds(result) == {"unexpected": 1}
    assert result["messages"] == 100


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b""],
                         ids=["short", "long", "empty"])
def test_a_datagram_of_another_length(serve, change):
    address = serve(faulty.Udp(lambda number, datagram: [change(datagram) if number == 3 else datagram]))
    result = bench("--udp", "--timeout=1", "-c", 1, "-n", 10, address).json(status=1)
    assert kinds(result) == {"corrupt": 1, "lost": 1}


def test_a_changed_datagram(serve):
    address = serve(faulty.Udp(lambda number, d: [d[:-2] + b"?\n" if number == 3 else d]))
    result = bench("--udp", "--verify", "--timeout=1", "-c", 1, "-n", 10, address).json(status=1)
    assert kinds(result) == {"corrupt": 1, "lost": 1}


def test_datagrams_in_the_wrong_order(serve):
    held = []

    def change(number, datagram):
        if number == 2:
            held.append(datagram)
            return []
        return [datagram, held[0]] if number == 3 else [datagram]

    result = bench("--udp", WAIT, "-c", 1, "-d", 4, "-n", 20, serve(faulty.Udp(change))).json(status=1)
    assert kinds(result) == {"reordered": 1}
    assert result["messages"] == 20
