# SPDX-License-Identifier: MIT
"""The daemons of a soak: one that runs all the time, one that is ended and started again and again;
and what is done to them."""

import asyncio
import contextlib
import re
import resource
import shutil
import signal
import socket
import subprocess

from clients import LINE_TIMEOUT, MAX_DATAGRAM, MAX_TCP, PATIENCE, Wrong
from harness.clients import Client, new_socket
from harness.daemon import BINARY, ROOT, Daemon
from harness.lines import GOODBYE

SYSTEMD = ROOT / "build/systemd/epoll-echo"
ALLOC = ROOT / "build/alloc/epoll-echo"
TOKEN = b"open sesame"
DRAIN_TIMEOUT = 60
OPTIONS = [f"--max-tcp={MAX_TCP}", f"--max-datagram={MAX_DATAGRAM}", f"--line-timeout={LINE_TIMEOUT}",
           f"--drain-timeout={DRAIN_TIMEOUT}"]
# (call, error, whether the connection is lost by it). accept4, recvmmsg and sendmmsg fail for all.
INJECTIONS = [
    ("accept4", "EMFILE", False), ("accept4", "ECONNABORTED", False), ("accept4", "EINTR", False),
    ("recvfrom", "EINTR", False), ("recvfrom", "ECONNRESET", True), ("recvfrom", "ETIMEDOUT", True),
    ("sendto", "EINTR", False), ("sendto", "EAGAIN", False), ("sendto", "EPIPE", True),
    ("sendto", "EHOSTUNREACH", True), ("epoll_wait", "EINTR", False), ("read", "EINTR", False),
    ("recvmmsg", "EINTR", False), ("recvmmsg", "ENOMEM", False),
    ("sendmmsg", "EPERM", False), ("sendmmsg", "ENOBUFS", False),
    ("timerfd_settime", "", False),  # only watched: being traced is a disturbance too
]
DATAGRAMS_BEFORE_END = 100
BATCH = 64  # datagrams that one failed sendmmsg can lose


class Account:
    """One process at a time, and the account of it."""

    binary = BINARY
    refuses = False  # connections, while it restarts

    def __init__(self, port, rng, tally, directory, environment):
        self.port = port
        self.rng = rng
        self.tally = tally
        self.directory = directory
        self.environment = dict(environment)
        self.token = directory / f"token-{port}"
        self.write_token()
        self.open = set()
        self.connects = self.peers = self.asked = 0
        self.restarts = 0
        self.restarting = False
        self.stopping = asyncio.Event()  # it is about to end: who waits shall wait no more
        self.breaks = []
        self.faulty = set()  # ports of clients whose connection was made to fail
        self.unnamed = 0  # breaks that a failed allocation, or an unnamed call, may answer for
        self.datagrams_lost = 0  # at most, by injected errors
        self.sockets = ()  # that are passed
        self.server = None

    def write_token(self, mode=0o600):
        self.token.write_bytes(TOKEN)
        self.token.chmod(mode)

    def start(self):
        self.server = Daemon(*self._options(), binary=self.binary, port=self.port, sockets=self.sockets,
                             environment=self.environment)

    def _options(self):
        """With small buffers, who does not read is soon not read from."""
        # The sandbox would refuse what a preloaded mistake does.
        free = ["--no-sandbox"] if "LD_PRELOAD" in self.environment else []
        return [*OPTIONS, *free, "--socket-buffer=16384", f"--shutdown-token-file={self.token}"]

    def account_for_end(self):
        """After a process has ended."""

    def stop(self):
        self.server.stop()
        self.account_for_end()

    def broken(self, error):
        self.breaks.append(error)

    def judge(self):
        """What no fault answers for, since the last time."""
        problems = []
        for error in self.breaks:
            if error.connection.port in self.faulty:
                self.tally["connections broken by a fault of theirs"] += 1
            elif error.connection.in_restart and self.refuses:
                self.tally["came while it stopped listening"] += 1
            elif self.unnamed > 0:
                self.unnamed -= 1
                self.tally["connections broken by a fault without a name"] += 1
            else:
                problems.append(f"port {error.connection.port} of {self.port}: {error}")
        self.breaks.clear()
        self.faulty.clear()
        self.unnamed = 0
        return problems

    # What is done to it. All are over when they return.

    async def hang_up(self):
        self.tally["SIGHUP"] += 1
        self.write_token(self.rng.choice([0o600, 0o600, 0o644]))  # the latter is refused
        await asyncio.to_thread(self.server.deliver, signal.SIGHUP)
        self.write_token()

    async def freeze(self):
        self.tally["SIGSTOP"] += 1
        self.server.signal(signal.SIGSTOP)
        await asyncio.sleep(self.rng.uniform(0.01, 0.5))
        self.server.signal(signal.SIGCONT)

    async def starve(self):
        """No more descriptors for a while."""
        self.tally["descriptors exhausted"] += 1
        before = resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE)
        few = self.server.descriptors() + self.rng.randrange(4)
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (few, before[1]))
        await asyncio.sleep(self.rng.uniform(0.1, 1))
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, before)

    async def inject(self):
        """Some calls of one kind fail for a while. Whose they were, strace tells."""
        call, error, breaks = self.rng.choice(INJECTIONS)
        trace = self.directory / f"strace-{self.port}"
        command = ["strace", "-qq", "-yy", "-o", trace, "-e", f"trace={call}"]
        if error:
            when = f"{self.rng.randrange(1, 10)}+{self.rng.randrange(3, 30)}"
            command += ["-e", f"inject={call}:error={error}:when={when}"]
        trace.write_text("")
        strace = subprocess.Popen([*command, "-p", str(self.server.pid)], stderr=subprocess.DEVNULL)
        await asyncio.sleep(self.rng.uniform(0.2, 1))
        await asyncio.to_thread(self._detach, strace)
        lines = [line for line in trace.read_text(errors="replace").splitlines() if "(INJECTED)" in line]
        self.tally["system calls made to fail"] += len(lines)
        if breaks:
            self._name(lines)
        if call == "sendmmsg":
            self.datagrams_lost += BATCH * len(lines)

    def _name(self, lines):
        """Whose connections they were: TCPv6:[[::1]:12001->[::1]:33310]. The kernel's list of sockets,
        which strace asks for while they come and go, may lack one: TCPv6:[33585075]."""
        self.faulty |= {int(port) for line in lines for port in re.findall(r"->\S*:(\d+)\]>", line)}
        self.unnamed += len({number for line in lines for number in re.findall(r"<\w+:\[(\d+)\]>", line)})

    def _detach(self, strace):
        """While the daemon is stopped. Else it may be about to make a call, and strace has already
        seen to it that this becomes none: ENOSYS, of which it would say nothing."""
        self.server.deliver(signal.SIGSTOP)
        strace.send_signal(signal.SIGINT)
        strace.wait(PATIENCE)
        self.server.signal(signal.SIGCONT)

    def faults(self):
        faults = [self.hang_up, self.freeze, self.starve]
        if shutil.which("strace"):
            faults += [self.inject, self.inject, self.inject]
        return faults


class Steady(Account):
    """Runs from the start of the soak to its end: whatever it leaks adds up."""

    async def disturb(self):
        await self.rng.choice(self.faults())()


class Changing(Account):
    """Is ended gracefully and started anew, while its clients go on."""

    def _options(self):
        return [*OPTIONS, f"--socket-buffer={self.rng.choice([0, 16384])}",
                f"--trigger={self.rng.choice(['level', 'edge'])}", f"--shutdown-token-file={self.token}"]

    async def disturb(self):
        await self.rng.choice([*[self.restart] * 6, *self.faults()])()

    async def restart(self):
        how = self.rng.choice(["SIGTERM", "SIGINT", "/shutdown"])
        asker = await asyncio.to_thread(Client, "127.0.0.1", self.port) if how == "/shutdown" else None
        # Stopped, it has much that it has received and not read when the end begins.
        asked = None
        if stopped := self.rng.randrange(2) == 0:
            self.server.signal(signal.SIGSTOP)
            asked = self._ask_datagrams()
            await asyncio.sleep(self.rng.uniform(0, 0.2))
        for connection in list(self.open):
            connection.note_due()
        self.restarting = True
        self.stopping.set()
        if how != "/shutdown":
            self.server.signal(getattr(signal, how))
        if stopped:
            self.server.signal(signal.SIGCONT)
        if asker and not await asyncio.to_thread(self._ask_to_stop, asker):
            how = "SIGTERM"
            self.server.signal(signal.SIGTERM)
        self.tally[f"restarts by {how}"] += 1
        await asyncio.to_thread(self.server.ended)
        self.account_for_end()
        self.restarts += 1
        await asyncio.to_thread(self.start)
        self.restarting = False
        self.stopping = asyncio.Event()
        if asked:
            await asyncio.to_thread(self._await_answers, asked)

    def _ask_datagrams(self):
        """They come before the end, and not too many for the socket."""
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(DATAGRAMS_BEFORE_END):
            asker.sendto(number.to_bytes(4, "big"), ("127.0.0.1", self.port))
        return asker

    def _await_answers(self, asker):
        """From the process that has ended, or from the next one, which got its sockets."""
        asker.settimeout(PATIENCE)
        with asker:
            wanted = {number.to_bytes(4, "big") for number in range(DATAGRAMS_BEFORE_END)}
            while wanted:
                try:
                    wanted.remove(asker.recv(100))
                except TimeoutError as error:
                    raise Wrong(f"{len(wanted)} datagrams lost by a graceful end") from error
        self.tally["datagrams due at a graceful end"] += DATAGRAMS_BEFORE_END

    def _ask_to_stop(self, asker):
        """Whether it does. It may be too busy to listen."""
        with asker, contextlib.suppress(ConnectionError):
            return asker.ask(b"/shutdown " + TOKEN + b"\n") == GOODBYE
        return False


class WithOwnSockets(Changing):
    """Clients are refused while nobody listens. Also, one allocation of each process fails."""

    binary = ALLOC
    refuses = True

    def start(self):
        self.failing = self.rng.randrange(100, 2000)
        self.count = self.directory / "allocations"
        self.environment |= {"FAIL_ALLOCATION": str(self.failing), "FAIL_COUNT": str(self.count)}
        super().start()

    def account_for_end(self):
        if int(self.count.read_text()) >= self.failing:
            self.tally["allocations made to fail"] += 1
            self.unnamed += 1


class WithPassedSockets(Changing):
    """The sockets stay, and so does everybody who waits there. There may be a new program."""

    binary = SYSTEMD

    def __init__(self, *details):
        super().__init__(*details)
        self.sockets = [new_socket("::", kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        for sock in self.sockets:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", self.port))
        self.sockets[0].listen(4096)
