"""Starts epoll-echo, reads its log, and looks at it the way an operator can."""

import contextlib
import fcntl
import itertools
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness.clients import Client
from harness.wait import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("EPOLL_ECHO", str(ROOT / "epoll-echo"))
BUILD = os.environ.get("EPOLL_ECHO_BUILD", "plain")
SLOWNESS = 0.3  # seconds by which a timeout may seem early to the client's clock

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")
PAIR = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)')

# What a service manager tells: it is not for the daemons that are started here.
OF_A_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
                "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY")
AS_ROOT = "runs as root"
OWN_PID = "$$"  # as a variable's value: the daemon's own number
FIRST_PASSED = 3
FREE_FROM = 1000  # descriptors that nothing here uses

unused_ports = itertools.count(20_000)  # below those that the kernel hands out


def parse_logfmt(line):
    """The pairs of one log line; ValueError if it is not strict, printable logfmt."""
    text = line.decode("ascii")
    pairs = PAIR.findall(text)
    if " ".join(f"{key}={value}" for key, value in pairs) != text or not text.isprintable():
        raise ValueError(f"not logfmt: {line!r}")
    record = {key: value[1:-1].encode().decode("unicode_escape") if value.startswith('"') else value
              for key, value in pairs}
    if record.get("level") not in ("debug", "info", "warning", "error") or "msg" not in record:
        raise ValueError(f"no level or msg: {line!r}")
    return record


def limit_descriptors(soft, hard):
    """For preexec: what `ulimit -n` would do."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def all_descriptors():
    """Raises the limit of this process; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def environment_with(variables):
    ours = {name: value for name, value in os.environ.items() if name not in OF_A_MANAGER}
    return {**ours, **variables}


def run(*options, environment=None, **popen):
    """Runs the daemon where it is expected to end by itself."""
    done = subprocess.run([BINARY, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                          env=environment_with(environment or {}), **popen)
    assert not SANITIZER.search(done.stderr.decode(errors="replace")), done.stderr.decode()
    return done


class Daemon:
    """One running daemon. Left as a context, it is ended gracefully, and all it said is looked at."""

    running = set()

    def __init__(self, *options, binary=BINARY, port=0, listening=2, sockets=(), wrapper=(), environment=None,
                 stderr=subprocess.PIPE, pass_descriptors=(), **popen):
        """LISTENING lines about sockets that it has opened are waited for. SOCKETS are passed in their
        order, as descriptors from 3 on; WRAPPER is a command in front of it. PASS_DESCRIPTORS keep their
        numbers."""
        self.valgrind_log = None
        ports = [] if port is None or sockets else [f"--port={port}"]
        command = [*wrapper, *self._instrument(binary), str(binary), *ports, *options]
        moved = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, FREE_FROM) for s in sockets]
        variables = {"LISTEN_FDS": str(len(moved)), "LISTEN_PID": OWN_PID} if sockets else {}
        variables |= environment or {}
        self.stdout = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*self._becoming(moved, variables), *command], stdin=subprocess.DEVNULL, stdout=self.stdout,
            stderr=stderr, env=environment_with(variables), pass_fds=[*moved, *pass_descriptors], **popen)
        for fd in moved:
            os.close(fd)
        self.pid = self.process.pid
        self.stderr = []
        self.records = []
        self.of_root = []  # what it says because the tests run as root, and for no other reason
        self.malformed = []
        self.log_ended = False
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        Daemon.running.add(self)
        try:
            self._await(lambda: len(self.find(msg="listening")) >= listening, f"{listening} listening lines")
        except BaseException:
            self.kill()
            raise

    def _instrument(self, binary):
        if BUILD != "valgrind" or binary != BINARY:
            return []
        self.valgrind_log = tempfile.NamedTemporaryFile(prefix="epoll-echo-valgrind-")
        return ["valgrind", "--track-fds=yes", "--leak-check=full", f"--log-file={self.valgrind_log.name}"]

    @staticmethod
    def _becoming(moved, variables):
        """Only the process itself knows its number before it runs: a shell sets that, and becomes it."""
        own = [name for name, value in variables.items() if value == OWN_PID]
        if not own and not moved:
            return []
        redirects = "".join(f" {n}<&{fd} {fd}<&-" for n, fd in enumerate(moved, FIRST_PASSED))
        return ["bash", "-c", "".join(f"export {name}=$$; " for name in own) + f'exec "$@"{redirects}', "bash"]

    # The log

    def _read_log(self):
        for line in self.process.stderr or ():
            with self.changed:
                self.stderr.append(line)
                try:
                    record = parse_logfmt(line.removesuffix(b"\n"))
                    (self.of_root if record["msg"] == AS_ROOT else self.records).append(record)
                except ValueError:
                    self.malformed.append(line)
                self.changed.notify_all()
        with self.changed:
            self.log_ended = True
            self.changed.notify_all()

    def _await(self, condition, what):
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.log_ended, PATIENCE)
        assert condition(), f"no {what}: {self.log_text()}"

    def find(self, **fields):
        return [record for record in self.records if fields.items() <= record.items()]

    def await_record(self, **fields):
        """The first record with these fields, waited for."""
        self._await(lambda: self.find(**fields), f"record of {fields}")
        return self.find(**fields)[0]

    def log_text(self):
        return b"".join(self.stderr).decode(errors="backslashreplace")

    def listening(self):
        """(protocol, address) of each socket so far."""
        return [(record["proto"], record["addr"]) for record in self.find(msg="listening")]

    def port_of(self, proto, **fields):
        """Of the first socket for that protocol, or the first with such a role=."""
        return int(self.await_record(msg="listening", proto=proto, **fields)["addr"].rpartition(":")[2])

    @property
    def tcp_port(self):
        return self.port_of("tcp")

    @property
    def udp_port(self):
        return self.port_of("udp")

    @property
    def address(self):
        """HOST:PORT, for who takes that."""
        return f"127.0.0.1:{self.tcp_port}"

    # The process

    def status(self, key):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return re.search(rf"^{key}:\s*(\S+)", text, re.MULTILINE)[1]

    def activity(self):
        """Grows whenever the process wakes up, or spins without ever sleeping."""
        switches = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
        nanoseconds = Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]
        return [int(self.status(key)) for key in switches] + [int(nanoseconds)]

    def settle(self):
        """Waits until the daemon has done all that it can for now."""

        def at_rest():
            before = self.activity()
            time.sleep(0.2)
            return self.process.poll() is not None or self.activity() == before

        wait_until(at_rest, "the daemon to be at rest")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Bytes of private anonymous memory: heap, stack, written data."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s*(\d+) kB", text, re.MULTILINE)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number):
        self.process.send_signal(number)

    def deliver(self, number):
        """Signals, and waits until the daemon has taken the signal, or has ended."""
        self.signal(number)
        bit = 1 << (number - 1)

        def taken():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                return not (int(self.status("ShdPnd"), 16) | int(self.status("SigPnd"), 16)) & bit
            return True

        wait_until(taken, f"{signal.Signals(number).name} taken")

    @contextlib.contextmanager
    def frozen(self):
        """What happens meanwhile finds the daemon stopped; then it wakes up to all at once."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self.status("State") in ("T", "t"), "the daemon to be stopped")
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def stats(self, host="127.0.0.1"):
        """Asked over a connection of its own, which counts itself."""
        with Client(host, self.tcp_port) as client:
            return client.stats()

    # The end

    def wait(self):
        """The exit status, after all that it wrote has been read."""
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        Daemon.running.discard(self)
        assert not SANITIZER.search(self.log_text()), self.log_text()
        return status

    def check(self):
        """No report of a sanitizer, no line that is not logfmt."""
        assert not SANITIZER.search(self.log_text()), self.log_text()
        assert not self.malformed, self.malformed

    def ended(self):
        """Waits for a graceful end and leaves nothing unchecked."""
        status = self.wait()
        self.check()
        assert status == 0, f"exit status {status}: {self.log_text()}"
        self.stdout.seek(0)
        assert self.stdout.read() == b""
        if self.valgrind_log:
            check_valgrind(self.valgrind_log.read().decode())

    def stop(self):
        self.signal(signal.SIGTERM)
        self.ended()

    def kill(self):
        Daemon.running.discard(self)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        try:
            if self in Daemon.running and not failure:
                self.stop()
        finally:
            self.kill()


def check_valgrind(report):
    assert "ERROR SUMMARY: 0 errors" in report, report
    opened = [line for line in report.splitlines() if "Open file descriptor" in line]
    inherited = report.count("<inherited from parent>")
    assert len(opened) == inherited, report
    assert re.search(r"no leaks are possible|definitely lost: 0 bytes", report), report
