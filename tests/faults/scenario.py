# SPDX-License-Identifier: MIT
"""What happens to the daemon in every case: a client of each kind, datagrams, signals, the end.

Each client is told apart, so that the outcome can say who was lost. At most one may be, for only
one call fails.
"""

import contextlib
import os
import signal
import tempfile
from pathlib import Path

from faulty import PORT, Faulty
from harness.clients import Client, Peer
from harness.lines import BUSY, LATE_LINE, TOO_LONG, UNKNOWN
from harness.wait import PATIENCE, wait_until

MAX_LINE = 200
BIG_BYTES = 400_000
RAW, DISCARD, PROXIED = PORT + 1, PORT + 2, PORT + 3
OPTIONS = ["--max-tcp=4", f"--max-line={MAX_LINE}", "--line-timeout=1", "--drain-timeout=20", f"--listen=raw:{RAW}",
           f"--listen=discard:{DISCARD}", f"--listen=echo+proxy:{PROXIED}"]
HEADER = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n"
DATAGRAMS = [b"ping", b"/whoami" + 100 * b" ", b"", 9000 * b"p"]
ASK_AGAIN_SECONDS = 0.5


class Lost(Exception):
    """A connection ended with something else than what had to come. So does one that was reset: OSError."""


def ask(client, line, begin=None):
    answer = client.ask(line)
    if not answer.endswith(b"\n"):
        raise Lost("end of stream")
    assert answer.startswith(begin or line), f"{line!r} is answered with {answer!r}"


def expect(wanted, got):
    if got != wanted and wanted.startswith(got):
        raise Lost(f"ends after {got[-40:]!r}")
    assert got == wanted, f"{got[:80]!r} for {wanted[:80]!r}"


def expect_rest(client, wanted):
    expect(wanted, client.stream.read())


def end(client):
    with contextlib.suppress(OSError):
        client.finish()


def exchange_big(client):
    """More than all buffers hold, read only when nothing more can be sent."""
    data = b"".join(b"%08d%s\n" % (i, b"." * (i % 150)) for i in range(BIG_BYTES // 80))
    sent = client.clog(data, stalled=20)
    client.send_in_background(data[sent:], finish=False)
    expect(data, client.read(len(data)))
    end(client)
    expect_rest(client, b"")


class Scenario:
    """Runs it, and keeps what was seen: `lost` names connections, `wrong` says what must not be."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.lost = []
        self.wrong = []
        self.udp_lost = 0
        self.told_busy = False
        self.clients = {}

    def _do(self, name, action, small=False, keep=False, port=PORT):
        """Lets a client, a new one or one that was kept, do ACTION. It may be lost, without harm to
        the others."""
        try:
            if name not in self.clients:
                self.clients[name] = Client("127.0.0.1", port, receive_buffer=4096 if small else None)
            action(self.clients[name])
        except (Lost, OSError) as error:
            self.lost.append(f"{name}: {error}")
            keep = False
        except AssertionError as error:
            self.wrong.append(f"{name}: {error}")
        if not keep and name in self.clients:
            self.clients.pop(name).close()

    def _if_alive(self, name, action, keep=False):
        if name in self.clients:
            self._do(name, action, keep=keep)

    def _begin(self):
        self._do("old", lambda client: ask(client, b"first\n"), keep=True)
        self._do("late line", lambda client: client.send(b"never ended"), keep=True)

    def _commands(self):
        def talk(client):
            ask(client, b"hello\n")
            ask(client, b"/whoami\n", b"proto=tcp peer=")
            ask(client, b"/stats\n", b"total_clients=")
            ask(client, b"one\ntwo\n/nothing\n", b"one\n")
            ask(client, b"", b"two\n")
            ask(client, b"", UNKNOWN)

        self._do("commands", talk, keep=True)

    def _busy(self):
        """The fifth of four. If one of those was lost, it is served instead."""

        def be_told(client):
            end(client)
            rest = client.stream.read()
            self.told_busy = rest == BUSY
            assert self.told_busy or not rest, f"{rest!r}"

        def leave(client):
            end(client)
            expect_rest(client, b"")

        self._do("fourth", lambda client: ask(client, b"here\n"), keep=True)
        self._do("busy", be_told)
        self._if_alive("fourth", leave)
        self._if_alive("commands", leave)

    def _unterminated(self):
        def talk(client):
            client.send(b"half a li")
            client.send(b"ne")
            end(client)
            expect_rest(client, b"half a line")

        self._do("unterminated", talk)

    def _overlong(self):
        def talk(client):
            client.send(b"x" * (MAX_LINE + 1) + b"\n" + b"y" * (MAX_LINE + 1))
            expect_rest(client, 2 * TOO_LONG)

        self._do("overlong", talk)

    def _big(self):
        self._do("big", exchange_big, small=True)

    def _roles(self):
        """What is no lines; and headers: in pieces, and none."""

        def raw(client):
            client.send(b"/stats\0no line")
            end(client)
            expect_rest(client, b"/stats\0no line")

        def discard(client):
            client.send(1000 * b"x")
            end(client)
            expect_rest(client, b"")

        def proxied(client):
            client.send(HEADER[:20])
            client.send(HEADER[20:])
            ask(client, b"/whoami\n", b"proto=tcp peer=192.0.2.1:56324 local=198.51.100.7:12345")
            end(client)
            expect_rest(client, b"")

        def refused(client):
            client.send(b"hello\n")
            expect_rest(client, b"")

        self._do("raw", raw, port=RAW)
        self._do("discard", discard, port=DISCARD)
        self._do("proxied", proxied, port=PROXIED)
        self._do("refused", refused, port=PROXIED)

    def _udp(self):
        """Each asked again until it is answered: one loss is a failed call's, or the network's."""
        with Peer("127.0.0.1", PORT) as asker:
            asker.socket.settimeout(ASK_AGAIN_SECONDS)
            for question in DATAGRAMS:
                self._ask_udp(asker, question, b"proto=udp" if question.startswith(b"/") else question)
        with Peer("127.0.0.1", RAW) as asker, Peer("127.0.0.1", DISCARD) as other:
            asker.socket.settimeout(ASK_AGAIN_SECONDS)
            other.send(b"never answered")
            self._ask_udp(asker, b"ERR /stats", b"ERR /stats")

    def _ask_udp(self, asker, question, begin):
        for _ in range(int(PATIENCE / ASK_AGAIN_SECONDS)):
            try:
                asker.send(question)
                while True:
                    answer = asker.receive()
                    if answer.startswith(begin) and (begin or not answer):
                        return
            except (TimeoutError, ConnectionRefusedError):
                self.udp_lost += 1
            if not self.daemon.running():
                return
        self.wrong.append(f"the datagram {question[:10]!r} is never answered")

    def _late_line(self):
        """Begun at the start, it is ended by the line timeout."""
        self._if_alive("late line", lambda client: expect_rest(client, LATE_LINE))

    def _descriptors(self, before):
        """All clients but the old one have gone, and so have their descriptors."""

        def settled():
            wanted = before + ("old" in self.clients)
            return not self.daemon.running() or self.daemon.descriptors() == wanted

        try:
            wait_until(settled, "descriptors")
        except AssertionError:
            self.wrong.append(f"{self.daemon.descriptors()} descriptors after all, {before} before")

    def _still_there(self):
        self._if_alive("old", lambda client: ask(client, b"still here\n"), keep=True)

    def _end(self):
        """A polite client sees the end of the stream, and not a reset."""
        self.daemon.deliver(signal.SIGTERM)
        self._if_alive("old", lambda client: expect_rest(client, b""))

    def run(self):
        before = self.daemon.descriptors()
        steps = [
            self._begin,
            self._commands,
            self._busy,
            self._unterminated,
            self._overlong,
            self._big,
            self._roles,
            self._udp,
            lambda: self.daemon.deliver(signal.SIGHUP),
            self._late_line,
            self._still_there,
            lambda: self._descriptors(before),
            self._end,
        ]
        # Either it was let go untold, or one of the four before: which, it cannot see.
        if self._steps(steps) and not self.lost and not self.told_busy:
            self.lost.append("busy: not told")

    def _steps(self, steps):
        """Whether all could be done."""
        for step in steps:
            if not self.daemon.running():
                return False
            try:
                step()
            except (ProcessLookupError, FileNotFoundError, TypeError):
                self.daemon.process.wait(PATIENCE)  # it has gone in the midst of it: strace says so in a moment
        return True


def run_once(inject=None, allocation=None):
    """One run from start to end: a dict that can be handed between processes."""
    with tempfile.TemporaryDirectory(prefix="epoll-echo-faults-") as directory:
        daemon = Faulty(Path(directory), OPTIONS, inject, allocation)
        result = {"started": False, "lost": [], "wrong": [], "udp_lost": 0}
        scenario = Scenario(daemon)
        try:
            result["started"] = daemon.listens()
            if result["started"]:
                scenario.run()
            result["status"] = daemon.wait()
        except Exception as error:  # whatever it is, it belongs into the report
            scenario.wrong.append(f"{type(error).__name__}: {error}")
            result["status"] = None
        finally:
            daemon.kill()
            for client in scenario.clients.values():
                client.close()
        result.update(lost=scenario.lost, wrong=scenario.wrong, udp_lost=scenario.udp_lost, log=daemon.log_text())
        if daemon.traced:
            result.update(calls=[name for name, _ in daemon.calls()], injected=daemon.injected())
        else:
            result["allocations"] = int(daemon.count.read_text()) if os.path.exists(daemon.count) else None
        return result
