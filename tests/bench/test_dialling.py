"""Which server echo-bench reaches, and where from. In a network namespace of its own."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

import faulty
from harness.daemon import Daemon
from harness.wait import PATIENCE
from program import BENCH, bench

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
WAIT = "--timeout=30"


@contextlib.contextmanager
def local_ports(first, last):
    """Connections come from these ports alone."""
    if not os.access(PORTS, os.W_OK) or Path("/proc/net/dev").read_text().count(":") != 1:
        pytest.skip("needs a network namespace of its own: tests/run bench")
    before = PORTS.read_text()
    PORTS.write_text(f"{first} {last}")
    try:
        yield
    finally:
        PORTS.write_text(before)


@pytest.mark.parametrize("kind", ["--tcp", "--churn", "--udp"])
def test_every_address_of_a_name_is_tried(tmp_path, serve, kind):
    """The server listens at the second alone, as many do for localhost."""
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 two.test\n127.0.0.1 two.test\n")
    echo = (faulty.Udp(lambda number, datagram: [datagram]) if kind == "--udp"
            else faulty.answering(lambda number, line: line))
    port = serve(echo).split(":")[1]
    command = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts), BENCH]
    done = subprocess.run([*command, kind, "-c", "3", "-n", "30", WAIT, f"two.test:{port}"], capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("mounts are not allowed here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "messages    30 " in done.stdout


@pytest.mark.parametrize("kind", ["--tcp", "--churn", "--udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "[::1]"])
def test_it_does_not_answer_itself(kind, host):
    """Where nobody listens, a socket may be connected to itself, and echoes."""
    with local_ports(40000, 40000):
        run = bench(kind, "-c", 1, "-n", 5, "--timeout=0.5", f"{host}:40000")
    assert run.status == 1
    assert "refused" in run.err + run.out
    assert '"messages": 5' not in run.out


@pytest.mark.parametrize("options", [["--churn", "-c", 4, "-n", 300], ["-c", 30, "-n", 300],
                                     ["--udp", "-c", 30, "-n", 300]], ids=["churn", "tcp", "udp"])
def test_more_connections_than_ports(options):
    with Daemon() as daemon, local_ports(50000, 50009):
        result = bench(*options, WAIT, daemon.address).json()
    assert (result["messages"], result["errors"]) == (300, 0)


def test_no_ports_are_left():
    with Daemon() as daemon, local_ports(50000, 50009):
        run = bench("--idle=20", "-n", 1, WAIT, f"[::1]:{daemon.tcp_port}")
    assert (run.status, run.out) == (1, "")
    assert "no port left" in run.err


def test_the_port_is_one():
    for port in ("77881", "0", "+7"):
        run = bench("-n", 1, f"127.0.0.1:{port}")
        assert run.status == 2
        assert "not a port" in run.err


# A descriptor that is closed would be the next socket's, and the report would go to the server.
def test_standard_streams_that_are_closed(daemon):
    words = ["sh", "-c", f'"$0" -n 1 -c 1 {daemon.address} >&-', BENCH]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "standard output" in done.stderr
