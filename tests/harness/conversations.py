"""Conversations that a restart comes into the midst of: what each has begun, it finishes afterwards.

Every byte is compared: one that is lost, doubled or out of its order fails.
"""

import random

from harness.clients import Client, Peer

PROXY = b"PROXY TCP4 192.0.2.7 198.51.100.1 5555 443\r\n"


class Conversation:
    """With one server, on one connection, as often as a restart comes."""

    role = "echo"
    hurries = False  # has a few seconds for what it has begun

    def __init__(self, host, port, number):
        self.client = Client(host, port, **self.sockets())
        self.random = random.Random(number)
        self.number = number
        self.rounds = 0

    def sockets(self):
        return {}

    def begin(self):
        """Leaves something undone."""

    def go_on(self):
        """Finishes it."""
        self.rounds += 1
        line = b"round %d of %d\n" % (self.rounds, self.number)
        assert self.client.ask(line) == line

    def end(self):
        """Nothing but the answers came, and a clean end comes for one."""
        self.client.finish()
        assert self.client.rest() == b""

    def close(self):
        self.client.close()


class Idle(Conversation):
    pass


class HalfLine(Conversation):
    def begin(self):
        self.client.send(b"half a line, ")

    def go_on(self):
        assert self.client.ask(b"and the rest\n") == b"half a line, and the rest\n"
        super().go_on()


class Overlong(Conversation):
    """The rest of a line that was too long is still dropped, and the next one is one line."""

    def begin(self):
        assert self.client.ask(b"x" * 5000) == b"ERR too-long-line\n"

    def go_on(self):
        assert self.client.ask(b"still the same\nshort\n") == b"short\n"
        super().go_on()


class SlowReader(Conversation):
    """Has asked for more than the kernel holds, and reads none of it before the restart."""

    def sockets(self):
        return {"receive_buffer": 4096, "send_buffer": 65536}

    def begin(self):
        self.lines = b"".join(b"%d of a slow reader's lines\n" % i for i in range(self.random.randrange(500, 4000)))
        self.sent = self.client.clog(self.lines, stalled=0)

    def go_on(self):
        sender = self.client.send_in_background(self.lines[self.sent:], finish=False)
        assert self.client.read(len(self.lines)) == self.lines
        sender.join()
        super().go_on()


class Bulk(SlowReader):
    role = "raw"

    def begin(self):
        self.lines = self.random.randbytes(self.random.randrange(30_000, 150_000))
        self.sent = self.client.clog(self.lines, stalled=0)


class Delayed(Conversation):
    role = "faulty"

    def begin(self):
        self.client.send(b"/delay 100 late\n/drip 1 slow\nafter\n")

    def go_on(self):
        assert [self.client.line() for _ in range(3)] == [b"late\n", b"slow\n", b"after\n"]
        super().go_on()


class Owed(Conversation):
    """Is owed many bytes that are made as they are sent."""

    role = "faulty"
    count = 100_000

    def sockets(self):
        return {"receive_buffer": 4096}

    def begin(self):
        self.client.send(b"/bytes %d\n" % self.count)

    def go_on(self):
        answer = self.client.read(self.count)
        assert len(answer) == self.count and answer.endswith(b"\n") and answer.count(b"\n") == 1
        super().go_on()


class Proxied(Conversation):
    """What its header has announced holds on."""

    role = "echo+proxy"
    hurries = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.begun = False

    def begin(self):
        if not self.begun:
            self.client.send(PROXY[:20])  # a half header, the first time

    def go_on(self):
        self.client.send(b"" if self.begun else PROXY[20:])
        self.begun = True
        answer = self.client.ask(b"/whoami\n")
        assert answer.startswith(b"proto=tcp peer=192.0.2.7:5555 local=198.51.100.1:443 "), answer
        super().go_on()


KINDS = (Idle, HalfLine, Overlong, SlowReader, Bulk, Delayed, Owed, Proxied)


class Datagrams:
    """A peer that is known, and an answer that waits."""

    hurries = False

    def __init__(self, host, port, late_port):
        self.peer, self.late = Peer(host, port), Peer(host, late_port)

    def begin(self):
        self.late.send(b"/delay 100 later")

    def go_on(self):
        assert self.late.receive() == b"later\n"
        assert self.peer.ask(b"still here") == b"still here"

    def close(self):
        self.peer.close()
        self.late.close()


class Conversations:
    """COUNT of them, of each kind in turn, with a server whose PORTS are known by their roles."""

    def __init__(self, host, ports, count, kinds=KINDS):
        self.all = []
        for number in range(count):
            kind = kinds[number % len(kinds)]
            self.all.append(kind(host, ports[kind.role], number))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for conversation in self.all:
            conversation.close()

    def through(self, restart):
        """What happens to them while RESTART does."""
        patient = sorted(self.all, key=lambda conversation: conversation.hurries)
        for conversation in patient:
            conversation.begin()
        restart()
        for conversation in reversed(patient):
            conversation.go_on()

    def end(self):
        for conversation in self.all:
            conversation.end()


def was_reset(client):
    """Whether the connection ended by RST, once something has been read or the end has come."""
    try:
        while client.socket.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False
