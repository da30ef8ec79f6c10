"""Commands over TCP and UDP."""

import datetime
import re

import pytest

from harness.clients import parse_stats, shown
from harness.lines import HELP, TIME, UNKNOWN
from harness.wait import wait_until

PADDING = b" " * 500  # a UDP question as long as its answer escapes the rate limit
SLACK = datetime.timedelta(seconds=5)


def counts(answer):
    """total_clients, active_udp_peers, connected_tcp."""
    return tuple(parse_stats(answer).values())[:3]


@pytest.fixture
def server(start):
    """One for each test, because every client counts, and UDP commands are rationed."""
    return start()


@pytest.fixture(params=["tcp", "udp"])
def ask(request, server, dial, peer, host):
    """Asks one message over either protocol."""
    if request.param == "udp":
        return peer(server, host).ask
    tcp = dial(server, host)
    return lambda message: tcp.ask(message if message.endswith(b"\n") else message + b"\n")


def test_any_other_command_is_unknown(ask):
    for name in b"/", b"/nonsense", b"/STATS", b"/statsx", b"/stat", b"//", b"/ stats", b"/stats\0":
        assert ask(name) == UNKNOWN


def test_a_name_ends_at_white_space_or_the_end(ask):
    for end in (b"", b"\n", b"\r\n", b" ", b" more\n", b"\tmore\r\n"):
        assert re.fullmatch(TIME, ask(b"/time" + end))


def test_an_answer_is_one_line(ask):
    for command in (b"/stats", b"/time", b"/whoami", b"/help", b"/nonsense", b"/shutdown"):
        answer = ask(command + PADDING)
        assert answer.count(b"\n") == 1 and answer.endswith(b"\n") and b"\r" not in answer


def test_time_is_utc_with_nine_decimals(start, dial):
    before = datetime.datetime.utcnow()
    answer = re.fullmatch(TIME, dial(start(environment={"TZ": "MSK-3"})).ask(b"/time\n"))
    told = datetime.datetime.fromisoformat(answer[1].decode())
    assert before - SLACK < told < datetime.datetime.utcnow() + SLACK


def test_time_goes_on(ask):
    first, second = ask(b"/time" + PADDING), ask(b"/time" + PADDING)
    assert first < second


# Every address of 127.0.0.0/8 is this machine's.
@pytest.mark.parametrize("target, source", [("127.0.0.1", None), ("::1", None), ("127.0.0.2", "127.0.0.3")])
def test_whoami_names_both_ends_of_this_very_conversation(server, dial, peer, target, source):
    for proto, client in (("tcp", dial(server, target, source=source)), ("udp", peer(server, target, source=source))):
        ends = f"peer={shown(source or target, client.port)} local={shown(target, server.tcp_port)}"
        assert client.ask(b"/whoami" + PADDING + b"\n") == f"proto={proto} {ends}\n".encode()


def test_help_names_the_commands(ask):
    answer = ask(b"/help" + PADDING)
    assert re.fullmatch(HELP, answer)
    for command in (b"/stats", b"/time", b"/whoami", b"/help", b"/shutdown"):
        assert command in answer


def test_commands_in_one_packet_are_answered_in_order(server, dial, host):
    client = dial(server, host)
    client.send(b"/nonsense\necho\n/whoami\n/time\n")
    assert client.line() == UNKNOWN
    assert client.line() == b"echo\n"
    assert client.line().startswith(b"proto=tcp ")
    assert re.fullmatch(TIME, client.line())


# Statistics


def test_stats_count_open_and_admitted_connections(server, dial, host):
    clients = [dial(server, host)]
    assert counts(clients[0].ask(b"/stats\n")) == (1, 0, 1)
    clients += [dial(server, host) for _ in range(2)]
    for client in clients:
        client.ask(b"here\n")
    assert counts(clients[0].ask(b"/stats\n")) == (3, 0, 3)
    assert clients[1].ask_all(b"") == b""
    clients[2].reset()
    wait_until(lambda: counts(clients[0].ask(b"/stats\n")) == (3, 0, 1), "only one to be open")


def test_stats_count_udp_peers_once_each(server, dial, peer):
    """A peer is an address and a port."""
    one, other = peer(server), peer(server, "::1")
    for udp in (one, other, one, one):
        udp.ask(b"here")
    assert counts(dial(server).ask(b"/stats\n")) == (3, 2, 1)
    for source in (("127.0.0.2", 7777), ("127.0.0.3", 7777), ("127.0.0.3", 7778)):
        peer(server, source=source).ask(b"here")
    assert server.stats()["active_udp_peers"] == 5


def test_the_udp_asker_of_stats_counts_itself_at_most_once(server, peer):
    udp = peer(server)
    assert counts(udp.ask(b"/stats" + PADDING)) in ((0, 0, 0), (1, 1, 0))
    assert counts(udp.ask(b"/stats" + PADDING)) == (1, 1, 0)
