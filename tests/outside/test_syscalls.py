"""System calls, counted: three for a line that wakes the loop, one send for any number of lines."""

import re
from collections import Counter

import pytest

pytestmark = pytest.mark.plain


def names(trace):
    return Counter(match[1] for line in trace if (match := re.match(r"(?:\d+ +)?(\w+)\(", line)))


@pytest.fixture
def traced(start, dial, strace, trigger):
    """A function: the system calls of a server from start to end, while `talk` goes on with a client."""

    def traced(talk, *details):
        server = start(f"--trigger={trigger}", wrapper=strace("--string-limit=20"))
        with dial(server) as client:
            talk(client, *details)
        server.stop()
        return strace.trace()

    return traced


def ask(client, count=1):
    for _ in range(count):
        assert client.ask(b"a line\n") == b"a line\n"
    assert client.ask_all(b"") == b""


def test_a_line_that_wakes_the_loop_costs_three_system_calls(traced):
    few, many = names(traced(ask, 10)), names(traced(ask, 60))
    extra = many - few
    assert sum(extra.values()) == 3 * 50, extra
    assert sorted(extra.values()) == [50, 50, 50], extra


def sends(trace):
    """What each successful send or write to a connection returned."""
    return [
        int(match[2])
        for line in trace
        if (match := re.search(r"\b(send|sendto|sendmsg|writev|write)\((?!2,).* = (\d+)$", line))
    ]


@pytest.mark.parametrize(
    "question", [b"x\n" * 1000, b"echo\n/nonsense\n/help\n" + b"x" * 5000 + b"\n"], ids=["lines", "all kinds"])
def test_every_answer_of_one_read_goes_back_in_one_send(traced, question):
    def talk(client):
        client.send(question + b"end\n")
        while client.line() != b"end\n":
            pass

    assert len(sends(traced(talk))) == 1


def test_a_flood_is_read_in_turns(start, dial, strace, trigger):
    """However much one client has sent, another has to wait for a part of it only."""
    server = start(f"--trigger={trigger}", wrapper=strace("--trace=recvfrom"))
    flood, polite = dial(server), dial(server)
    assert polite.ask(b"here\n") == flood.ask(b"here\n") == b"here\n"
    with server.frozen():
        assert flood.clog(b"flood\n" * 5_000_000) > 1_000_000
        polite.send(b"polite\n")
    assert polite.line() == b"polite\n"
    flood.reset()
    polite.close()
    server.stop()
    earlier = [line for line in before(strace.trace(), "polite") if "flood" in line]
    assert sum(int(line.rpartition(" = ")[2]) for line in earlier) <= 256 * 1024


def before(lines, text):
    return lines[: next(number for number, line in enumerate(lines) if text in line)]


def test_descriptors_are_non_blocking_and_closed_on_exec(traced):
    trace = "\n".join(traced(ask))
    assert re.search(r"epoll_create1\(EPOLL_CLOEXEC\)", trace)
    for flags in re.findall(r"(?:\bsocket|accept4)\((.*)\) = \d", trace):
        assert "SOCK_NONBLOCK" in flags and "SOCK_CLOEXEC" in flags
    assert re.search(r"accept4\(.*\) = \d", trace)


def test_the_trigger_is_what_was_asked_for(traced, trigger):
    trace = traced(ask)
    after = trace[[n for n, line in enumerate(trace) if "accept4(" in line][0] :]
    registration = next(line for line in after if "EPOLL_CTL_ADD" in line)
    assert ("EPOLLET" in registration) == (trigger == "edge")


@pytest.mark.parametrize("error", "EPERM EACCES ENETUNREACH EINVAL ECONNREFUSED".split())
def test_a_failing_udp_answer_costs_this_answer_only(start, peer, strace, error):
    server = start(wrapper=strace(f"--inject=sendmmsg:error={error}:when=1"))
    udp = peer(server)
    with server.frozen():
        for question in (b"lost", b"1", b"2"):
            udp.send(question)
    assert udp.receive() == b"1"
    assert udp.receive() == b"2"
