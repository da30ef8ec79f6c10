"""Several daemons that share a port, and the many who hold connections to them."""

import contextlib
import fcntl
import os
import re
import resource
import socket
import subprocess
import time
from pathlib import Path

from holder import Holder

ROOT = Path(__file__).resolve().parent.parent
DAEMON = ROOT / "build/million/epoll-echo"
PORT = 12345
OWN_PORT = 12346  # of the first daemon alone
BACKLOG = 4096
FIRST_PASSED = 3
FREE_FROM = 1000  # descriptors that nothing here uses
# What a daemon has open beside its clients: itself, and those that are told that there is no room.
OTHERS = 300
SETTLED_SECONDS = 0.1
# Ends with whoever has started it, also where that had no time to end it.
BOUND = ["setpriv", "--pdeathsig=KILL"]
CHUNK = 2000  # connections between two signs of life
AT_ONCE = 8  # of those who hold them


def descriptors():
    """How many a process may have; this one and those that it starts get them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextlib.contextmanager
def listener(port, host="127.0.0.1"):
    """A descriptor, beyond those that it is to become."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind((host, port))
        s.listen(BACKLOG)
        fd = fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, FREE_FROM)
    yield fd
    os.close(fd)


def launch(listeners, most, pinned, *options):
    """A daemon that is handed LISTENERS the way systemd hands sockets over; a shell tells it its number."""
    redirects = "".join(f" {n}<&{fd} {fd}<&-" for n, fd in enumerate(listeners, FIRST_PASSED))
    script = f'export LISTEN_PID=$$ LISTEN_FDS={len(listeners)}; exec "$@"{redirects}'
    return subprocess.Popen([*BOUND, "bash", "-c", script, "bash", DAEMON, f"--max-tcp={most}", *options],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            preexec_fn=pinned, process_group=0, pass_fds=listeners)


def listed(pid, name, pattern):
    """The sum of all numbers that PATTERN finds in a file of /proc/PID."""
    return sum(int(number) for number in re.findall(pattern, Path(f"/proc/{pid}/{name}").read_text(), re.MULTILINE))


class Fleet:
    """COUNT daemons on one port, and the first of them on another one too."""

    def __init__(self, count, pinned):
        most = descriptors() - OTHERS
        with contextlib.ExitStack() as stack:
            # All of them before the first connection: whom it goes to depends on how many there are.
            shared = [stack.enter_context(listener(PORT)) for _ in range(count)]
            own = stack.enter_context(listener(OWN_PORT))
            self.daemons = [launch([fd, own] if fd == shared[0] else [fd], most, pinned) for fd in shared]
        self.pids = [daemon.pid for daemon in self.daemons]

    def check(self):
        if any(daemon.poll() is not None for daemon in self.daemons):
            raise RuntimeError("a daemon has ended")

    def total(self, name, pattern):
        return sum(listed(pid, name, pattern) for pid in self.pids)

    def cpu_seconds(self):
        return self.total("schedstat", r"\A(\d+)") / 1e9

    def switches(self):
        return self.total("status", r"ctxt_switches:\s*(\d+)")

    def memory(self):
        """Bytes: their share of what they map, and what is nobody else's."""
        return {"pss_bytes": 1024 * self.total("smaps_rollup", r"^Pss:\s*(\d+)"),
                "private_bytes": 1024 * self.total("smaps_rollup", r"^Private_\w+:\s*(\d+)")}

    def settle(self):
        """Waits until none of them has anything left to do."""
        before = None
        while (now := self.cpu_seconds()) != before:
            before = now
            time.sleep(SETTLED_SECONDS)
        self.check()


class Crowd:
    """Who holds connections to the shared port, each from an address of its own; several are at work at a time."""

    def __init__(self, share, say):
        self.share, self.say = share, say
        self.holders = []

    @property
    def held(self):
        return sum(holder.held for holder in self.holders)

    def _next(self):
        number = len(self.holders)
        source = f"127.1.{number // 250}.{number % 250 + 1}"
        self.holders.append(Holder("127.0.0.1", PORT, source, BOUND, process_group=0))

    def _open(self, missing):
        """Has some open a part of what is missing."""
        while missing > sum(self.share - holder.held for holder in self.holders) and len(self._free()) < AT_ONCE:
            self._next()
        begun = []
        for holder in self._free()[:AT_ONCE]:
            begun.append((holder, min(CHUNK, self.share - holder.held, missing)))
            missing -= begun[-1][1]
            holder.tell(f"open {begun[-1][1]}")
        for holder, count in begun:
            holder.answer()
            holder.held += count

    def _free(self):
        return [holder for holder in self.holders if holder.held < self.share]

    def _close(self, surplus):
        begun = []
        for holder in self.holders[:-AT_ONCE - 1:-1]:
            begun.append((holder, min(holder.held, surplus)))
            surplus -= begun[-1][1]
            holder.tell(f"close {begun[-1][1]}")
        for holder, count in begun:
            holder.answer()
            holder.held -= count
        while self.holders and self.holders[-1].held == 0:
            self.holders.pop().end()

    def reach(self, wanted):
        while self.held != wanted:
            if self.held < wanted:
                self._open(wanted - self.held)
            else:
                self._close(self.held - wanted)
            self.say(f"{self.held:,} connections")

    def every(self, command):
        """What all of them tell, summed up."""
        sums = {}
        for first in range(0, len(self.holders), AT_ONCE):
            some = self.holders[first:first + AT_ONCE]
            for holder in some:
                holder.tell(command)
            for holder in some:
                for word, count in holder.answer().items():
                    sums[word] = sums.get(word, 0) + count
            self.say(f"{command}: " + ", ".join(f"{word} {count:,}" for word, count in sums.items() if count))
        return sums

    def call_ns(self):
        if not self.holders:
            self._next()
        return self.holders[0].do("call")["call"]


def end(fleet, crowd):
    """All at once: what has nobody at its other end any more is soonest gone."""
    processes = [*fleet.daemons, *(holder.process for holder in crowd.holders)]
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
