"""Commands over TCP and UDP."""

import datetime
import re

import pytest

from harness.clients import parse_stats, shown
from harness.lines import TIME
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


def test_time_is_utc_with_nine_decimals(start, dial):
    before = datetime.datetime.utcnow()
    answer = re.fullmatch(TIME, dial(start(environment={"TZ": "MSK-3"})).ask(b"/time\n"))
    told = datetime.datetime.fromisoformat(answer[1].decode())
    assert before - SLACK < told < datetime.datetime.utcnow() + SLACK


# Every address of 127.0.0.0/8 is this machine's.
@pytest.mark.parametrize("target, source", [("127.0.0.1", None), ("::1", None), ("127.0.0.2", "127.0.0.3")])
def test_whoami_names_both_ends_of_this_very_conversation(server, dial, peer, target, source):
    for proto, client in (("tcp", dial(server, target, source=source)), ("udp", peer(server, target, source=source))):
        ends = f"peer={shown(source or target, client.port)} local={shown(target, server.tcp_port)}"
        assert client.ask(b"/whoami" + PADDING + b"\n") == f"proto={proto} {ends}\n".encode()


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
