"""The role http over real sockets: pages for Prometheus, kubelet and HAProxy, and what they count."""

import os
import re
import signal
import time

import pytest

from harness import network, pages
from harness.clients import refused
from harness.lines import BUSY, TOO_LONG
from harness.wait import wait_until

HEAD_MOST = 8192
OBSERVERS = 16
HTTP = "--listen=http:0"
LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

# What these programs have sent to a socket that wrote it down; kubelet's as its source makes it.
PROMETHEUS = (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9100\r\nUser-Agent: Prometheus/2.42.0+ds\r\n"
              b"Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
              b"text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
              b"X-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n")
KUBELET = (b"GET /readyz HTTP/1.1\r\nHost: 10.244.0.7:9100\r\nUser-Agent: kube-probe/1.29\r\nAccept: */*\r\n"
           b"Connection: close\r\n\r\n")
HAPROXY = b"GET /readyz HTTP/1.0\r\n\r\n"
HAPROXY_11 = b"GET /readyz HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n"
HAPROXY_OPTIONS = b"OPTIONS / HTTP/1.0\r\n\r\n"
CURL = b"GET /healthz?verbose HTTP/1.1\r\nHost: localhost:9100\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"

PLAIN = "text/plain; charset=utf-8"
FORMAT = "text/plain; version=0.0.4; charset=utf-8"

# Of the names that each label may have; without a process's own, which are not known everywhere.
LABELS = {
    "connections": None, "connections_max": None, "connections_accepted_total": None, "connections_busy_total": None,
    "connections_closed_total": ("reason", "eof idle line reset long drain proxy"),
    "messages_total": ("transport", "tcp udp"),
    "received_bytes_total": ("transport", "tcp udp"),
    "sent_bytes_total": ("transport", "tcp udp"),
    "datagrams_dropped_total": ("reason", "port multicast hop_limit error_text rate send kernel"),
    "udp_peers": None, "loop_wakeups_total": None, "log_lines_suppressed_total": None, "draining": None,
    "commands_total": ("command", "stats time whoami health help shutdown delay drip drop close reset pause bytes unknown"),
}
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
           "process_start_time_seconds"}


def named(name, label, value):
    return f'epoll_echo_{name}{{{label}="{value}"}}'


def closed(numbers, reason):
    return numbers[named("connections_closed_total", "reason", reason)]


def dropped(numbers, reason):
    return numbers[named("datagrams_dropped_total", "reason", reason)]


@pytest.fixture(scope="module")
def server(module_start, trigger):
    return module_start(HTTP, f"--trigger={trigger}", listening=3)


def http_port(server):
    return server.port_of("tcp", role="http")


# Requests and statuses


@pytest.mark.parametrize("request_bytes, status, body, kind", [
    (PROMETHEUS, 200, rb"# HELP epoll_echo_(.*\n)+", FORMAT),
    (KUBELET, 200, rb"ready\n", PLAIN),
    (HAPROXY, 200, rb"ready\n", PLAIN),
    (HAPROXY_11, 200, rb"ready\n", PLAIN),
    (CURL, 200, rb"live\n", PLAIN),
    (b"GET /livez HTTP/1.1\r\n\r\n", 200, rb"live\n", PLAIN),
    (b"GET /livez HTTP/1.1\n\n", 200, rb"live\n", PLAIN),
    (b"\r\nGET http://echo/livez?x HTTP/1.9\r\n\r\n", 200, rb"live\n", PLAIN),
    (b"GET / HTTP/1.1\r\n\r\n", 404, rb"404 Not Found\n.*/metrics.*\n", PLAIN),
    (b"GET /metricsx HTTP/1.1\r\n\r\n", 404, rb"404 .*\n.*\n", PLAIN),
    (HAPROXY_OPTIONS, 405, rb"405 Method Not Allowed\n.*\n", PLAIN),
    (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405, rb"405 .*\n.*\n", PLAIN),
    (b"/stats\n", 400, rb"400 Bad Request\n.*\n", PLAIN),
    (b"GET /metrics\r\n\r\n", 400, rb"400 .*\n.*\n", PLAIN),
    (b"GET  /metrics HTTP/1.1\r\n\r\n", 400, rb"400 .*\n.*\n", PLAIN),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, rb"400 .*\n.*\n", PLAIN),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, rb"505 HTTP Version Not Supported\n.*\n", PLAIN),
    (b"GET /livez HTTP/0.9\r\n\r\n", 505, rb"505 .*\n.*\n", PLAIN),
], ids=lambda value: value.decode("latin-1").split("\r")[0] if isinstance(value, bytes) else None)
def test_a_request_gets_its_status_and_the_end(server, host, request_bytes, status, body, kind):
    page = pages.ask(http_port(server), request_bytes, host)
    assert (page.status, page.fields["content-type"]) == (status, kind)
    assert re.fullmatch(body, page.body)
    assert page.fields["content-length"] == str(len(page.body))
    assert page.fields["connection"] == "close"
    assert page.fields.get("allow") == ("GET, HEAD" if status == 405 else None)


def test_a_request_may_come_in_any_pieces(server, dial):
    for cut in (1, 10, len(CURL) - 1):
        client = dial(server, port=http_port(server))
        client.send(CURL[:cut])
        client.delivered()
        server.settle()
        assert client.silent()
        client.send(CURL[cut:])
        assert pages.Page.of(client.rest()).body == b"live\n"


def test_head_has_everything_but_the_body(server):
    for path, status in (("/metrics", 200), ("/livez", 200), ("/readyz", 200), ("/healthz", 200), ("/", 404)):
        request = f" {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        head, page = (pages.ask(http_port(server), method + request) for method in (b"HEAD", b"GET"))
        assert (head.status, head.body) == (status, b"")
        assert head.fields.keys() == page.fields.keys() and int(head.fields["content-length"]) > 0
        assert head.fields["content-type"] == page.fields["content-type"]


def head_of(size):
    request = b"GET /livez HTTP/1.1\r\nCookie: "
    return request + b"c" * (size - len(request) - 4) + pages.HEAD_END


@pytest.mark.parametrize("sent, status", [(head_of(HEAD_MOST), 200), (head_of(HEAD_MOST + 1), 431),
                                          (b"x" * HEAD_MOST, 431), (head_of(1_000_000), 431)],
                         ids=["all-there-may-be", "one-byte-more", "no-line", "much-more"])
def test_a_head_has_8_kib(server, host, sent, status):
    assert pages.ask(http_port(server), sent, host).status == status


def test_who_ends_before_the_head_does_is_told_that_it_is_none(server, dial):
    assert pages.Page.of(dial(server, port=http_port(server)).ask_all(b"GET /livez HTTP/1.1\r\n")).status == 400
    assert dial(server, port=http_port(server)).ask_all(b"") == b""


# Time and room


def test_a_request_has_5_seconds_and_the_answer_comes_before_the_end(start, dial, trigger):
    server = start(HTTP, "--line-timeout=1", f"--trigger={trigger}", listening=3)
    begin = time.monotonic()
    asking = [dial(server, port=http_port(server)) for _ in range(2)]
    asking[0].send(b"GET /livez HTTP/1.1\r\n")
    for client in asking:
        assert client.rest() == LATE
    assert time.monotonic() - begin > 4.5


def test_sixteen_at_once_and_the_oldest_makes_room(server, dial):
    waiting = [dial(server, port=http_port(server)) for _ in range(OBSERVERS)]
    server.settle()
    assert all(client.silent() for client in waiting)
    assert pages.get(http_port(server), "/livez").status == 200
    assert waiting[0].rest() == b""
    assert all(client.silent() for client in waiting[1:])
    waiting[-1].send(CURL)
    assert pages.Page.of(waiting[-1].rest()).status == 200


def test_they_take_no_slot_and_wait_for_none(start, dial):
    """While the echo port is at --max-tcp, and beyond that as full as it gets."""
    server = start(HTTP, "--max-tcp=2", listening=3)
    observers = [dial(server, port=http_port(server)) for _ in range(OBSERVERS)]
    server.settle()
    clients = [dial(server) for _ in range(2)]
    for client in clients:
        assert client.ask(b"in\n") == b"in\n"
    crowd = [dial(server) for _ in range(300)]
    assert crowd[0].line() == BUSY
    numbers = pages.metrics(http_port(server))
    assert observers[0].rest() == b""
    assert numbers["epoll_echo_connections"] == numbers["epoll_echo_connections_max"] == 2
    assert numbers["epoll_echo_connections_accepted_total"] == 2
    assert numbers["epoll_echo_connections_busy_total"] <= len(crowd)
    assert pages.get(http_port(server), "/readyz").status == 200
    assert clients[0].ask(b"here\n") == b"here\n"


# The numbers


def test_all_numbers_stand_there_from_the_start(start):
    numbers = pages.metrics(http_port(start(HTTP, listening=3)))
    expected = set()
    for name, label in LABELS.items():
        expected |= {named(name, label[0], value) for value in label[1].split()} if label else {f"epoll_echo_{name}"}
    others = numbers.keys() - expected
    assert not expected - numbers.keys()
    assert others - PROCESS == {name for name in others if re.fullmatch(r'epoll_echo_build_info\{version="[^"]+"\}', name)}
    assert len(others - PROCESS) == 1
    started = {name: number for name, number in numbers.items() if name.endswith(("total", "}")) and number}
    assert started.keys() - others <= {"epoll_echo_loop_wakeups_total"}


def test_those_of_the_process_are_the_systems(server):
    server.settle()
    numbers = pages.metrics(http_port(server))
    assert PROCESS <= numbers.keys()
    with open("/proc/stat") as stat, open(f"/proc/{server.pid}/stat") as own:
        boot = int(re.search(r"^btime (\d+)", stat.read(), re.M)[1])
        ticks = int(own.read().rpartition(")")[2].split()[19])
    assert abs(numbers["process_start_time_seconds"] - boot - ticks / os.sysconf("SC_CLK_TCK")) < 2
    wait_until(lambda: server.descriptors() == numbers["process_open_fds"] - 1, "the one that asked to be closed")
    assert numbers["process_max_fds"] == int(re.search(
        r"^Max open files\s+(\d+)", open(f"/proc/{server.pid}/limits").read(), re.M)[1])
    assert numbers["process_resident_memory_bytes"] > 100_000


def test_lines_datagrams_bytes_and_commands_are_counted(start, dial, peer):
    server = start(HTTP, listening=3)
    client, udp = dial(server), peer(server)
    client.send(b"one\ntwo\n/nothing\n/time\nbegun")
    came = sum(len(client.line()) for _ in range(4))
    answer = udp.ask(b"/time" + b" " * 100)
    assert udp.ask(b"three") == b"three"
    numbers = pages.metrics(http_port(server))
    assert numbers["epoll_echo_connections"] == 1 and numbers["epoll_echo_udp_peers"] == 1
    for name, transport, number in (("messages", "tcp", 4), ("messages", "udp", 2), ("received_bytes", "udp", 110),
                                    ("sent_bytes", "udp", len(answer) + 5)):
        assert numbers[named(name + "_total", "transport", transport)] == number, (name, transport)
    assert numbers[named("received_bytes_total", "transport", "tcp")] == 28
    assert numbers[named("sent_bytes_total", "transport", "tcp")] == came  # an observer's are not a client's
    assert numbers[named("commands_total", "command", "time")] == 2
    assert numbers[named("commands_total", "command", "unknown")] == 1


def await_number(server, name, value):
    wait_until(lambda: pages.metrics(http_port(server))[name] == value, f"{name} {value}")


@pytest.mark.parametrize("reason", ["eof", "idle", "line", "reset", "long", "proxy"])
def test_each_end_of_a_connection_is_counted_by_its_reason(start, dial, reason, trigger):
    server = start(HTTP, "--idle-timeout=1", "--line-timeout=1", "--listen=echo+proxy:0", f"--trigger={trigger}",
                   listening=4)
    port = server.port_of("tcp", role="echo+proxy") if reason == "proxy" else None
    client = dial(server, port=port)
    if reason == "eof":
        assert client.ask_all(b"here\n") == b"here\n"
    elif reason == "reset":
        assert client.ask(b"here\n") == b"here\n"
        client.reset()
    elif reason == "long":
        client.send(b"x" * 5000 + b"\n" + b"x" * 5000 + b"\n")
        assert client.rest() == TOO_LONG * 2
    else:
        client.send({"idle": b"", "line": b"begun", "proxy": b"no header\n"}[reason])
        client.stream.read()
        client.close()
    await_number(server, "epoll_echo_connections", 0)
    numbers = pages.metrics(http_port(server))
    assert numbers["epoll_echo_connections_accepted_total"] == 1
    reasons = LABELS["connections_closed_total"][1].split()
    assert {name for name in reasons if closed(numbers, name)} == {reason}


def test_datagrams_without_an_answer_are_counted_by_the_reason(start, peer, namespace):
    server = start(HTTP, listening=3)
    target = ("127.0.0.1", server.udp_port)
    network.forge(("127.0.0.1", 7), target, b"port", device="lo")
    network.forge(("127.0.0.66", server.udp_port), target, b"port", device="lo")
    network.forge(("127.0.0.66", 40000), ("127.255.255.255", server.udp_port), b"for many", device="lo")
    network.forge(("127.255.255.255", 40000), target, b"the kernel sends nobody such an answer", device="lo")
    network.forge(("127.0.0.66", 40001), target, b"last hop", hops=1, device="lo")
    udp = peer(server)
    udp.send(b"ERR something")
    for _ in range(200):
        udp.send(b"/time")
    with peer(server) as other:
        assert other.ask(b"marker") == b"marker"
    numbers = pages.metrics(http_port(server))
    assert [dropped(numbers, reason) for reason in ("port", "multicast", "hop_limit", "error_text", "send")] == [2, 1, 1, 1, 1]
    assert 0 < dropped(numbers, "rate") < 200


def test_what_the_kernel_has_no_room_for_is_counted_once_it_is_known(start, peer, namespace):
    """The kernel tells with each datagram how many had been lost before it (SO_RXQ_OVFL)."""
    server = start(HTTP, listening=3)
    udp = peer(server)
    server.signal(signal.SIGSTOP)
    try:
        for _ in range(5000):
            udp.send(bytes(1400))
    finally:
        server.signal(signal.SIGCONT)
    with peer(server) as other:
        other.ask(b"behind them")
        numbers = pages.metrics(http_port(server))
    came = numbers[named("messages_total", "transport", "udp")]
    assert came < 5001
    assert dropped(numbers, "kernel") == 5001 - came


# The end


def test_readiness_ends_with_the_signal_while_newcomers_are_served(start, dial):
    server = start(HTTP, "--drain-delay=3600", listening=3)
    client = dial(server)
    assert client.ask(b"/health\n") == b"ready up 100%\n"
    assert pages.metrics(http_port(server))["epoll_echo_draining"] == 0
    server.signal(signal.SIGTERM)
    assert server.await_record(msg="stopping")["delay_s"] == "3600"
    assert pages.ask(http_port(server), KUBELET) == pages.Page(
        503, pages.get(http_port(server), "/readyz").fields, b"drain\n")
    assert pages.get(http_port(server), "/livez").status == 200
    assert pages.metrics(http_port(server))["epoll_echo_draining"] == 1
    assert client.ask(b"/health\n") == b"drain\n"
    newcomer = dial(server)
    assert newcomer.ask(b"here\n") == b"here\n"
    server.signal(signal.SIGTERM)
    assert client.rest() == newcomer.rest() == b""
    server.ended()


def test_the_delay_ends_by_itself_and_observers_with_it(start, dial):
    server = start(HTTP, "--drain-delay=1", listening=3)
    client, asking = dial(server), dial(server, port=http_port(server))
    assert client.ask(b"here\n") == b"here\n"
    server.signal(signal.SIGTERM)
    assert client.rest() == b""
    assert asking.rest() == b""
    server.ended()


def test_after_shutdown_the_first_signal_changes_nothing_and_the_second_skips_the_delay(start, dial, token_file):
    server = start(HTTP, "--drain-delay=3600", f"--shutdown-token-file={token_file}", listening=3)
    client = dial(server)
    assert client.ask(b"/shutdown open sesame\n") == b"OK, shutting down\n"
    server.await_record(msg="stopping")
    assert pages.get(http_port(server), "/readyz").status == 503
    server.deliver(signal.SIGTERM)
    assert client.ask(b"here\n") == b"here\n"
    server.signal(signal.SIGTERM)
    assert client.rest() == b""
    server.ended()


def test_a_third_signal_ends_at_once(start, dial):
    """While somebody who does not read is still owed something."""
    server = start(HTTP, "--drain-delay=3600", "--drain-timeout=3600", listening=3)
    client = dial(server, receive_buffer=4096)
    client.clog((b"x" * 1000 + b"\n") * 20_000)
    for _ in range(2):
        server.deliver(signal.SIGTERM)
    wait_until(lambda: refused("127.0.0.1", http_port(server)), "the listeners to close")
    assert server.process.poll() is None
    server.signal(signal.SIGTERM)
    server.ended()


def test_who_asks_at_the_end_is_answered(start, dial):
    server = start(HTTP, "--drain-timeout=3600", listening=3)
    clients = [dial(server) for _ in range(3)]
    for client in clients:
        assert client.ask(b"here\n") == b"here\n"
    asking = dial(server, port=http_port(server))
    server.settle()
    server.signal(signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    asking.send(PROMETHEUS)
    asking.delivered()
    server.signal(signal.SIGCONT)
    page = pages.Page.of(asking.rest())
    assert page.status == 200 and b"epoll_echo_draining 1\n" in page.body
    for client in clients:
        assert client.rest() == b""
    server.ended()
