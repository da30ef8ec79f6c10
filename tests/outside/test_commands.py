"""Commands over TCP and UDP."""

import datetime
import os
import re

import pytest

from harness import parse_stats, wait_until

UNKNOWN = b"ERR unknown-command\n"
PADDING = b" " * 500  # a UDP question as long as its answer escapes the rate limit
TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{9}Z\n")


@pytest.fixture
def server(start):
    """One for each test, because every client counts, and UDP commands are rationed."""
    return start()


@pytest.fixture(params=["tcp", "udp"])
def ask(request, server, dial, peer, host):
    """Asks one message over either protocol."""
    if request.param == "udp":
        udp = peer(server, host)
        return lambda message: udp.ask(message)
    tcp = dial(server, host)
    return lambda message: tcp.ask(message if message.endswith(b"\n") else message + b"\n")


@pytest.fixture
def moscow(start):
    return start(env={**os.environ, "TZ": "MSK-3"})


def test_any_other_command_is_unknown(ask):
    for name in b"/", b"/nonsense", b"/STATS", b"/statsx", b"/stat", b"//", b"/ stats", b"/stats\0":
        assert ask(name) == UNKNOWN


def test_a_name_ends_at_white_space_or_the_end(ask):
    for end in (b"", b"\n", b"\r\n", b" ", b" more\n", b"\tmore\r\n"):
        assert TIME.fullmatch(ask(b"/time" + end))


def test_an_answer_is_one_line(ask):
    for command in (b"/stats", b"/time", b"/whoami", b"/help", b"/nonsense", b"/shutdown"):
        answer = ask(command + PADDING)
        assert answer.count(b"\n") == 1 and answer.endswith(b"\n") and b"\r" not in answer


def test_time_is_utc_with_nine_decimals(moscow, dial):
    before = datetime.datetime.utcnow()
    answer = TIME.fullmatch(dial(moscow).ask(b"/time\n"))
    told = datetime.datetime.fromisoformat(answer[1].decode())
    after = datetime.datetime.utcnow()
    slack = datetime.timedelta(seconds=5)
    assert before - slack < told < after + slack


def test_time_goes_on(ask):
    first, second = ask(b"/time" + PADDING), ask(b"/time" + PADDING)
    assert first < second


def test_whoami_names_both_ends_of_a_tcp_connection(server, dial, host):
    client = dial(server, host)
    shown = f"[{host}]" if ":" in host else host
    port = client.socket.getsockname()[1]
    expected = f"proto=tcp peer={shown}:{port} local={shown}:{server.tcp_port}\n"
    assert client.ask(b"/whoami\n") == expected.encode()


def test_whoami_names_both_ends_of_a_udp_exchange(server, peer, host):
    udp = peer(server, host)
    shown = f"[{host}]" if ":" in host else host
    expected = f"proto=udp peer={shown}:{udp.port} local={shown}:{server.udp_port}\n"
    assert udp.ask(b"/whoami" + PADDING) == expected.encode()


def test_whoami_shows_the_addresses_of_this_very_conversation(server, dial, peer):
    client = dial(server, "127.0.0.2", source="127.0.0.3")
    udp = peer(server, "127.0.0.2", source="127.0.0.3")
    ends = rb" peer=127\.0\.0\.3:\d+ local=127\.0\.0\.2:\d+\n"
    assert re.fullmatch(b"proto=tcp" + ends, client.ask(b"/whoami\n"))
    assert re.fullmatch(b"proto=udp" + ends, udp.ask(b"/whoami" + PADDING))


def test_help_names_the_commands(ask):
    answer = ask(b"/help" + PADDING)
    for command in (b"/stats", b"/time", b"/whoami", b"/help", b"/shutdown"):
        assert command in answer


def test_commands_in_one_packet_are_answered_in_order(server, dial, host):
    client = dial(server, host)
    client.send(b"/nonsense\necho\n/whoami\n/time\n")
    assert client.line() == UNKNOWN
    assert client.line() == b"echo\n"
    assert client.line().startswith(b"proto=tcp ")
    assert TIME.fullmatch(client.line())


# Statistics


def test_stats_of_the_first_client(server, dial, host):
    answer = dial(server, host).ask(b"/stats\n")
    assert re.match(rb"total_clients=1 active_udp_peers=0 connected_tcp=1[ \n]", answer)


def test_stats_count_open_and_admitted_connections(server, dial, host):
    clients = [dial(server, host) for _ in range(3)]
    for client in clients:
        client.ask(b"here\n")
    assert parse_stats(clients[0].ask(b"/stats\n")) == {
        "total_clients": 3,
        "active_udp_peers": 0,
        "connected_tcp": 3,
    }
    clients[1].finish()
    assert clients[1].rest() == b""
    clients[2].reset()
    stats = wait_until(lambda: only_one_open(clients[0]), "connected_tcp=1")
    assert stats["total_clients"] == 3


def only_one_open(client):
    stats = parse_stats(client.ask(b"/stats\n"))
    return stats if stats["connected_tcp"] == 1 else None


def test_stats_count_udp_peers_once_each(server, dial, peer):
    one, other = peer(server), peer(server, "::1")
    for udp in (one, other, one, one):
        udp.ask(b"here")
    assert parse_stats(dial(server).ask(b"/stats\n")) == {
        "total_clients": 3,
        "active_udp_peers": 2,
        "connected_tcp": 1,
    }


def test_a_udp_peer_is_an_address_and_a_port(server, peer):
    peer(server, source=("127.0.0.2", 7777)).ask(b"here")
    peer(server, source=("127.0.0.3", 7777)).ask(b"here")
    peer(server, source=("127.0.0.3", 7778)).ask(b"here")
    assert server.stats()["active_udp_peers"] == 3


def test_the_udp_asker_of_stats_counts_itself_at_most_once(server, peer):
    udp = peer(server)
    first = parse_stats(udp.ask(b"/stats" + PADDING))
    second = parse_stats(udp.ask(b"/stats" + PADDING))
    assert first["active_udp_peers"] in (0, 1) and first["connected_tcp"] == 0
    assert second == {"total_clients": 1, "active_udp_peers": 1, "connected_tcp": 0}
