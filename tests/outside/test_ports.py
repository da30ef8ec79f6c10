"""Further ports, and what is wrong with one."""

import pytest

from harness.clients import serves
from harness.daemon import run, unused_ports


def test_a_further_port_serves_like_the_first(start, dial):
    server = start("--listen=echo:0", listening=4)
    records = server.find(msg="listening", role="echo")
    assert [record["proto"] for record in records] == ["tcp", "udp", "tcp", "udp"]
    assert records[2]["addr"] == records[3]["addr"] != records[0]["addr"]
    client = dial(server, port=int(records[2]["addr"].rpartition(":")[2]))
    assert client.ask(b"hello\n") == b"hello\n"
    assert b" connected_tcp=1 " in client.ask(b"/stats\n")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_further_port_may_have_one_protocol_and_one_address(start, protocol):
    server = start(f"--listen=echo:127.0.0.1:0/{protocol}", listening=3)
    assert server.find(msg="listening")[2]["proto"] == protocol
    assert server.find(msg="listening")[2]["addr"].startswith("127.0.0.1:")


NO_ROLE = "'%s' names no role: ROLE[+proxy]:[ADDR:]PORT[/tcp|/udp], as raw:[::1]:7"
UNKNOWN = "there is no role '%s', but there are echo, raw, discard, http, faulty, as in raw:7"
NO_PORT = "'%s' has no port from 0 to 65535, as echo:7 has"
NO_ADDRESS = "'%s' has no address before its port, as echo:192.0.2.1:7 or echo:[::1]:7"
NO_PROTOCOL = "'%s' ends neither in /tcp nor in /udp, as echo:7/tcp does"
GROUP = "'%s' is a multicast or broadcast address, and no host's, as 192.0.2.1 and ::1 are"


@pytest.mark.parametrize("value, message", [
    *((value, NO_ROLE % value) for value in ("", "7", ":7")),
    *((f"{role}:7", UNKNOWN % role) for role in ("rot13", "busy", "RAW", "raw+x", "+proxy", "raw+proxy+proxy")),
    *((value, NO_PORT % value) for value in ("raw:", "raw:x", "raw:65536", "raw:-1", "raw: 7", "raw:[::1]")),
    *((value, NO_ADDRESS % value) for value in ("raw:::1:7", "raw:[::1:7", "raw:[192.0.2.1]:7", "raw:192.0.2.256:7",
                                                "raw:localhost:7", "raw::7")),
    *((value, NO_PROTOCOL % value) for value in ("raw:7/sctp", "raw:7/", "raw:7/tcp/udp")),
    *((value, GROUP % value) for value in ("raw:224.0.0.1:7", "raw:[ff02::1]:7")),
    ("echo+proxy:7/udp", "a PROXY header is not for UDP: echo+proxy:PORT is for TCP alone"),
])
def test_wrong_usage_of_listen_is_named(value, message):
    done = run("--port=0", f"--listen={value}")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.decode().splitlines()[0] == f"epoll-echo: --listen: {message}"


def test_a_port_in_use_is_a_start_up_error(start):
    server = start()
    done = run("--port=0", f"--listen=echo:{server.tcp_port}")
    assert done.returncode == 1
    assert b"cannot listen" in done.stderr and f"[::]:{server.tcp_port}".encode() in done.stderr


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_same_port_twice_is_one(namespace, protocol):
    port = next(unused_ports)
    done = run("--port=0", f"--listen=raw:{port}/{protocol}", f"--listen=discard:{port}/{protocol}")
    assert done.returncode == 1
    assert f"[::]:{port}".encode() in done.stderr and b"the port is asked for twice" in done.stderr


def test_all_that_options_may_ask_for_fits(start):
    """64 addresses and 32 further ports, each for both protocols."""
    server = start(*(f"--bind=127.0.1.{number}" for number in range(1, 65)), *["--listen=echo:0"] * 32, listening=192)
    assert server.stats("127.0.1.64")["connected_tcp"] == 1
    done = run("--port=0", *["--listen=echo:0"] * 33)
    assert done.returncode == 2
    assert b"--listen: more than 64 sockets; a port for TCP and UDP is two of them" in done.stderr


def test_the_most_ports_of_one_protocol(start):
    server = start("--port=none", *["--listen=raw+proxy:0/tcp"] * 64, port=None, listening=64)
    assert len(server.find(msg="listening", role="raw+proxy", proto="tcp")) == 64
    done = run("--port=none", *["--listen=raw:0/tcp"] * 65)
    assert done.returncode == 2
    assert b"--listen: 'raw:0/tcp' is one port too many: 64 are the most" in done.stderr


def test_a_port_of_none_leaves_the_further_ones(start):
    server = start("--port=none", "--listen=raw:0/tcp", port=None, listening=1)
    assert [(event["role"], event["proto"]) for event in server.find(msg="listening")] == [("raw", "tcp")]


@pytest.mark.parametrize("protocol, other", [("tcp", "udp"), ("udp", "tcp")])
def test_a_port_of_none_leaves_the_one_that_is_named(start, protocol, other):
    server = start("--port=none", f"--{protocol}-port=0", port=None, listening=1)
    assert [event["proto"] for event in server.find(msg="listening")] == [protocol]
    assert serves(**{protocol: server.port_of(protocol)})


def test_the_name_is_told_by_whoami_and_stats(start, dial, peer):
    server = start("--name=box-1.example")
    for question in (b"/whoami", b"/stats"):
        assert dial(server).ask(question + b"\n").endswith(b" name=box-1.example\n")
        assert peer(server).ask(question + b" " * 300).endswith(b" name=box-1.example\n")


@pytest.mark.parametrize("options, message", [
    (["--port=none"], "--port=none leaves no port: open one by --listen=raw:7 for instance"),
    (["--port=none", "--bind=::1", "--listen=raw:0"],
     "--bind is for the echo port, and --port=none opens none: --listen=ROLE:ADDR:PORT has an address of its own"),
    (["--name=two words"], "--name: 'two words' has a blank or what is not printable ASCII, as echo-1 has not"),
    (["--name="], "--name: '' has not 1 to 255 characters"),
    (["--name=" + "n" * 256], f"--name: '{'n' * 64}' has not 1 to 255 characters"),
    (["--name=umlaut-\u00e4"], "--name: 'umlaut-\u00e4' has a blank or what is not printable ASCII, as echo-1 has not"),
    (["--dscp=46"], "--dscp: '46' is neither reflect nor 0"),
])
def test_wrong_usage_of_ports_and_names_is_told(options, message):
    done = run(*options)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.decode().splitlines()[0] == f"epoll-echo: {message}"
