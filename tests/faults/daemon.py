# SPDX-License-Identifier: MIT
"""The daemon under strace(1), or with an allocation that fails: started, watched, ended."""

import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAULTS_BUILD", ROOT / "build"))
STATIC = BUILD / "static/epoll-echo"
ALLOC = BUILD / "alloc/epoll-echo"
PATIENCE = 30.0  # seconds until a wait is given up; nothing here is asserted to be fast
PORT = 12345
CLONE_NEWNET = 0x40000000


def own_network():
    """A network of its own for the calling process: fixed ports, and nobody else's traffic."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)
    return value


class Daemon:
    """INJECT is strace's expression (`recvfrom:error=EINTR:when=3`) or None; ALLOCATION the number
    of the allocation that fails, for the other build."""

    def __init__(self, directory, options, inject=None, allocation=None):
        self.directory = Path(directory)
        self.trace = self.directory / "strace"
        self.errors = self.directory / "stderr"
        self.token = self.directory / "token"
        self.token.write_text("secret\n")
        self.token.chmod(0o600)
        environment = {**os.environ, "FAIL_COUNT": str(self.directory / "count")}
        if allocation:
            environment["FAIL_ALLOCATION"] = allocation
        command = [STATIC if allocation is None else ALLOC, f"--port={PORT}", *options]
        command.append(f"--shutdown-token-file={self.token}")
        if allocation is None:
            command = ["strace", "-f", "-o", self.trace, *self._inject(inject), *command]
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
            )
        self.traced = allocation is None

    @staticmethod
    def _inject(expression):
        return ["-e", f"inject={expression}"] if expression else []

    def running(self):
        return self.process.poll() is None

    def pid(self):
        """The daemon's, which is strace's only child."""
        own = self.process.pid
        if not self.traced:
            return own
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return int(children[0]) if children else None

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid()}/fd"))

    def listens(self):
        """Waits until it serves, or has ended: whether it serves."""

        def ready():
            if not self.running():
                return True
            table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
            return f":{PORT:04X} " in table and self._sleeps_in_epoll()

        wait_until(ready, "neither listening nor ended")
        return self.running()

    def _sleeps_in_epoll(self):
        """Blocked in epoll_wait: start-up is over."""
        try:
            call = Path(f"/proc/{self.pid()}/syscall").read_text().split()[0]
        except (OSError, TypeError, IndexError):
            return False
        return call in ("232", "281")  # epoll_wait, epoll_pwait on x86-64

    def deliver(self, number):
        """Signals, and waits until the daemon has taken the signal or has ended."""
        pid = self.pid()
        bit = 1 << (number - 1)
        os.kill(pid, number)

        def taken():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return True
            pending = re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)", status, re.MULTILINE)
            return not any(int(word, 16) & bit for word in pending)

        wait_until(taken, f"{signal.Signals(number).name} not taken")

    def wait(self):
        return self.process.wait(PATIENCE)

    def kill(self):
        """Whatever is left of it."""
        if not self.running():
            return
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def log(self):
        return self.errors.read_text(errors="backslashreplace")

    def calls(self):
        """(name, line) of each system call, in order. Those before the daemon's first step, the
        blocking of signals, are the C library's; those from the first .gcda file on are gcov's."""
        calls = []
        for line in self.trace.read_text(errors="backslashreplace").splitlines():
            if '.gcda"' in line:
                break
            match = re.match(r"\d+ +(\w+)\(", line)
            if match:
                calls.append((match[1], line))
        return calls

    def injected(self):
        """Whether a call of the daemon's own was made to fail. How many calls the C library makes
        before can differ by one or two, with where the heap lies."""
        own = False
        for name, line in self.calls():
            own = own or name == "rt_sigprocmask"
            if "(INJECTED)" in line:
                return own
        return False
