"""What the attacks stand on: the daemon, the programs that flood it, polite clients beside them."""

import contextlib
import json
import os
import re
import subprocess
import time

from harness.clients import Client
from harness.daemon import ROOT, Daemon
from harness.wait import PATIENCE, wait_until

PROGRAMS = ROOT / "build/attacks"
BENCH = ROOT / "echo-bench"
TIMED_SECONDS = 3.0  # that polite clients are timed for, without and with an attack
WARM_UP_SECONDS = 1.0  # that an attack has to begin in


class Cores:
    """Where the daemon runs and where all else does; None: wherever it likes."""

    server = None
    rest = None


def pinned(core, idle=False):
    """For preexec: on that core alone; IDLE: and only when nobody else wants it."""

    def preexec():
        if core is not None:
            os.sched_setaffinity(0, {core})
            os.sched_setscheduler(0, os.SCHED_IDLE if idle else os.SCHED_OTHER, os.sched_param(0))

    return preexec


def serving(*options):
    """A daemon, which is ended gracefully; what it has written is checked then."""
    return Daemon(*options, preexec_fn=pinned(Cores.server))


def connect(server):
    """A client, which keeps a place to ask for the statistics from."""
    return Client("127.0.0.1", server.tcp_port)


def resident(server):
    """Bytes of RSS."""
    return int(server.status("VmRSS")) * 1024


@contextlib.contextmanager
def flooding(*words, program="flood"):
    """A flood that goes on meanwhile: yields a dict that holds its figures afterwards."""
    command = [str(PROGRAMS / program), *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               preexec_fn=pinned(Cores.rest, idle=True))
    figures, begun = {}, time.monotonic()
    try:
        assert process.stdout.readline() == "begun\n"
        yield figures
        assert process.poll() is None, "the flood has ended by itself"
        figures["seconds"] = time.monotonic() - begun
        said, _ = process.communicate(timeout=PATIENCE)
        figures.update((key, int(value)) for key, value in (pair.split("=") for pair in said.split()))
    finally:
        process.kill()
        process.wait()


def socket_memory(port):
    """What the kernel keeps for each TCP connection of the daemon at PORT, in bytes: ss(8), -m."""
    shown = subprocess.run(["ss", "-tmnHO", "state", "connected", "sport", "=", f":{port}"],
                           capture_output=True, text=True, check=True).stdout
    amounts = []
    for line in shown.splitlines():
        found = dict(re.findall(r"\b(rb|tb|bl|[rtfwod])(\d+)", line.partition("skmem:")[2]))
        # Received, queued for sending, and allocated in advance.
        amounts.append(sum(int(found[key]) for key in "rwf"))
    return amounts


class Asking:
    """A polite client that has its answers looked at, but not its time."""

    connections = 1

    def begin(self, server, _control):
        self.client = connect(server)
        assert self.client.ask(b"hello\n") == b"hello\n"

    def end(self):
        for number in range(50):
            assert self.client.ask(b"%d\n" % number) == b"%d\n" % number
        self.client.close()
        return {}


class Timed:
    """Polite clients whose latency is measured, first without and then with the attack.

    Each sends a line every fiftieth of a second, whatever became of the last one, so that a stall is
    counted for every line that it held up: echo-bench(1)."""

    connections = 20
    rate = 1000

    def __init__(self):
        self.process = None

    def _start(self, server):
        command = [str(BENCH), "--json", f"--connections={self.connections}", f"--rate={self.rate}",
                   "--depth=16", f"--warmup={WARM_UP_SECONDS}", f"--duration={TIMED_SECONDS}", "--timeout=30",
                   server.address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=pinned(Cores.rest))

    def _result(self):
        said, _ = self.process.communicate(timeout=10 * PATIENCE)
        result = json.loads(said)
        assert self.process.returncode == 0 and result["errors"] == 0, said
        return result["latency_us"]

    def begin(self, server, control):
        """CONTROL is a connection that the statistics can be asked over."""
        before = control.stats()["connected_tcp"]
        self._start(server)
        self.quiet = self._result()
        wait_until(lambda: control.stats()["connected_tcp"] == before, "the polite clients to leave")
        self._start(server)
        wait_until(lambda: control.stats()["connected_tcp"] == before + self.connections, "the polite clients to come")

    def end(self):
        loaded = self._result()
        figures = {f"{name}_us": loaded[name] for name in ("p50", "p99", "max")}
        figures.update((f"quiet_{name}_us", self.quiet[name]) for name in ("p50", "p99", "max"))
        return figures
