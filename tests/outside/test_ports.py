"""Further ports, and what is wrong with one."""

import pytest

from harness.daemon import run


def port_of(server, **fields):
    return int(server.find(msg="listening", **fields)[-1]["addr"].rpartition(":")[2])


def test_a_further_port_serves_like_the_first(start, dial):
    server = start("--listen=echo:0", listening=4)
    records = server.find(msg="listening", role="echo")
    assert [record["proto"] for record in records] == ["tcp", "udp", "tcp", "udp"]
    assert records[2]["addr"] == records[3]["addr"] != records[0]["addr"]
    client = dial(server, port=port_of(server, proto="tcp"))
    assert client.ask(b"hello\n") == b"hello\n"
    assert b" connected_tcp=1 " in client.ask(b"/stats\n")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_further_port_may_have_one_protocol_and_one_address(start, protocol):
    server = start(f"--listen=echo:127.0.0.1:0/{protocol}", listening=3)
    assert server.find(msg="listening")[2]["proto"] == protocol
    assert server.find(msg="listening")[2]["addr"].startswith("127.0.0.1:")


@pytest.mark.parametrize("value, message", [
    ("rot13:7", "--listen: there is no role 'rot13', but there are echo, raw, discard"),
    ("busy:7", "--listen: there is no role 'busy', but there are echo, raw, discard"),
    ("7", "--listen: '7' names no role: ROLE[+proxy]:[ADDR:]PORT[/tcp|/udp], as raw:[::1]:7"),
    ("echo+proxy:7/udp", "--listen: a PROXY header is not for UDP: echo+proxy:PORT is for TCP alone"),
])
def test_wrong_usage_of_listen_is_named(value, message):
    done = run(f"--listen={value}")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.decode().splitlines()[0] == f"epoll-echo: {message}"


def test_the_same_port_twice_is_a_start_up_error(start):
    server = start()
    done = run("--port=0", f"--listen=echo:{server.tcp_port}")
    assert done.returncode == 1
    assert b"cannot listen" in done.stderr and f"[::]:{server.tcp_port}".encode() in done.stderr


def test_all_that_options_may_ask_for_fits(start):
    """64 addresses and 32 further ports, each for both protocols."""
    server = start(*(f"--bind=127.0.1.{number}" for number in range(1, 65)), *["--listen=echo:0"] * 32, listening=192)
    assert server.stats("127.0.1.64")["connected_tcp"] == 1
    done = run("--port=0", *["--listen=echo:0"] * 33)
    assert done.returncode == 2
    assert b"--listen: more than 64 sockets; a port for TCP and UDP is two of them" in done.stderr


def test_a_port_of_none_leaves_the_further_ones(start):
    server = start("--port=none", "--listen=raw:0/tcp", "--name=box-1", port=None, listening=1)
    assert [event["role"] for event in server.find(msg="listening")] == ["raw"]


@pytest.mark.parametrize("options, message", [
    (["--port=none"], "--port=none leaves no port: open one by --listen=raw:7 for instance"),
    (["--port=none", "--bind=::1", "--listen=raw:0"],
     "--bind is for the echo port, and --port=none opens none: --listen=ROLE:ADDR:PORT has an address of its own"),
    (["--name=two words"], "--name: 'two words' has a blank or what is not printable ASCII, as echo-1 has not"),
    (["--name="], "--name: '' has not 1 to 255 characters"),
    (["--dscp=46"], "--dscp: '46' is neither reflect nor 0"),
])
def test_wrong_usage_of_ports_and_names_is_told(options, message):
    done = run(*options)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.decode().splitlines()[0] == f"epoll-echo: {message}"
