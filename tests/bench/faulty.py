"""Servers that do one thing wrong, so that echo-bench can be seen to notice."""

import socket
import threading
import time

PATIENCE = 30


class Tcp:
    """Serves every connection in a thread of its own with talk(connection)."""

    def __init__(self, talk, port=0):
        self.talk = talk
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        connection.settimeout(2 * PATIENCE)
        with connection:
            try:
                self.talk(connection)
            except OSError:
                pass  # the client has gone


def lines(connection):
    """The lines of a connection, whole."""
    with connection.makefile("rb") as file:
        yield from file


def answering(change, port=0):
    """Answers line N of a connection with change(N, line)."""

    def talk(connection):
        for number, line in enumerate(lines(connection)):
            connection.sendall(change(number, line))

    return Tcp(talk, port)


class Udp:
    """Answers datagram N with each datagram of change(N, datagram), and notes when each has come."""

    def __init__(self, change, port=0):
        self.change = change
        self.times = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        # The thread is a daemon, blocked in recvfrom: one datagram of its own lets it go.
        self.change = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.socket.getsockname())

    def _serve(self):
        number = 0
        with self.socket:
            while True:
                datagram, peer = self.socket.recvfrom(65536)
                if self.change is None:
                    return
                self.times.append(time.monotonic())
                for answer in self.change(number, datagram):
                    self.socket.sendto(answer, peer)
                number += 1


def stalling(at, seconds):
    """Echoes, but makes everybody wait at line AT."""

    def change(number, line):
        if number == at:
            time.sleep(seconds)
        return line

    return answering(change)
