"""Datagrams in trains: echo-bench --gso, against servers that take part in that and such that do not."""

import socket
import struct
import subprocess
import threading

import pytest

from harness.wait import PATIENCE
from program import BENCH, Run, bench

UDP_SEGMENT, UDP_GRO = 103, 104
WAIT = "--timeout=30"
HOSTS = ["127.0.0.1", "[::1]"]
# Size and depth, with no more in flight than the receive buffers hold.
SIZES = [(1, 2), (1, 64), (1, 200), (10, 5), (11, 65), (64, 200), (1200, 55), (1472, 16), (1472, 44), (32000, 2)]


class Echo:
    """Answers train N as a train with change(N, train, bytes of a datagram), and notes what has come. Not WHOLE,
    it is shown, and answers, datagram by datagram."""

    def __init__(self, host="127.0.0.1", whole=True, change=lambda number, train, step: train):
        self.change = change
        self.came = []  # bytes of each message, and of a datagram in it
        address = host.strip("[]")
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        if whole:
            self.socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        self.address = f"{host}:{self.socket.getsockname()[1]}"
        self.over = False

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over = True
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.socket.getsockname())

    def _serve(self):
        with self.socket:
            while True:
                train, control, _, peer = self.socket.recvmsg(65536, 64)
                if self.over:
                    return
                step = next((struct.unpack("i", value)[0] for level, kind, value in control
                             if (level, kind) == (socket.IPPROTO_UDP, UDP_GRO)), len(train))
                self.came.append((len(train), step))
                answer = self.change(len(self.came) - 1, train, step)
                told = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", step))] if len(answer) > step else []
                if answer:
                    self.socket.sendmsg([answer], told, 0, peer)


@pytest.fixture(params=HOSTS)
def host(request):
    return request.param


@pytest.mark.parametrize("size, depth", SIZES)
def test_every_datagram_comes_back_in_trains(host, size, depth):
    with Echo(host) as echo:
        result = bench("--udp", "--gso", "--verify", WAIT, "-c", 1, "-s", size, "-d", depth, "-n", 10 * depth,
                       echo.address).json()
    assert (result["messages"], result["errors"], result["warnings"]) == (10 * depth, 0, [])
    # A single one that was left over goes alone; the first ones all go at once.
    assert {step for _, step in echo.came} == {size}
    most = min(depth, 64, 65507 // size)
    assert [length // size for length, _ in echo.came][0] == most
    assert max(length // size for length, _ in echo.came) == most


@pytest.mark.parametrize("size, depth", [(1, 100), (64, 100), (1472, 44), (32753, 2)])
def test_a_server_that_knows_no_trains(host, size, depth):
    with Echo(host, whole=False) as echo:
        result = bench("--udp", "--gso", "--verify", WAIT, "-c", 1, "-s", size, "-d", depth, "-n", 10 * depth,
                       echo.address).json()
    assert (result["messages"], result["errors"]) == (10 * depth, 0)
    assert set(echo.came) == {(size, size)}


@pytest.mark.parametrize("size, depth", [(1, 100), (64, 100), (1200, 32), (1472, 32), (32753, 2)])
def test_the_daemon(daemon, host, size, depth):
    port = daemon.address.rpartition(":")[2]
    result = bench("--udp", "--gso", "--verify", WAIT, "-c", 2, "-s", size, "-d", depth, "-n", 20 * depth,
                   f"{host}:{port}").json()
    assert (result["messages"], result["errors"]) == (20 * depth, 0)


def test_trains_in_an_open_loop(daemon):
    result = bench("--udp", "--gso", WAIT, "-c", 1, "-d", 64, "-r", 20000, "-n", 2000, daemon.address).json()
    assert (result["messages"], result["errors"]) == (2000, 0)


def test_a_request_goes_in_trains(host):
    with Echo(host) as echo:
        result = bench("--udp", "--gso", WAIT, "--request=PING\\n", "--reply-bytes=5", "-c", 1, "-d", 8, "-n", 80,
                       echo.address).json()
    assert (result["messages"], result["errors"]) == (80, 0)
    assert echo.came[0] == (40, 5)


def test_a_train_that_is_lost():
    """All of it, and nothing else."""
    with Echo(change=lambda number, train, step: train if number != 3 else b"") as echo:
        result = bench("--udp", "--gso", "--timeout=1", "-c", 1, "-d", 16, "-n", 400, echo.address).json(status=1)
    lost = echo.came[3][0] // 64
    assert lost > 1
    assert {kind: count for kind, count in result["error_kinds"].items() if count} == {"lost": lost}
    assert result["messages"] == 400 - lost


@pytest.mark.parametrize("change, kinds", [
    (lambda train, step: train[:-1], {"corrupt": 1, "lost": 1}),
    (lambda train, step: train[step:], {"lost": 1}),
    (lambda train, step: train + train[:step], {"unexpected": 1}),
    (lambda train, step: train[step:] + train[:step], {"reordered": 1}),
    (lambda train, step: train[:20] + b"?" + train[21:], {"corrupt": 1, "lost": 1}),
], ids=["short", "one lost", "one twice", "in another order", "one changed"])
def test_what_is_wrong_in_a_train_is_found(change, kinds):
    with Echo(change=lambda number, train, step: change(train, step) if number == 0 else train) as echo:
        result = bench("--udp", "--gso", "--verify", "--timeout=1", "-c", 1, "-d", 10, "-n", 100,
                       echo.address).json(status=1)
    assert {kind: count for kind, count in result["error_kinds"].items() if count} == kinds


def under(fault, *words):
    """Runs echo-bench with system calls that fail."""
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}", BENCH, "--json", *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    return Run(done)


@pytest.mark.parametrize("when", [1, 3])
@pytest.mark.parametrize("error", ["EMSGSIZE", "EINVAL", "EIO"])
def test_where_no_train_can_go_the_datagrams_go_one_by_one(error, when):
    with Echo() as echo:
        result = under(f"sendmsg:error={error}:when={when}", "--udp", "--gso", "--verify", WAIT, "-c", 1, "-d", 20,
                       "-n", 400, echo.address).json()
    assert (result["messages"], result["errors"]) == (400, 0)
    assert [warning.split(":")[0] for warning in result["warnings"]] == ["one by one"]
    # The first one to be refused was the last one to be tried.
    assert sum(length > step for length, step in echo.came) == when - 1


def test_a_train_that_has_to_wait():
    with Echo() as echo:
        result = under("sendmsg:error=EAGAIN:when=2", "--udp", "--gso", "--verify", WAIT, "-c", 1, "-d", 20,
                       "-n", 400, echo.address).json()
    assert (result["messages"], result["errors"], result["warnings"]) == (400, 0, [])


def test_a_kernel_without_trains():
    with Echo() as echo:
        run = under("setsockopt:error=ENOPROTOOPT:when=2", "--udp", "--gso", "-c", 1, "-d", 2, "-n", 2, echo.address)
    assert (run.status, run.out) == (1, "")
    assert run.err == (f"echo-bench: {echo.address}: the kernel has no trains of datagrams, as Linux has from 5.0 on: "
                       "leave out --gso\n")


def test_what_is_printed_names_them(daemon):
    words = ["--udp", "-d", 2, "-n", 100, "-c", 1, WAIT, daemon.address]
    assert bench("--gso", *words).json()["gso"] is True
    assert bench(*words).json()["gso"] is False
    assert "64 bytes, in trains\n" in bench("--gso", *words, plain=True).out
