"""The daemon's options, the programs that are tried on it, and one that runs beside a test."""

import os
import re
import select
import shutil
import subprocess
import tempfile
import time

import pytest

from harness.wait import PATIENCE, wait_until

LISTEN = ("--port=12345", "--listen=raw:7", "--listen=discard:9", "--listen=echo+proxy:12346/tcp",
          "--listen=faulty:12348", "--listen=http:9100", "--listen=raw+proxy:12347/tcp")

# A program's Debian package, where it has another name.
PACKAGES = {"nc.openbsd": "netcat-openbsd", "nc.traditional": "netcat-traditional",
            "/usr/lib/nagios/plugins/check_tcp": "monitoring-plugins-basic",
            "/usr/lib/nagios/plugins/check_udp": "monitoring-plugins-basic",
            "/usr/sbin/haproxy": "haproxy", "/usr/sbin/nginx": "nginx"}


def need(program):
    """Skips the test where there is no such program."""
    if not shutil.which(program):
        pytest.skip(f"there is no {program} (Debian: {PACKAGES.get(program, program)})")


def exchange(command, data, whole):
    """Gives COMMAND the DATA and returns what it writes, once that is WHOLE. Then it is ended: some never
    end by themselves, or end before all has come back once their input has ended."""
    need(command[0])
    deadline, answer = time.monotonic() + PATIENCE, b""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            process.stdin.write(data)
            process.stdin.flush()
            while not whole(answer):
                ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
                piece = os.read(process.stdout.fileno(), 65536) if ready else b""
                assert piece, f"{command} has written no more than {answer}"
                answer += piece
        finally:
            process.kill()
    return answer


def output(command, **how):
    """The status and output of a COMMAND that ends by itself."""
    need(command[0])
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
                          **how)
    return done.returncode, done.stdout


class Program:
    """A program that runs until it is left as a context; its output can be waited for."""

    def __init__(self, *command):
        need(command[0])
        self.said = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)

    def text(self):
        with open(self.said.name, "rb") as said:
            return said.read().decode(errors="replace")

    def await_text(self, pattern):
        """The match of PATTERN in what the program has said."""
        found = wait_until(lambda: re.search(pattern, self.text()) or self.process.poll() is not None, pattern)
        assert found is not True, f"it has ended: {self.text()}"
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()
