# SPDX-License-Identifier: MIT
"""Clients whose every byte is known beforehand: what they send, and what has to come back."""

import contextlib
import selectors
import socket
import time

PATIENCE = 60.0  # seconds without a byte until it counts as a standstill; nothing is asserted to be fast
AGAIN_SECONDS = 1.0
LATE_SECONDS = 0.1  # of a standstill, after which those that read late begin to read
MAX_LINE = 4096
TOO_LONG = b"ERR too-long-line\n"
UNKNOWN = b"ERR unknown-command\n"
DATAGRAM_MAX = 9000


def random_bytes(rng, count):
    return rng.randbytes(count).replace(b"\n", b"\r")


def talk(rng, lines):
    """(question, answer) of a whole connection."""
    question, answer = [], []
    overlong_before = False  # two in a row would end the connection
    for _ in range(lines):
        kind = rng.randrange(20)
        if kind == 0 and not overlong_before:
            question.append(random_bytes(rng, rng.randrange(MAX_LINE + 1, 3 * MAX_LINE)) + b"\n")
            answer.append(TOO_LONG)
            overlong_before = True
            continue
        overlong_before = False
        if kind == 1:
            question.append(b"/nothing " + random_bytes(rng, rng.randrange(200)) + b"\n")
            answer.append(UNKNOWN)
            continue
        size = MAX_LINE if kind == 2 else rng.randrange(2 ** rng.randrange(1, 13))
        line = random_bytes(rng, size) + b"\n"
        question.append(b"x" + line[1:-1] + b"\n" if line.startswith(b"/") else line)
        answer.append(question[-1])
    if rng.randrange(2):
        question.append(b"the end" + random_bytes(rng, rng.randrange(1, 1000)))
        answer.append(question[-1])
    return b"".join(question), b"".join(answer)


class Stream:
    """A TCP connection that sends all it has, and compares all that comes."""

    def __init__(self, name, address, port, rng):
        self.name = name
        self.rng = rng
        self.late = rng.randrange(4) == 0
        # One that reads late sends more than the buffers on the way hold.
        question, self.answer = talk(rng, rng.randrange(200, 800) if self.late else rng.randrange(1, 120))
        self.left = memoryview(question)
        self.got = 0
        self.finished = self.over = False
        self.problem = None
        # A last line without LF is answered at the end of input, and not before.
        self.finishes_early = not question.endswith(b"\n") or rng.randrange(2) == 0
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.socket.setblocking(False)
        if rng.randrange(2):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384 << rng.randrange(3))
        if rng.randrange(2):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            self.socket.connect((address, port))

    def wants(self):
        events = 0 if self.late else selectors.EVENT_READ
        if self._sends():
            events |= selectors.EVENT_WRITE
        return events

    def _sends(self):
        if self.left:
            return True
        return not self.finished and (self.finishes_early or self.got == len(self.answer))

    def ready(self, events):
        """Goes on. Whatever is wrong ends the connection, and is kept."""
        try:
            if events & selectors.EVENT_WRITE and self._sends():
                self._send()
            if events & selectors.EVENT_READ:
                self._receive()
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(f"{error}")

    def _send(self):
        if self.left:
            sent = self.socket.send(self.left[: self.rng.randrange(1, 20_000)])
            self.left = self.left[sent:]
        else:
            self.socket.shutdown(socket.SHUT_WR)
            self.finished = True

    def _receive(self):
        piece = self.socket.recv(self.rng.randrange(1, 20_000))
        wanted = self.answer[self.got : self.got + len(piece)]
        if piece != wanted:
            at = next((i for i, (a, b) in enumerate(zip(piece, wanted)) if a != b), len(wanted))
            self._fail(f"byte {self.got + at} is wrong")
        elif not piece and self.got < len(self.answer):
            self._fail("the end comes too early")
        elif not piece and not self.finished:
            self._fail("the end comes before the client's")
        elif not piece:
            self._end()
        self.got += len(piece)

    def _fail(self, problem):
        self.problem = f"{self.name}: {problem} ({self.got} of {len(self.answer)} bytes came)"
        self._end()

    def _end(self):
        self.over = True
        self.socket.close()


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
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

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


class Loop:
    """Lets all of them go on at once."""

    def __init__(self, streams, askers):
        self.streams = streams
        self.askers = askers
        self.selector = selectors.DefaultSelector()
        for stream in streams:
            self.selector.register(stream.socket, selectors.EVENT_WRITE, stream)
        for asker in askers:
            self.selector.register(asker.socket, selectors.EVENT_READ, asker)

    def run(self):
        moved = time.monotonic()
        asking = set(self.askers)
        while any(not stream.over for stream in self.streams) or asking:
            ready = self.selector.select(LATE_SECONDS / 10 if asking else LATE_SECONDS)
            for key, events in ready:
                self._ready(key.data, events)
            asking = {asker for asker in asking if asker.ask()}
            if ready:
                moved = time.monotonic()
            elif time.monotonic() - moved > PATIENCE:
                return self._stuck()
            elif not asking:
                self._wake_late()
        return []

    def _ready(self, client, events):
        if isinstance(client, Asker):
            with contextlib.suppress(BlockingIOError):  # what came was damaged
                client.receive()
            return
        client.ready(events)
        self._update(client)

    def _update(self, stream):
        with contextlib.suppress(KeyError):  # it may want nothing for now
            self.selector.unregister(stream.socket)
        if not stream.over and (wants := stream.wants()):
            self.selector.register(stream.socket, wants, stream)

    def _wake_late(self):
        for stream in self.streams:
            if stream.late and not stream.over:
                stream.late = False
                self._update(stream)

    def _stuck(self):
        return [
            f"{stream.name}: stands still ({stream.got} of {len(stream.answer)} bytes came)"
            for stream in self.streams
            if not stream.over
        ]
