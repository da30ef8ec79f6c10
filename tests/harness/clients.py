"""Clients: a TCP connection and a UDP socket, with patience."""

import contextlib
import fcntl
import re
import select
import socket
import sys
import threading

from harness.lines import STATS
from harness.wait import PATIENCE, wait_until

SIOCOUTQ = 0x5411
STALLED_MILLISECONDS = 300  # after which nothing more goes out


def new_socket(host, kind):
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)


def shown(host, port):
    """An address as the daemon writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_stats(answer):
    """The counters in the answer to /stats."""
    assert re.fullmatch(STATS, answer), answer
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", answer.decode())}


class Socket:
    """What both have; closed when left as a context."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def _connect(self, host, port, source, patience=PATIENCE):
        self.socket.settimeout(patience)
        try:
            if source:
                self.socket.bind(source if isinstance(source, tuple) else (source, 0))
            self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise

    def close(self):
        self.socket.close()


class Client(Socket):
    """A TCP connection that reads lines."""

    def __init__(self, host, port, source=None, receive_buffer=None, send_buffer=None, patience=PATIENCE):
        self.socket = new_socket(host, socket.SOCK_STREAM)
        for option, size in ((socket.SO_RCVBUF, receive_buffer), (socket.SO_SNDBUF, send_buffer)):
            if size:
                self.socket.setsockopt(socket.SOL_SOCKET, option, size)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connect(host, port, source, patience)
        self.stream = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def send_in_background(self, data, finish=True):
        """For more than the server takes while nobody reads; a reset ends it silently."""

        def sending():
            with contextlib.suppress(OSError):
                self.send(data)
                if finish:
                    self.finish()

        thread = threading.Thread(target=sending, daemon=True)
        thread.start()
        return thread

    def finish(self):
        """Ends the sending side only."""
        self.socket.shutdown(socket.SHUT_WR)

    def line(self):
        return self.stream.readline()

    def read(self, count):
        return self.stream.read(count)

    def rest(self):
        """Everything up to the end, upon which a polite client closes too."""
        everything = self.stream.read()
        self.close()
        return everything

    def ask(self, line):
        self.send(line)
        return self.line()

    def ask_all(self, data):
        """Sends all there is, and everything that comes for it."""
        self.send(data)
        self.finish()
        return self.rest()

    def stats(self):
        return parse_stats(self.ask(b"/stats\n"))

    def silent(self):
        """True if nothing has arrived, not even the end."""
        return not select.select([self.socket], [], [], 0)[0]

    def clog(self, data):
        """Sends until the server takes no more, because nobody reads its answers.

        Returns how many bytes went out."""
        view = memoryview(data)
        poller = select.poll()
        poller.register(self.socket, select.POLLOUT)
        sent = 0
        while sent < len(data) and poller.poll(STALLED_MILLISECONDS):
            sent += self.socket.send(view[sent:])
        return sent

    def unsent(self):
        """Bytes that the server's kernel has not received yet."""
        return int.from_bytes(fcntl.ioctl(self.socket, SIOCOUTQ, bytes(4)), sys.byteorder)

    def delivered(self):
        """Waits until all that was sent is at the server's kernel, read or not."""
        wait_until(lambda: self.unsent() == 0, "everything to be received")

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        self.stream.close()
        super().close()


class Peer(Socket):
    """A UDP socket that talks to one server."""

    def __init__(self, host, port, source=None, hops=None):
        self.socket = new_socket(host, socket.SOCK_DGRAM)
        if hops:
            self.set_hops(hops)
        self._connect(host, port, source)

    def set_hops(self, hops):
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)

    def send(self, data):
        self.socket.send(data)

    def receive(self):
        return self.socket.recv(65536)

    def ask(self, data):
        self.send(data)
        return self.receive()


def serves(tcp=None, udp=None, host="127.0.0.1"):
    """Whether a line and a datagram are echoed by these ports; None is not asked."""
    if tcp is not None:
        with Client(host, tcp) as client:
            assert client.ask(b"here\n") == b"here\n"
    if udp is not None:
        with Peer(host, udp) as peer:
            assert peer.ask(b"here") == b"here"
    return True


def refused(host, port):
    """Whether nobody listens there."""
    try:
        Client(host, port).close()
    except ConnectionRefusedError:
        return True
    return False
