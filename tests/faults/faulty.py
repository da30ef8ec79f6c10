# SPDX-License-Identifier: MIT
"""The daemon under strace(1), or with an allocation that fails."""

import os
import re
from pathlib import Path

from harness.daemon import ROOT, Daemon
from harness.wait import wait_until

BUILD = Path(os.environ.get("FAULTS_BUILD", ROOT / "build"))
STATIC = BUILD / "static/epoll-echo"
ALLOC = BUILD / "alloc/epoll-echo"
PORT = 12345


class Faulty(Daemon):
    """INJECT is strace's expression (`recvfrom:error=EINTR:when=3`) or None; ALLOCATION the number
    of the allocation that fails, for the other build."""

    def __init__(self, directory, options, inject=None, allocation=None):
        self.traced = allocation is None
        self.trace = directory / "strace"
        self.count = directory / "count"
        token = directory / "token"
        token.write_text("secret\n")
        token.chmod(0o600)
        environment = {"FAIL_COUNT": str(self.count)}
        if allocation:
            environment["FAIL_ALLOCATION"] = allocation
        strace = ["strace", "-f", "-o", self.trace, *(["-e", f"inject={inject}"] if inject else [])]
        super().__init__(*options, f"--shutdown-token-file={token}", binary=STATIC if self.traced else ALLOC,
                         port=PORT, listening=0, wrapper=strace if self.traced else (), environment=environment)

    def running(self):
        return self.process.poll() is None

    @property
    def pid(self):
        """The daemon's, which is strace's only child."""
        own = self.process.pid
        if not self.traced:
            return own
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return int(children[0]) if children else None

    @pid.setter
    def pid(self, _):
        pass

    def listens(self):
        """Waits until it serves, or has ended: whether it serves. Its log may be what fails."""

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
            call = Path(f"/proc/{self.pid}/syscall").read_text().split()[0]
        except (OSError, IndexError):
            return False
        return call in ("232", "281")  # epoll_wait, epoll_pwait on x86-64

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """Whatever is left of it, strace last."""
        if self.running() and self.pid:
            os.kill(self.pid, 9)
        super().kill()

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
