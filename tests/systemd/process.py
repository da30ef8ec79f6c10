# SPDX-License-Identifier: MIT
"""The daemon run directly, with what a service manager would hand to it; and such a manager."""
import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import termios
import time

from guest import PATIENCE, wait_until

FIRST_PASSED = 3
FREE_FROM = 100  # descriptors that nothing here uses


class Process:
    """One run. SOCKETS are passed in their order, as descriptors from 3 on."""

    def __init__(self, binary, *options, sockets=(), stderr=subprocess.PIPE, **environment):
        moved = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, FREE_FROM) for s in sockets]
        numbers = range(FIRST_PASSED, FIRST_PASSED + len(moved))
        redirects = "".join(f" {n}<&{fd} {fd}<&-" for n, fd in zip(numbers, moved))
        if sockets:
            environment = {"LISTEN_FDS": str(len(moved)), "LISTEN_PID": "$$"} | environment
        # Only the process itself knows its number before it runs: the shell sets that, and becomes
        # the program.
        own = [name for name, value in environment.items() if value == "$$"]
        script = "".join(f"export {name}=$$; " for name in own) + f'exec "$@"{redirects}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", binary, *options],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=moved,
            env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
            | environment,
        )
        self.pid = self.process.pid
        self.log = ""
        for fd in moved:
            os.close(fd)

    def _read(self, deadline, what):
        """Adds to the log what comes next; false at its end."""
        left = max(0, deadline - time.monotonic())
        ready = select.select([self.process.stderr], [], [], left)[0]
        assert ready, f"waited {PATIENCE:.0f} s in vain for {what}: {self.log}"
        chunk = os.read(self.process.stderr.fileno(), 65536).decode()
        self.log += chunk
        return chunk != ""

    def await_log(self, pattern):
        """The first match of PATTERN in the log, waited for."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.log)):
            assert self._read(deadline, pattern), f"ended without {pattern}: {self.log}"
        return match

    def ports(self):
        """The ports it has opened itself, TCP and UDP."""
        return [int(self.await_log(rf"proto={p} addr=\S*:(\d+)\n")[1]) for p in ("tcp", "udp")]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """The exit status; the whole log is in self.log."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline, "its end"):
            continue
        return self.process.wait(PATIENCE)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self):
        """Its end at once, and its own if possible: only that one is reported by a build that checks
        or counts."""
        if self.process.poll() is None:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
                self.signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()

    def inodes(self):
        """What its descriptors are: the inode numbers of sockets, pipes and files."""
        directory = f"/proc/{self.pid}/fd"
        return {os.stat(f"{directory}/{fd}").st_ino for fd in os.listdir(directory)}

    def timer_armed(self):
        """Whether its timer will wake it."""
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with open(f"/proc/{self.pid}/fdinfo/{fd}", encoding="ascii") as info:
                if left := re.search(r"it_value: \((\d+), (\d+)\)", info.read()):
                    return left.groups() != ("0", "0")
        raise AssertionError("there is no timer")


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address=None):
        self.address = address or f"@epoll-echo-manager-{os.getpid()}-{id(self)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        self.told = []  # one dictionary for each message

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.socket.close()

    def next(self):
        lines = self.socket.recv(4096).decode().splitlines()
        self.told.append(dict(line.split("=", 1) for line in lines))
        return self.told[-1]

    def await_key(self, key, value=None):
        """The next message that has KEY, with VALUE if that is given."""
        while True:
            message = self.next()
            if key in message and value in (None, message[key]):
                return message

    def rest(self):
        """What waits to be taken."""
        self.socket.setblocking(False)
        while True:
            try:
                self.next()
            except BlockingIOError:
                self.socket.settimeout(PATIENCE)
                return self.told


def listener(address="::1", port=0, dual=False):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
    s.bind((address, port))
    s.listen()
    return s


def bound(address="::1", port=0, dual=False):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
    s.bind((address, port))
    return s


class Client:
    """A TCP connection."""

    def __init__(self, port, address="::1"):
        self.socket = socket.create_connection((address, port), PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def delivered(self):
        """Waits until all that was sent is at the server's system, read or not."""

        def left():
            return fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0") != b"\0\0\0\0"

        wait_until(lambda: not left(), "acknowledgement of what was sent")

    def line(self):
        data = b""
        while not data.endswith(b"\n"):
            chunk = self.socket.recv(1)
            if not chunk:
                break
            data += chunk
        return data

    def rest(self):
        """Everything up to the end of the stream; a reset is an error."""
        data = b""
        while chunk := self.socket.recv(65536):
            data += chunk
        return data

    def ask(self, line):
        self.send(line + b"\n")
        return self.line().rstrip(b"\n")


def ask_udp(port, data, address="::1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((address, port))
        s.send(data)
        return s.recv(65536)


def serves(tcp=None, udp=None, address="::1"):
    """Whether both are echoed; None is not asked."""
    if tcp is not None:
        with Client(tcp, address) as client:
            assert client.ask(b"line") == b"line"
    if udp is not None:
        assert ask_udp(udp, b"datagram", address) == b"datagram"
    return True


def port_of(s):
    return s.getsockname()[1]
