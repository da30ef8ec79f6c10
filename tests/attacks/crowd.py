"""Attacks with many TCP connections: on the slots, on the memory, on everybody's turn."""

import contextlib
import select
import socket
import time

from ground import connect, flooding, resident, serving, socket_memory
from harness.clients import Client
from harness.daemon import SLOWNESS
from harness.lines import BUSY
from harness.wait import PATIENCE, wait_until

CONTROL = 1  # connection of the attack's own, to look at the statistics
LINES = "x" * 63 + "\n"
COMMANDS = "/stats\n"  # of all answers the one that costs most

PROCESS_MOST = (128 + 4 + 1) * 1024  # what a turn leaves, a line, what holds both
OVERSHOOT = 64 * 1024  # the kernel looks at its bound before it takes in one more packet
BUSY_MOST = 256 + 1  # goodbyes at once, and one connection that is just being accepted
HEADER_SECONDS = 5
CLOGGED_MILLISECONDS = 1500  # during which the daemon took nothing from anybody


def bare(server, **fields):
    """A connection that costs no more than its socket; to the port with such a role=."""
    return socket.create_connection(("127.0.0.1", server.port_of("tcp", **fields)))


class SlowCrowd:
    """Connections that begin what they never end, though another byte comes now and then. KINDS: what
    they begin with, in turn; those that begin with nothing say nothing at all."""

    def __init__(self, stack, server, count, timeout, kinds=(b"b",), **fields):
        self.pause = timeout / 4
        self.begun, self.lasted = {}, []
        self.open = {}
        self.silent = set()
        self.poll = select.epoll()
        stack.callback(self.poll.close)
        for number in range(count):
            fresh = stack.enter_context(bare(server, **fields))
            if kind := kinds[number % len(kinds)]:
                fresh.send(kind)
            else:
                self.silent.add(fresh)
            self.begun[fresh.fileno()] = time.monotonic()
            self.open[fresh.fileno()] = fresh
            self.poll.register(fresh, select.EPOLLIN)
        self.drip = time.monotonic() + self.pause

    def _send_more(self):
        for fresh in set(self.open.values()) - self.silent:
            with contextlib.suppress(OSError):  # it has been closed and we have not looked yet
                fresh.send(b"x")
        self.drip = time.monotonic() + self.pause

    def until_closed(self):
        deadline = time.monotonic() + 4 * self.pause + PATIENCE
        while self.open:
            assert time.monotonic() < deadline, f"{len(self.open)} slots are still taken"
            for fd, _ in self.poll.poll(max(0, self.drip - time.monotonic())):
                self.lasted.append(time.monotonic() - self.begun[fd])
                self.poll.unregister(fd)
                del self.open[fd]
            if time.monotonic() >= self.drip:
                self._send_more()


def slowloris(polite, connections, line_timeout):
    """A line is begun on every slot, and none is ended."""
    most = connections + polite.connections + CONTROL
    with serving(f"--max-tcp={most}", f"--line-timeout={line_timeout}") as server, contextlib.ExitStack() as stack:
        control = stack.enter_context(connect(server))
        polite.begin(server, control)
        slow = SlowCrowd(stack, server, connections, line_timeout)
        assert control.stats()["connected_tcp"] == most
        with connect(server) as late:
            assert late.rest() == BUSY
        memory = resident(server)
        figures = polite.end()
        slow.until_closed()
        assert min(slow.lasted) >= line_timeout - SLOWNESS
        with connect(server) as client:
            assert client.ask(b"room again\n") == b"room again\n"
        return {**figures, "connections": connections, "timeout_s": line_timeout, "first_s": min(slow.lasted),
                "last_s": max(slow.lasted), "process_mb": memory / 1e6}


def headless(polite, connections):
    """On a port for headers, half of the connections send nothing, and half a header that does not end."""
    most = connections + polite.connections + CONTROL + 1
    with serving(f"--max-tcp={most}", "--listen=echo+proxy:0") as server, contextlib.ExitStack() as stack:
        control = stack.enter_context(connect(server))
        polite.begin(server, control)
        slow = SlowCrowd(stack, server, connections, HEADER_SECONDS, (b"", b"PROXY TCP4 1"), role="echo+proxy")
        figures = polite.end()
        slow.until_closed()
        assert min(slow.lasted) >= HEADER_SECONDS - SLOWNESS
        assert control.stats()["proxy_refused"] == connections
        with Client("127.0.0.1", server.port_of("tcp", role="echo+proxy")) as client:
            client.send(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n")
            assert client.ask(b"room again\n") == b"room again\n"
        return {**figures, "connections": connections, "first_s": min(slow.lasted), "last_s": max(slow.lasted)}


def clog(clients, questions):
    """Sends on all, the questions in turn, until the daemon takes no more from any."""
    waiting = select.poll()
    by_number = {}
    for number, client in enumerate(clients):
        client.setblocking(False)
        waiting.register(client, select.POLLOUT)
        by_number[client.fileno()] = (client, questions[number % len(questions)])
    while ready := waiting.poll(CLOGGED_MILLISECONDS):
        for number, _ in ready:
            client, question = by_number[number]
            with contextlib.suppress(BlockingIOError):
                client.send(question)


def never_readers(polite, connections, socket_buffer):
    """Half of them send lines and half commands, as fast as they can, and none reads an answer."""
    most = connections + polite.connections + CONTROL
    questions = [(text * (1 << 20))[:1 << 20].encode() for text in (LINES, COMMANDS)]
    with serving(f"--max-tcp={most}", f"--socket-buffer={socket_buffer}") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(bare(server)) for _ in range(connections)]
        control = stack.enter_context(connect(server))
        assert control.stats()["connected_tcp"] == connections + CONTROL
        polite.begin(server, control)
        before = server.memory()
        clog(clients, questions)
        process = (server.memory() - before) / connections
        kernel = sorted(socket_memory(server.tcp_port))[-connections:]
        figures = polite.end()
        assert process <= PROCESS_MOST
        if socket_buffer:
            assert kernel[-1] <= 4 * socket_buffer + OVERSHOOT
        return {**figures, "connections": connections, "socket_buffer": socket_buffer,
                "process_kb": process / 1024, "kernel_kb": sum(kernel) / connections / 1024,
                "kernel_max_kb": kernel[-1] / 1024, "kernel_sum_mb": sum(kernel) / 1e6}


def connection_flood(polite, connections, flooders, told):
    """Every slot is taken, and FLOODERS at a time go on knocking until TOLD were turned away."""
    most = connections + polite.connections + CONTROL
    with serving(f"--max-tcp={most}") as server, contextlib.ExitStack() as stack:
        inmates = [stack.enter_context(connect(server)) for _ in range(connections)]
        control = stack.enter_context(connect(server))
        assert all(inmate.ask(b"in\n") == b"in\n" for inmate in inmates)
        polite.begin(server, control)
        assert control.stats()["connected_tcp"] == most
        idle = server.descriptors()
        with flooding("connect", server.tcp_port, flooders, "let me in\n") as flood:
            wait_until(lambda: control.stats()["busy_tcp"] >= told, "the flood to be turned away")
            figures = polite.end()
            assert server.descriptors() <= idle + BUSY_MOST
        assert flood["failed"] == 0 and flood["told"] >= told - flooders, flood
        assert all(inmate.ask(b"still in\n") == b"still in\n" for inmate in inmates)
        return {**figures, "inmates": connections, "flooders": flooders, "told": flood["told"], "lost": flood["failed"],
                "told_per_second": flood["told"] / flood["seconds"]}


def stubborn_crowd(polite, connections):
    """Nobody who is turned away closes, so that each goodbye takes its two seconds."""
    with serving(f"--max-tcp={polite.connections + CONTROL}") as server, contextlib.ExitStack() as stack:
        control = stack.enter_context(connect(server))
        polite.begin(server, control)
        idle, begun = server.descriptors(), time.monotonic()
        knocking = [stack.enter_context(connect(server)) for _ in range(connections)]
        most = server.descriptors()
        figures = polite.end()
        places = polite.connections  # that are free now
        for client in knocking:
            answer = client.ask(b"hello\n")
            places -= answer == b"hello\n"
            assert answer == b"hello\n" or answer + client.stream.read() == BUSY  # and a clean end
            most = max(most, server.descriptors())
        assert places >= 0 and most <= idle + BUSY_MOST
        return {**figures, "connections": connections, "last_told_s": time.monotonic() - begun,
                "at_once": most - idle}


def pipelining(polite, connections, text, role="echo"):
    """Each sends without end and reads all that comes, which is nothing of the role discard."""
    most = connections + polite.connections + CONTROL
    with serving(f"--max-tcp={most}", "--listen=discard:0") as server, connect(server) as control:
        polite.begin(server, control)
        before, begun = server.cpu_seconds(), time.monotonic()
        mode = "pipeline" if role == "echo" else role
        with flooding(mode, server.port_of("tcp", role=role), connections, text) as flood:
            figures = polite.end()
        busy = (server.cpu_seconds() - before) / (time.monotonic() - begun)
        assert flood["received" if role == "echo" else "sent"] > 0
        assert role == "echo" or flood["received"] == 0
        return {**figures, "connections": connections, "cpu_percent": 100 * busy,
                "megabytes_per_second": max(flood["received"], flood["sent"]) / flood["seconds"] / 1e6}
