# SPDX-License-Identifier: MIT
"""Clients that come all the time, and what became of each of them."""
import collections
import itertools
import threading

from harness.clients import Client, Peer
from harness.wait import PATIENCE, wait_until

TCP_THREADS, UDP_THREADS = 3, 1
# Between two turns of a thread: a router remembers a connection for minutes, and has room for so many.
PAUSE_SECONDS = 0.002


def loopback(turn):
    """Every turn goes to another address of the loopback: each has all ports for itself."""
    return f"127.0.{turn // 250 % 250}.{turn % 250 + 1}", None


class Load:
    """While it is entered, threads connect, ask, and leave; and send datagrams, unless UDP is false. Where
    a turn goes, and from which address and port (None: the kernel chooses), is what WAY says of its number.

    Outcomes of a connection: "answered"; "ended", a clean end before the answer, because the line
    came after the server had stopped reading; or what went wrong. Of a datagram: "udp answered",
    or what went wrong.
    """

    GOOD = {"answered", "ended", "udp answered"}

    def __init__(self, port, udp=True, way=loopback):
        self.port, self.way = port, way
        self.kinds = ("answered", "udp answered") if udp else ("answered",)
        self.counts = collections.Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._repeat, args=(turn, number), daemon=True)
            for turn, count in ((self._connect, TCP_THREADS), (self._send, UDP_THREADS if udp else 0))
            for number in range(count)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.await_more()
        return self

    def __exit__(self, *details):
        self.over.set()
        for thread in self.threads:
            thread.join(4 * PATIENCE)

    def __str__(self):
        return ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))

    def failed(self):
        return {k: v for k, v in self.counts.items() if k not in self.GOOD}

    def await_more(self):
        """Waits until some more of either kind have been answered."""
        wanted = {kind: self.counts[kind] + 20 for kind in self.kinds}
        wait_until(lambda: self.over.is_set() or all(self.counts[k] >= n for k, n in wanted.items()), "answers")

    def _repeat(self, turn, number):
        for i in itertools.count(number, len(self.threads)):
            if self.over.wait(PAUSE_SECONDS):
                return
            try:
                outcome = turn(*self.way(i), b"%d\n" % i)
            except OSError as error:
                outcome = f"{turn.__name__} {type(error).__name__}"
            with self.lock:
                self.counts[outcome] += 1

    def _connect(self, address, source, line):
        with Client(address, self.port, source) as client:
            answer = client.ask(line)
        if answer == line:
            return "answered"
        return "wrong" if answer else "ended"

    def _send(self, address, source, line):
        with Peer(address, self.port, source) as peer:
            return "udp answered" if peer.ask(line) == line else "udp wrong"
