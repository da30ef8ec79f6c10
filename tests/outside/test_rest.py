"""At rest the process does not wake up, whatever state its connections are in.

All cases are watched during the same five seconds.
"""

import contextlib
import time

import pytest

from harness.clients import Client, Peer

WATCHED_SECONDS = 5
UNREAD = b"unread\n" * 5_000_000

pytestmark = pytest.mark.plain


def idle(stack, server, count=200):
    clients = [stack.enter_context(Client("127.0.0.1", server.tcp_port)) for _ in range(count)]
    for client in clients[::2]:
        assert client.ask(b"once\n") == b"once\n"
    return clients


def nothing(stack, server):
    pass


def line_ended_in_time(stack, server):
    for client in idle(stack, server, 20):
        client.send(b"begun")
        assert client.ask(b" and ended\n") == b"begun and ended\n"


def never_reads(stack, server):
    client = Client("127.0.0.1", server.tcp_port, receive_buffer=4096)
    stack.enter_context(client).clog(UNREAD)
    return client


def never_reads_and_has_finished(stack, server):
    never_reads(stack, server).finish()


def finished_while_owed(stack, server):
    client = Client("127.0.0.1", server.tcp_port, receive_buffer=4096)
    stack.enter_context(client).send(UNREAD[: 7 * 100_000])
    client.finish()


def gone(stack, server):
    never_reads(stack, server).reset()
    for client in idle(stack, server):
        client.reset()
    for client in idle(stack, server):
        client.close()


def heard_udp(stack, server):
    assert stack.enter_context(Peer("127.0.0.1", server.udp_port)).ask(b"once") == b"once"


def waits_for_long(stack, server):
    def faulty(kind, proto):
        return stack.enter_context(kind("127.0.0.1", server.port_of(proto, role="faulty")))

    faulty(Peer, "udp").send(b"/delay 3600000 x")
    for command in (b"/delay 3600000 x\n", b"/drip 60000 x\n", b"/pause 3600000\n"):
        faulty(Client, "tcp").send(command)
        faulty(Client, "tcp").send(command + b"unread\n" * 100)
    faulty(Client, "tcp").clog(b"/pause 3600000\n" + UNREAD)


CASES = {
    "nothing": (nothing, []),
    "idle": (idle, []),
    "idle, edge-triggered": (idle, ["--trigger=edge"]),
    "idle with a timeout": (idle, ["--idle-timeout=3600"]),
    "line ended in time": (line_ended_in_time, ["--line-timeout=2"]),
    "never reads": (never_reads, []),
    "never reads, edge-triggered": (never_reads, ["--trigger=edge"]),
    "never reads and has finished": (never_reads_and_has_finished, []),
    "never reads and has finished, edge-triggered": (never_reads_and_has_finished, ["--trigger=edge"]),
    "finished while owed": (finished_while_owed, []),
    "gone": (gone, []),
    "heard UDP": (heard_udp, []),
    "waits for long": (waits_for_long, ["--listen=faulty:0"]),
    "waits for long, edge-triggered": (waits_for_long, ["--listen=faulty:0", "--trigger=edge"]),
}


@pytest.fixture(scope="module")
def watched(module_start):
    """What each case's server had done before and after all were watched."""
    servers = {}
    with contextlib.ExitStack() as stack:
        for name, (arrange, options) in CASES.items():
            servers[name] = module_start(*options)
            arrange(stack, servers[name])

        def activity():
            return {name: server.activity() for name, server in servers.items()}

        # What was sent before is still being delivered. A server that never settles is left to fail its test.
        for _ in range(10):
            before = activity()
            time.sleep(1)
            if activity() == before:
                break
        before = activity()
        time.sleep(WATCHED_SECONDS)
        after = activity()
        yield {name: (before[name], after[name]) for name in servers}


@pytest.mark.parametrize("case", CASES)
def test_at_rest_it_does_not_wake_up(watched, case):
    before, after = watched[case]
    assert after == before
