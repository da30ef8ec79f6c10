"""The command line."""

import re
import subprocess
import time

import pytest

from harness.clients import refused, serves, shown
from harness.daemon import SLOWNESS, run, unused_ports
from harness.lines import LATE_LINE, TOO_LONG
from harness.wait import wait_until

LATE = 15.0  # seconds; no timeout under test is over 2


# Forms


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_goes_to_standard_output(option):
    """That it names every option is seen by tests/unit/options.c and tests/documents."""
    done = run(option)
    assert done.returncode == 0 and done.stderr == b""
    assert b"--port" in done.stdout


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_first_line_of_version_is_name_and_number(option):
    done = run(option)
    assert done.returncode == 0 and done.stderr == b""
    assert re.fullmatch(rb"epoll-echo \d+\.\d+\.\d+", done.stdout.splitlines()[0])


# One of each kind; tests/unit/options.c has the others.
WRONG = {
    "--nonsense": "nonsense", "-x": "x", "operand": "operand", "--port=65536": "65536", "--max-tcp=many": "many",
    "--bind=nowhere": "nowhere", "--bind=224.0.0.1": "multicast", "--trigger=both": "both", "--shutdown-token-file": "shutdown-token-file",
}  # fmt: skip


@pytest.mark.parametrize("word", WRONG)
def test_wrong_usage_ends_with_2_and_names_what_is_wrong(word):
    done = run(word)
    assert done.returncode == 2
    assert done.stdout == b""
    assert WRONG[word].encode() in done.stderr


def test_a_token_on_the_command_line_is_not_taken():
    assert run("--port=0", "--shutdown-token=secret").returncode in (1, 2)


# Ports and addresses


def test_the_default_is_port_12345_on_every_address(start, namespace, host):
    server = start(port=None)
    assert sorted(server.listening()) == [("tcp", "[::]:12345"), ("udp", "[::]:12345")]
    assert serves(12345, 12345, host)


@pytest.mark.parametrize("options, tcp, udp", [
    (["--tcp-port=7001", "--udp-port=7002"], 7001, 7002),
    (["--port=7003", "--udp-port=7004"], 7003, 7004),
    (["--tcp-port=7005", "--port=7006"], 7005, 7006),
])
def test_tcp_and_udp_ports_can_be_apart(start, namespace, options, tcp, udp):
    server = start(*options, port=None)
    assert (server.tcp_port, server.udp_port) == (tcp, udp)
    for host in ("127.0.0.1", "::1"):
        assert serves(tcp, udp, host)


def test_port_0_gives_both_protocols_the_same_number(start):
    for _ in range(5):
        server = start()
        assert server.tcp_port == server.udp_port != 0
        server.stop()


@pytest.mark.parametrize("addresses, reached, unreached", [
    (["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2", "::1"]),
    (["::1"], ["::1"], ["127.0.0.1"]),
    (["0.0.0.0"], ["127.0.0.1", "127.0.0.2"], ["::1"]),
    (["::"], ["::1"], ["127.0.0.1"]),
    (["127.0.0.1", "127.0.0.2", "::1"], ["127.0.0.1", "127.0.0.2", "::1"], ["127.0.0.3"]),
], ids=lambda value: ",".join(value))
def test_bind_listens_on_these_addresses_only(start, addresses, reached, unreached):
    server = start(*(f"--bind={address}" for address in addresses), listening=2 * len(addresses))
    port = server.tcp_port
    assert sorted(server.listening()) == sorted(
        (proto, shown(address, port)) for proto in ("tcp", "udp") for address in addresses)
    for host in reached:
        assert serves(port, port, host)
    for host in unreached:
        assert refused(host, port)
        with pytest.raises(ConnectionRefusedError):
            serves(udp=port, host=host)


def test_backlog_is_what_the_kernel_is_told(start, namespace):
    for options, length in ((["--backlog=7"], "7"), ([], "4096")):
        assert ss("-ltn", f"sport = :{start(*options).tcp_port}").split()[2] == length


def ss(*words):
    return subprocess.run(["ss", "-H", *words], check=True, capture_output=True, text=True).stdout


def test_socket_buffer_sets_the_sizes_of_tcp_buffers_and_keepalive_is_on(start, dial, host, namespace):
    server = start("--socket-buffer=16384")
    dial(server, host).ask(b"here\n")
    shown = ss("-tnmo", "state", "established", f"sport = :{server.tcp_port}")
    assert re.search(r"rb32768\b", shown) and re.search(r"tb32768\b", shown)
    assert "timer:(keepalive," in shown


def test_keepalive_is_spread_over_those_that_come_one_after_the_other(start, dial, namespace):
    """Those that come at once share a time: it is the turn that counts."""
    server = start()
    for _ in range(60):
        dial(server).ask(b"here\n")
    shown = ss("-tno", "state", "established", f"sport = :{server.tcp_port}")
    timers = re.findall(r"timer:\(keepalive,(?:(\d+)min)?(?:(\d+)sec)?", shown)
    seconds = [60 * int(minutes or 0) + int(rest or 0) for minutes, rest in timers]
    assert len(seconds) == 60 and min(seconds) >= 45 and max(seconds) <= 119
    assert len(set(seconds)) > 45  # all 60, but for those that a second has passed between


# Timeouts, by the client's clock


def ends(client):
    """Waits for the end of the connection, clean or not; what came before, and when it ended."""
    try:
        text = client.rest()
    except ConnectionResetError:
        text = b""
    return text, time.monotonic()


def assert_between(seconds, timeout):
    assert timeout - SLOWNESS <= seconds <= timeout + LATE


@pytest.mark.parametrize("option, sent, answer", [
    ("--idle-timeout=1", b"", b""),
    ("--line-timeout=1", b"whole\nbegun", b"whole\n" + LATE_LINE),
    ("--line-timeout=1", b"x" * 5000, TOO_LONG + LATE_LINE),  # and the line has not ended yet
], ids=["idle", "line", "overlong"])
def test_a_timeout_closes_a_connection(start, trigger, dial, option, sent, answer):
    server = start(option, f"--trigger={trigger}")
    begun = time.monotonic()
    client = dial(server)
    client.send(sent)
    text, end = ends(client)
    assert text == answer
    assert_between(end - begun, 1)


def outlasts(timeout, exchange):
    """Does what `exchange` does now and then, for longer than the timeout.

    Returns when it was last begun."""
    last = begun = time.monotonic()
    while time.monotonic() < begun + 1.4 * timeout:
        previous, last = last, time.monotonic()
        try:
            exchange()
        except (AssertionError, ConnectionError):
            if time.monotonic() - previous > timeout - SLOWNESS:
                pytest.skip("this machine stalled, and the connection was idle after all")
            raise
        time.sleep(0.2)
    return last


def test_idle_timeout_spares_a_client_that_only_reads(start, dial):
    """Its answers are all in the kernel's hands: the daemon itself has nothing to do."""
    server = start("--idle-timeout=2")
    question = b"owed\n" * 40_000
    client = dial(server, receive_buffer=4096)
    client.send(question)
    client.delivered()
    answer = bytearray()

    def read_a_little():
        answer.extend(client.socket.recv(4096))
        assert server.stats()["connected_tcp"] == 2, "closed though bytes still went out"

    outlasts(2, read_a_little)
    assert len(answer) < len(question) / 2
    assert answer + client.read(len(question) - len(answer)) == question


@pytest.mark.parametrize("options, seconds", [(["--drain-timeout=1"], 1), ([], 5)])
def test_drain_timeout_ends_a_graceful_end(start, dial, options, seconds):
    server = start(*options)
    dial(server, receive_buffer=4096).clog(b"unread\n" * 5_000_000)
    begun = time.monotonic()
    server.stop()
    assert_between(time.monotonic() - begun, seconds)


# More or less log


def test_quiet_leaves_warnings_and_errors_only(start, host, namespace):
    port = next(unused_ports)
    server = start("-q", f"--port={port}", port=None, listening=0)
    wait_until(lambda: not refused(host, port), "the port to be open")
    assert serves(port, port, host)
    server.stop()
    assert server.records == []


def test_quiet_still_says_what_is_wrong(tmp_path):
    done = run("-q", "--port=0", f"--shutdown-token-file={tmp_path / 'none'}")
    assert done.returncode == 1 and str(tmp_path / "none").encode() in done.stderr


@pytest.mark.parametrize("options, level", [([], 0), (["-v"], 1), (["-vv"], 2), (["-v", "-v"], 2)])
def test_verbose_adds_connection_events_and_very_verbose_debug_lines(start, dial, options, level):
    server = start(*options)
    client = dial(server)
    client.ask(b"here\n")
    peer = shown("127.0.0.1", client.port)
    client.close()
    wait_until(lambda: server.stats()["connected_tcp"] == 1)
    server.stop()
    assert bool(server.find(peer=peer)) == (level > 0)
    assert bool(server.find(level="debug")) == (level > 1)
