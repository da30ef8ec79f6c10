# SPDX-License-Identifier: MIT
"""What clients do in a soak. Each knows every byte that it has to get."""

import asyncio
import collections
import contextlib
import fcntl
import itertools
import re
import socket
import struct
import sys
import time

from harness.clients import SIOCOUTQ, new_socket, shown
from harness.lines import BUSY, LATE_LINE, MAX_LINE, TRUNCATED, Stream, pattern, random_bytes, random_line

PATIENCE = 60.0  # seconds until a wait is given up; nothing is asserted to be fast
MAX_DATAGRAM = 2048
LINE_TIMEOUT = 20
MAX_TCP = 40
ASK_AGAIN_SECONDS = 2.0


class Wrong(Exception):
    """Something that must not be, whatever faults there were."""


class Broken(Exception):
    """A connection was reset, or ended too early. A fault may have to answer for it."""

    def __init__(self, connection, text):
        super().__init__(f"{text}, {connection.account()}")
        self.connection = connection


class Busy(Exception):
    """Told so, properly."""


class Ended(Exception):
    """By a restart, with all that was due: as it should be."""


class Connection(Stream):
    """A TCP connection and its account: what was sent, what is to come, what has come."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon = daemon
        self.restarts = daemon.restarts
        self.in_restart = daemon.restarting
        self.sent = self.got = self.due = self.counted = 0
        self.socket = None
        self.port = None

    async def open(self):
        deadline = time.monotonic() + PATIENCE
        loop = asyncio.get_running_loop()
        host = self.daemon.rng.choice(["127.0.0.1", "::1"])
        while True:
            self.socket = new_socket(host, socket.SOCK_STREAM)
            self.socket.setblocking(False)
            try:
                await asyncio.wait_for(loop.sock_connect(self.socket, (host, self.daemon.port)), PATIENCE)
                break
            except ConnectionRefusedError as error:
                self.socket.close()
                if not self.daemon.refuses or time.monotonic() > deadline:
                    raise Wrong("a connection is refused") from error
                self.daemon.tally["refused in a restart"] += 1
                await asyncio.sleep(0.02)
        self.in_restart = self.in_restart or self.daemon.restarting
        self.port = self.socket.getsockname()[1]
        self.daemon.tally["connections"] += 1
        self.daemon.connects += 1
        self.daemon.open.add(self)
        return self

    def close(self, reset=False):
        self.daemon.open.discard(self)
        if self.socket is None:
            return
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    async def __aenter__(self):
        return await self.open()

    async def __aexit__(self, *_):
        self.close()

    def note_due(self):
        """A graceful end is about to begin: the server's kernel has all that is acknowledged, and
        whole lines of that are to be answered."""
        outgoing = fcntl.ioctl(self.socket, SIOCOUTQ, bytes(4))
        arrived = self.sent - int.from_bytes(outgoing, sys.byteorder)
        self.due = max((answer for question, answer in self.ends if question <= arrived), default=0)

    async def send_all(self, finish=False):
        """In pieces of any size. If the server ends the connection, the reader will see it."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while self.sent < len(self.question):
                # Just what goes: so that `sent` is right at any time.
                size = self.daemon.rng.randrange(1, 60_000)
                piece = bytes(memoryview(self.question)[self.sent : self.sent + size])
                try:
                    self.sent += self.socket.send(piece)
                except BlockingIOError:
                    await _writable(loop, self.socket)
                else:
                    await asyncio.sleep(0)
            if finish:
                self.socket.shutdown(socket.SHUT_WR)

    async def receive_all(self, end=False):
        """Everything that is to come, and nothing else; with END, the end of the stream too."""
        while self.got < len(self.answer):
            await self._compare()
        if end and await self.receive():
            raise Wrong("something comes after all that was owed")

    async def receive(self):
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.sock_recv(self.socket, 65536), PATIENCE)
        except asyncio.TimeoutError as error:
            raise Wrong(f"nothing comes any more, {self.account()}") from error
        except OSError as error:
            raise Broken(self, error.strerror) from error

    async def _compare(self):
        piece = await self.receive()
        if not piece:
            self.ended_early()
        if self.got == 0 and piece == BUSY:
            if await self.receive():
                raise Wrong("something comes after the busy message")
            raise Busy
        if piece != self.answer[self.got : self.got + len(piece)]:
            raise Wrong(f"what comes is not what was sent, {self.account()}")
        self.got += len(piece)
        self.daemon.tally["bytes"] += len(piece)

    def ended_early(self):
        restarted = self.daemon.restarts > self.restarts or self.daemon.restarting
        if not restarted:
            raise Broken(self, "the end comes too early")
        if self.got < self.due:
            raise Broken(self, "lost by a graceful end")
        self.daemon.tally["bytes due at a graceful end"] += self.due
        raise Ended

    def account(self):
        return f"{self.got} of {len(self.answer)} bytes came, {self.due} were due"

    async def talk(self, finish=False, end=False):
        """Sends and receives at once, whatever was added."""
        async with self.sending(finish) as sending:
            await self.receive_all(end)
            await sending
        self.count_lines()

    @contextlib.asynccontextmanager
    async def sending(self, finish=False):
        """Meanwhile, all is sent that was added."""
        task = asyncio.ensure_future(self.send_all(finish))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def count_lines(self):
        self.daemon.tally["lines"] += len(self.ends) - 1 - self.counted
        self.counted = len(self.ends) - 1


async def _writable(loop, sock):
    ready = loop.create_future()
    loop.add_writer(sock, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(sock)


# What a client does, from its connect to its end.


async def ask(daemon, rng):
    async with Connection(daemon) as connection:
        for _ in range(rng.randrange(1, 30)):
            connection.add(random_line(rng))
            await connection.talk()


async def pipeline(daemon, rng):
    async with Connection(daemon) as connection:
        for _ in range(rng.randrange(1, 200)):
            connection.add(random_line(rng))
        await connection.talk(finish=True, end=True)


async def unterminated(daemon, rng):
    async with Connection(daemon) as connection:
        connection.add(random_line(rng))
        connection.add(b"the end" + random_bytes(rng, rng.randrange(1000))).end()
        await connection.talk(finish=True, end=True)


async def overlong(daemon, rng):
    """The second one in a row ends the connection."""
    async with Connection(daemon) as connection:
        line = random_bytes(rng, rng.randrange(MAX_LINE + 1, 3 * MAX_LINE)) + b"\n"
        for added in (line, random_line(rng), line, line):
            connection.add(added)
        await connection.talk(end=True)


async def reads_late(daemon, rng):
    """Sends until nothing goes any more, waits, and then wants all of it."""
    async with Connection(daemon) as connection:
        for _ in range(rng.randrange(500, 3000)):
            connection.add(random_line(rng))
        async with connection.sending(finish=True) as sending:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(daemon.stopping.wait(), rng.uniform(0.1, 3))
            await connection.receive_all(end=True)
            await sending
        connection.count_lines()


async def reset(daemon, rng):
    async with Connection(daemon) as connection:
        for _ in range(rng.randrange(1, 100)):
            connection.add(random_line(rng))
        async with connection.sending():
            await asyncio.sleep(rng.uniform(0, 0.02))
        connection.close(reset=True)


async def leave(daemon, rng):
    async with Connection(daemon):
        await asyncio.sleep(rng.uniform(0, 0.02))


async def idle(daemon, rng):
    async with Connection(daemon) as connection:
        connection.add(random_line(rng))
        await connection.talk()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(daemon.stopping.wait(), rng.uniform(0.1, 3))
        connection.add(random_line(rng))
        await connection.talk(finish=True, end=True)


async def never_ends_its_line(daemon, rng):
    async with Connection(daemon) as connection:
        connection.add(random_line(rng))
        connection.add(b"begun")
        connection.answer += LATE_LINE
        await connection.talk(end=True)
        daemon.tally["lines timed out"] += 1


async def crowd(daemon, rng):
    """More than there is room for: each is either served or told so."""

    async def one():
        with contextlib.suppress(Ended):
            async with Connection(daemon) as connection:
                connection.add(random_line(rng))
                try:
                    await connection.talk(finish=True, end=True)
                except Busy:
                    daemon.tally["told busy"] += 1
                except Broken as error:
                    daemon.broken(error)

    await asyncio.gather(*(one() for _ in range(rng.randrange(MAX_TCP, 2 * MAX_TCP))))


async def commands(daemon, rng):
    async with Connection(daemon) as connection:
        loop, name = asyncio.get_running_loop(), connection.socket.getsockname()
        for _ in range(rng.randrange(1, 10)):
            question = rng.choice([b"/whoami", b"/stats", b"/time", b"/help", b"/shutdown"])
            with contextlib.suppress(OSError):  # the reader will see it
                await loop.sock_sendall(connection.socket, question + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                piece = await connection.receive()
                if not piece:
                    connection.ended_early()
                answer += piece
            if answer == BUSY:
                raise Busy
            other = question == b"/whoami" and b" peer=%s " % shown(*name[:2]).encode() not in answer
            if other or not re.fullmatch(pattern(question, "tcp"), answer):
                raise Wrong(f"{question!r} is answered by {answer!r}")
            daemon.tally["commands"] += 1


# Each peer is another one: an address of its own for IPv4, a port for IPv6. So they can be counted.
_numbers = itertools.count(1)


def _peer():
    number = next(_numbers)
    host = "127.0.0.1" if number % 4 else "::1"
    sock = new_socket(host, socket.SOCK_DGRAM)
    if number % 4:
        sock.bind((f"127.{1 + number // 65536 % 250}.{number // 256 % 256}.{number % 256}", 0))
    else:
        sock.bind((host, 20_000 + number // 4 % 12_000))
    sock.setblocking(False)
    return sock, host


def _datagram(rng, number):
    """(question, answer)."""
    begin = number.to_bytes(4, "big")
    if rng.randrange(20) == 0:
        return begin + rng.randbytes(rng.randrange(MAX_DATAGRAM - 3, 3 * MAX_DATAGRAM)), TRUNCATED
    question = begin + rng.randbytes(rng.randrange(MAX_DATAGRAM - 3))
    return question, question


async def datagrams(daemon, rng):
    """One at a time, and asked again if no answer comes; but there are no more answers than that."""
    sock, host = _peer()
    owed = collections.Counter()
    daemon.peers += 1
    with contextlib.closing(sock):
        for number in range(rng.randrange(1, 40)):
            question, answer = _datagram(rng, number)
            for _ in range(int(PATIENCE / ASK_AGAIN_SECONDS)):
                sock.sendto(question, (host, daemon.port))
                daemon.asked += 1
                owed[answer] += 1
                if await _answered(sock, owed, answer):
                    daemon.tally["datagrams"] += 1
                    break
                daemon.tally["datagrams asked again"] += 1
            else:
                raise Wrong("a datagram is never answered")


async def _answered(sock, owed, wanted):
    """Whether the answer comes. One to an earlier question may have been late."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            got = await asyncio.wait_for(loop.sock_recv(sock, 65536), ASK_AGAIN_SECONDS)
        except asyncio.TimeoutError:
            return False
        if not owed[got]:
            raise Wrong("a datagram comes back changed, or once too often")
        owed[got] -= 1
        if got == wanted:
            return True


# How often, beside each other.
KINDS = {
    ask: 10,
    pipeline: 10,
    unterminated: 3,
    overlong: 2,
    reads_late: 3,
    reset: 3,
    leave: 3,
    idle: 6,
    never_ends_its_line: 1,
    crowd: 1,
    commands: 4,
    datagrams: 8,
}
