# SPDX-License-Identifier: MIT
"""A real systemd, booted as PID 1 of its own namespaces, to try units in.

It shares this process's network namespace, so that sockets opened here reach its services, and
sees the machine's files through an overlay: nothing that happens in it stays.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness.wait import PATIENCE, wait_until

HERE = Path(__file__).resolve().parent
PR_SET_PDEATHSIG = 1


class Impossible(Exception):
    """This machine cannot boot a guest; the reason is the text."""


def _cgroup():
    """A new cgroup below this process's: the root of those that the guest's PID 1 sees."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not roots:
        raise Impossible("no cgroup2 is mounted")
    own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line[0] == "0")
    path = Path(roots[0] + own.split(":", 2)[2]) / f"epoll-echo-guest-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        raise Impossible(f"no cgroup can be made: {error}") from error
    return path


class Guest:
    """Booted by entering it as a context, gone when left."""

    def __init__(self, stage):
        self.stage = stage
        self.exit = contextlib.ExitStack()
        self.pid = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise Impossible("needs root")
        if not os.access("/lib/systemd/systemd", os.X_OK):
            raise Impossible("there is no /lib/systemd/systemd (Debian: systemd)")
        if "\toverlay\n" not in Path("/proc/filesystems").read_text():
            raise Impossible("the kernel has no overlayfs")
        with contextlib.ExitStack() as undo:
            self._boot(undo)
            self.exit = undo.pop_all()
        return self

    def __exit__(self, *details):
        self.exit.close()

    def _boot(self, undo):
        room = undo.enter_context(tempfile.TemporaryDirectory(prefix="guest."))
        cgroup = _cgroup()
        undo.callback(self._remove_cgroup, cgroup)
        ready = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        name = f"epoll-echo-guest-{os.getpid()}"
        ready.bind("\0" + name)  # an abstract address is seen in all of a network namespace
        prctl = ctypes.CDLL(None).prctl

        def enter():
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        outer = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup",
             "sh", HERE / "guest-init.sh", room, self.stage, "@" + name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=enter)
        undo.callback(self._kill, outer)
        self._await_ready(ready, outer)
        children = f"/proc/{outer.pid}/task/{outer.pid}/children"
        self.pid = int(Path(children).read_text().split()[0])

    @staticmethod
    def _await_ready(ready, outer):
        ready.settimeout(0.1)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in ready.recv(4096).split(b"\n"):
                    return
            if outer.poll() is not None:
                raise Impossible("namespaces: " + outer.stderr.read().decode().strip())
        raise Impossible(f"systemd has not booted within {PATIENCE:.0f} s")

    @staticmethod
    def _kill(outer):
        outer.kill()  # and by --kill-child the guest's PID 1, and with it all of the guest
        outer.wait()
        outer.stderr.close()

    @staticmethod
    def _remove_cgroup(cgroup):
        events = cgroup / "cgroup.events"
        wait_until(lambda: "populated 0" in events.read_text(), f"the end of all in {cgroup}")
        for path, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(path)

    def path(self, path):
        """Where a file of the guest's is for this process."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def command(self, *arguments):
        """The command line that runs ARGUMENTS in the guest."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-p", "-C", "--"]
        return [*enter, "env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", *arguments]

    def run(self, *arguments, check=True):
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=4 * PATIENCE)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}"
        return done

    def show(self, unit, name):
        """A unit's property."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def journal(self, *matches):
        """The journal's entries as dictionaries, what was just written included."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "-o", "json", "--all", "-q", *matches).stdout
        return [json.loads(line) for line in lines.splitlines()]
