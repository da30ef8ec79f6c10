# SPDX-License-Identifier: MIT
"""Builds, starts and stops the guide's programs: for the tests and for docs/record.py."""
import ctypes
import os
import queue
import re
import select
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("GUIDE_BUILD", ROOT / "build" / "examples"))
DAEMON = Path(os.environ.get("GUIDE_DAEMON", ROOT / "epoll-echo"))
DEADLINE = 30  # seconds; ends a test that hangs, and is never a measure of anything
WARNINGS = "-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes"

# A mistake is meant to go wrong: what it leaks is not the news, and freed memory is to be reused.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=0"}


def enter_namespace():
    """Leaves for a network of our own, where every port is free. False: not allowed."""
    CLONE_NEWNET = 0x40000000
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return True


def sources():
    return sorted((ROOT / "examples").glob("**/*.c"))


def build():
    """What `make examples` does, unless GUIDE_BUILD names a directory where that was done."""
    if "GUIDE_BUILD" in os.environ:
        return
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-g", *WARNINGS.split(), "-Werror",
               *os.environ.get("GUIDE_CFLAGS", "").split(), "-pthread"]
    headers = max(path.stat().st_mtime for path in (ROOT / "examples").glob("**/*.h"))
    (BUILD / "mistakes").mkdir(parents=True, exist_ok=True)
    stamp = BUILD / "command"
    same = stamp.exists() and stamp.read_text() == " ".join(command)

    def compile_one(source):
        program = BUILD / source.relative_to(ROOT / "examples").with_suffix("")
        newest = max(headers, source.stat().st_mtime)
        if not (same and program.exists() and program.stat().st_mtime > newest):
            subprocess.run([*command, "-o", program, source], check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources()))
    stamp.write_text(" ".join(command))


def run_mistake(name, mode):
    return subprocess.run([BUILD / "mistakes" / name, mode], capture_output=True, text=True,
                          timeout=DEADLINE, env={**os.environ, **SANITIZERS})


class Server:
    """A running program that says `listening on PORT`; the lines it prints can be waited for."""

    running = []

    def __init__(self, program, *arguments, port=0, **options):
        self.process = subprocess.Popen([program, str(port), *map(str, arguments)], text=True,
                                        stdout=subprocess.PIPE, **options)
        self.running.append(self)
        self.lines = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()
        self.port = int(self.wait_for(r"listening on (\d+)").group(1))

    def _collect(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def wait_for(self, pattern):
        """The match with the next line that matches."""
        while True:
            match = re.search(pattern, self.lines.get(timeout=DEADLINE))
            if match:
                return match

    def connect(self, **options):
        return connect(self.port, **options)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self in self.running:
            self.running.remove(self)


def connect(to, receive_buffer=0, port=0):
    """A client on 127.0.0.1, from a certain port if one is named."""
    client = socket.socket()
    if port:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", port))
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        SO_RCVBUFFORCE = 33  # beyond net.core.rmem_max, if we may
        try:
            client.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
        except OSError:
            pass
    client.settimeout(DEADLINE)
    client.connect(("127.0.0.1", to))
    return client


def receive(client, count):
    """Exactly that many bytes, or fewer at the end of the stream."""
    data = bytearray()
    while len(data) < count:
        piece = client.recv(min(count - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return bytes(data)


def receive_all(client):
    return receive(client, 1 << 40)


def fill(client):
    """Sends until nothing more is taken for a moment. Returns what was sent."""
    sent = bytearray()
    client.setblocking(False)
    while select.select([], [client], [], 0.3)[1]:
        piece = os.urandom(65536).replace(b"#", b"-")  # `#` is work for the example oneshot
        try:
            sent += piece[:client.send(piece)]
        except BlockingIOError:
            pass
    client.settimeout(DEADLINE)
    return bytes(sent)
