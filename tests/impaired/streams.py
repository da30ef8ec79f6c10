# SPDX-License-Identifier: MIT
"""Clients whose every byte is known beforehand: what they send, and what has to come back."""

import contextlib
import random
import socket
import threading

from harness.clients import Client, new_socket
from harness.lines import Stream, random_talk

PATIENCE = 60.0  # seconds without a byte until it counts as a standstill; nothing is asserted to be fast
BUFFERS = [None, None, None, 16_384, 32_768, 65_536]
PIECE = 20_000
AGAIN_SECONDS = 1.0
DATAGRAM_MAX = 9000


class Talk:
    """A TCP connection in a thread of its own, which sends all it has and compares all that comes. RAW: to
    a port that knows no lines."""

    def __init__(self, name, address, port, rng, raw=False):
        self.name, self.address, self.port, self.rng = name, address, port, rng
        self.late = rng.randrange(4) == 0
        # One that reads late sends more than the buffers on the way hold.
        self.question = random_talk(rng, rng.randrange(200, 800) if self.late else rng.randrange(1, 120))
        self.answer = self.question if raw else bytes(Stream().add(self.question).end().answer)
        # A last line without LF is answered at the end of input, and not before.
        self.finishes_early = not self.question.endswith(b"\n") or rng.randrange(2) == 0
        self.got = 0
        self.all_came = threading.Event()
        self.finished = False
        self.problem = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            # Where Python itself waits for connect(), it takes an ICMP error that ends nothing for a failure.
            with Client(self.address, self.port, receive_buffer=self.rng.choice(BUFFERS), patience=None) as client:
                client.socket.settimeout(PATIENCE)
                self._talk(client)
        except (OSError, AssertionError) as error:
            self.problem = f"{self.name}: {error!r} ({self.got} of {len(self.answer)} bytes came)"

    def _talk(self, client):
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.rng.randrange(2))
        sent = client.clog(self.question) if self.late else 0
        sender = threading.Thread(target=self._send, args=(client, sent, random.Random(self.rng.random())), daemon=True)
        sender.start()
        while piece := client.socket.recv(self.rng.randrange(1, PIECE)):
            wanted = self.answer[self.got : self.got + len(piece)]
            assert piece == wanted, f"not what has to come back, from byte {self.got} on"
            self.got += len(piece)
            if self.got == len(self.answer):
                self.all_came.set()
        assert self.all_came.is_set(), "the end comes too early"
        assert self.finished, "the end comes before the client's"
        sender.join()

    def _send(self, client, sent, rng):
        with contextlib.suppress(OSError):  # the reader will see it
            while sent < len(self.question):
                sent += client.socket.send(self.question[sent : sent + rng.randrange(1, PIECE)])
            if not self.finishes_early:
                self.all_came.wait(PATIENCE)
            self.finished = True
            client.finish()


class Asker:
    """Sends datagrams, each once and numbered; the answers that come have to be what was asked."""

    def __init__(self, name, address, port, rng):
        self.name = name
        self.rng = rng
        self.server = (address, port)
        self.asked = {}
        self.answered = 0
        self.numbers = iter(())  # of the datagrams that are left to be asked
        self.problem = None
        self.socket = new_socket(address, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def fileno(self):
        return self.socket.fileno()

    def ask(self):
        """Sends the next one. False if there are no more."""
        number = next(self.numbers, None)
        if number is None:
            return False
        size = self.rng.randrange(DATAGRAM_MAX) if self.rng.randrange(10) == 0 else self.rng.randrange(1400)
        self.asked[number] = number.to_bytes(4, "big") + self.rng.randbytes(size)
        with contextlib.suppress(BlockingIOError):
            self.socket.sendto(self.asked[number], self.server)
        return True

    def receive(self):
        """The number of the datagram that is answered."""
        answer, source = self.socket.recvfrom(65536)
        self.answered += 1
        number = int.from_bytes(answer[:4], "big")
        if source[:2] != self.server:
            self.problem = f"{self.name}: an answer from {source}"
        elif answer != self.asked.get(number):
            self.problem = f"{self.name}: number {number} comes back changed"
        return number

    def await_last(self):
        """Asks once more, which is answered after all the others: the line is calm by now. What was
        under way came all at once, so there may be no room for this one, and it is asked again."""
        self.socket.settimeout(AGAIN_SECONDS)
        before = set(self.asked)
        for _ in range(int(PATIENCE / AGAIN_SECONDS)):
            self.ask()
            with contextlib.suppress(TimeoutError):
                while self.receive() in before and not self.problem:
                    pass
                return
        self.problem = f"{self.name}: there is no answer any more"
