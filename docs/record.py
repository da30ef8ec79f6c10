#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes the sessions that the guide shows: docs/sessions/NAME.txt, all or those named.

    sudo docs/record.py [NAME ...]

Each session is made by running what it shows, in a network namespace of its own, so that ports
are the same every time. What differs from run to run (times, addresses, counts) is masked by
structure() when tests/guide compares a new run with the recorded one.
"""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import programs
from programs import BUILD, DAEMON, DEADLINE, ROOT, Server, fill, receive

SESSIONS = ROOT / "docs" / "sessions"
EXAMPLE_PORT, DAEMON_PORT = 7000, 12345
MADE = {}  # name: (function, tools)
PROBES = {  # what a tool must be allowed to do
    "strace": ["strace", "-o", "/dev/null", "true"],
    "gdb": ["gdb", "-q", "-batch", "-ex", "starti", "-ex", "kill", "true"],
    "tcpdump": ["timeout", "--preserve-status", "--signal=INT", "0.5", "tcpdump", "-i", "lo"],
}


def session(*tools):
    """Registers a function as a session that needs these tools."""
    def register(function):
        MADE[function.__name__.replace("_", "-")] = (function, tools)
        return function
    return register


def missing(name):
    """Why the session cannot be made here, or None."""
    for tool in MADE[name][1]:
        if tool == "daemon":
            if not DAEMON.exists():
                return "epoll-echo is not built"
        elif tool == "slabinfo":
            if not os.access("/proc/slabinfo", os.R_OK):
                return "needs /proc/slabinfo"
        elif not shutil.which(tool):
            return f"needs {tool}"
        elif tool in PROBES and subprocess.run(PROBES[tool], capture_output=True).returncode:
            return f"{tool} may not do its work here"
    return None


def structure(name, text):
    """What has to be the same in every run. Zero stays zero, any other number is a number."""
    if name == "packets":  # acknowledgements travel alone or with data, as time allows
        text = re.sub(r"(?m)^.*Flags \[\.\].*length 0\n|seq [\d:]+|ack \d+|win \d+", "", text)
    if name in ("stuck", "event"):  # gdb: which functions, and which values
        lines = re.findall(r"(?m)^\$ .*|^#.*|^\$\d.*", text)
        text = "\n".join(re.sub(r"^#(\d+) +(?:0x\w+ in )?(?:__libc_|__)?(\w+).*", r"\1 \2", line)
                         for line in lines)
    text = re.sub(r'TCP_INFO, ".*?"\.\.\., ', "TCP_INFO, ", text)  # what strace shows as bytes
    text = re.sub(r"(data|ino):\s*[0-9a-f]+", "N", text)
    text = re.sub(r"0x[0-9a-f]+|\b(?=[0.:]*[1-9])[0-9][0-9.:]*", "N", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return sorted(lines) if name == "interest" else lines  # its order is that of addresses


# ---- helpers ----

class Daemon(Server):
    def __init__(self, *arguments):
        self.process = subprocess.Popen([DAEMON, f"--port={DAEMON_PORT}", *arguments],
                                        stderr=subprocess.PIPE, text=True)
        self.running.append(self)
        self.port = DAEMON_PORT
        for line in self.process.stderr:
            if "msg=listening" in line and "proto=udp" in line:
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()


class Strace:
    """strace attached to a process, with its output at hand while it goes on."""

    def __init__(self, pid, *options):
        self.process = subprocess.Popen(["strace", *options, "-p", str(pid)], text=True,
                                        stderr=subprocess.PIPE, bufsize=1)
        self.output = ""
        self.changed = threading.Condition()
        self.collector = threading.Thread(target=self._collect, daemon=True)
        self.collector.start()
        self.until_asleep(1)

    def _collect(self):
        while True:
            piece = os.read(self.process.stderr.fileno(), 65536).decode()
            if not piece:
                return
            with self.changed:
                self.output += piece
                self.changed.notify()

    def until_asleep(self, times):
        """Returns when the process is in its N-th epoll_wait()."""
        def asleep():
            return (len(re.findall(r"epoll_p?wait2?\(", self.output)) >= times
                    and not self.output.endswith("\n"))
        with self.changed:
            if not self.changed.wait_for(asleep, DEADLINE):
                raise TimeoutError(self.output)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.collector.join()
        text = self.output.split("attached\n", 1)[1]
        return re.sub(r"strace: Process \d+ detached\n", "", text)


def run(shown, *command, **options):
    """A command and its output, as a terminal shows them that is where the programs are."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE, cwd=BUILD, **options)
    return f"$ {shown}\n" + re.sub(r"(?m) +$", "", done.stdout)


# ---- sessions ----

@session()
def mistakes():
    text = ""
    for source in programs.sources():
        if source.parent.name == "mistakes":
            for mode in "broken", "cured":
                output = programs.run_mistake(source.stem, mode).stdout
                text += f"$ mistakes/{source.stem} {mode}\n{output}"
    return text


@session()
def reputation():
    return run("./reputation", BUILD / "reputation")


@session()
def costs():
    return run("./costs", BUILD / "costs")


@session()
def datagrams():
    """Two datagrams, the second of which is too long for it."""
    server = Server(BUILD / "datagrams", port=EXAMPLE_PORT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", EXAMPLE_PORT))
        client.send(b"")
        assert client.recv(10) == b""
        client.send(bytes(3000))
        said = server.wait_for(".*cut.*").group(0)
    server.stop()
    return f"$ ./datagrams {EXAMPLE_PORT}\nlistening on {EXAMPLE_PORT}\n{said}\n"


@session()
def connections():
    """To one who listens, to nobody, and to one whose queue is full."""
    with socket.create_server(("127.0.0.1", 7000)), socket.create_server(("127.0.0.1", 7002), backlog=0), \
            contextlib.ExitStack() as waiting:
        fill_queue(7002, waiting)
        return run("./connect 500 7000 7001 7002", BUILD / "connect", "500", "7000", "7001", "7002")


def fill_queue(port, waiting):
    """Connects to PORT until nobody is taken in any more."""
    while True:
        client = waiting.enter_context(socket.socket())
        client.settimeout(0.2)
        try:
            client.connect(("127.0.0.1", port))
        except TimeoutError:
            return


@session()
def wakeup():
    return run("./wakeup 4 10000", BUILD / "wakeup", "4", "10000")


@session("slabinfo")
def limits():
    return (run("sysctl fs.epoll.max_user_watches fs.nr_open", "sysctl",
                "fs.epoll.max_user_watches", "fs.nr_open")
            + run("awk '/^eventpoll_epi/ { print $1, $4 }' /proc/slabinfo", "awk",
                  "/^eventpoll_epi/ { print $1, $4 }", "/proc/slabinfo"))


@session("daemon", "strace")
def line():
    """One line through the daemon. Each step waits until the daemon sleeps again."""
    daemon = Daemon()
    strace = Strace(daemon.process.pid)
    client = daemon.connect(port=40001)
    strace.until_asleep(2)
    client.sendall(b"hello\n")
    receive(client, 6)
    strace.until_asleep(3)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    strace.until_asleep(4)
    text = strace.stop()
    daemon.stop()
    return "$ strace -p $(pidof epoll-echo)\n" + text


@session("strace")
def lifecycle():
    """What the tutorial proposes: strace shows the life of a watch."""
    server = Server(BUILD / "level", port=EXAMPLE_PORT)
    server.stop()
    strace = subprocess.Popen(["strace", "-e", "trace=epoll_create1,epoll_ctl,epoll_wait",
                               BUILD / "level", str(EXAMPLE_PORT)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = []
    try:
        for line in strace.stdout:
            break
        client = server.connect(port=40002)
        client.sendall(b"hello\n")
        receive(client, 6)
        client.close()
        for line in strace.stderr:
            lines.append(line)
            if "EPOLL_CTL_DEL" in line:
                break
    finally:
        strace.terminate()
        strace.wait()
    return (f"$ strace -e trace=epoll_create1,epoll_ctl,epoll_wait ./level {EXAMPLE_PORT}\n"
            + "".join(lines))


@session("strace")
def stall():
    command = "strace -e trace=epoll_ctl,epoll_wait,recvfrom"
    return run(f"{command} mistakes/edge-stall broken", *command.split(),
               BUILD / "mistakes/edge-stall", "broken")


@session("strace")
def spin():
    command = "strace -e trace=epoll_ctl,epoll_wait"
    text = run(f"{command} mistakes/rdhup-spin broken 2>&1 | head -6", *command.split(),
               BUILD / "mistakes/rdhup-spin", "broken")
    return "".join(text.splitlines(True)[:7])


@session("daemon")
def interest():
    """The interest list of a running process: the kernel prints it."""
    daemon = Daemon()
    client = daemon.connect(port=40003)
    client.sendall(b"x\n")
    receive(client, 2)
    directory = f"/proc/{daemon.process.pid}/fd"
    epoll = next(fd for fd in sorted(os.listdir(directory), key=int)
                 if "eventpoll" in os.readlink(f"{directory}/{fd}"))
    text = run("cat /proc/$(pidof epoll-echo)/fdinfo/" + epoll, "cat",
               f"/proc/{daemon.process.pid}/fdinfo/{epoll}")
    text += run(f"readlink /proc/$(pidof epoll-echo)/fd/{{{epoll}..8}}", "readlink",
                *(f"{directory}/{fd}" for fd in range(int(epoll), 9)))
    daemon.stop()
    return text


@session("daemon", "ss")
def sockets():
    """A client that does not read, seen with ss: the queues say who waits for whom."""
    daemon = Daemon()
    client = daemon.connect(receive_buffer=8192, port=40004)
    line = b"x" * 999 + b"\n"
    client.setblocking(False)
    last = time.monotonic()
    while time.monotonic() - last < 0.5:
        try:
            client.send(line * 64)
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    listening = run(f"ss -tlnp 'sport = :{DAEMON_PORT}'", "ss", "-tlnp",
                    f"sport = :{DAEMON_PORT}")
    either = f"( sport = :{DAEMON_PORT} or dport = :{DAEMON_PORT} )"
    connected = run(f"ss -tn '{either}'", "ss", "-tn", either)
    daemon.stop()
    client.close()
    return listening + connected


@session("gdb")
def stuck():
    """A server that hangs: the signal of the timer stops it where it hangs."""
    program = BUILD / "blocking-debug"
    compile_ = "cc -g -o blocking-debug ../../examples/mistakes/blocking.c"
    text = run(compile_, "cc", "-g", "-o", program, "../../examples/mistakes/blocking.c")
    command = ["gdb", "-q", "-batch", "-ex", "run", "-ex", "backtrace", "--args", program, "broken"]
    output = run("gdb -q -batch -ex 'handle SIGALRM stop' -ex run -ex backtrace "
                 "--args blocking-debug broken",
                 *command[:3], "-ex", "handle SIGALRM stop", *command[3:])
    return text + tidy_gdb(output)


@session("gdb")
def event():
    """A breakpoint in the loop, and the event that led there."""
    program = BUILD / "level-debug"
    text = run("cc -g -o level-debug ../../examples/level.c", "cc", "-g", "-o", program,
               "../../examples/level.c")
    commands = ["break serve", f"run {EXAMPLE_PORT}", "print *c", "up", "print ready[i].events",
                "kill"]
    options = [word for command in commands for word in ("-ex", command)]
    gdb = subprocess.Popen(["gdb", "-q", "-batch", *options, program], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=BUILD)
    lines = []
    client = None
    try:
        for line in gdb.stdout:
            lines.append(line)
            if "listening on" in line:
                client = programs.connect(EXAMPLE_PORT, port=40005)
                client.sendall(b"hello\n")
    finally:
        gdb.terminate()
        gdb.wait()
    client.close()
    shown = "gdb -q -batch " + " ".join(f"-ex '{command}'" for command in commands)
    return text + f"$ {shown} level-debug\n" + tidy_gdb("".join(lines))


def tidy_gdb(text):
    """Without what gdb says about itself and about this machine."""
    noise = ("[Thread debugging", "Using host lib", "warning: ", "Download failed", "[Inferior",
             "This GDB supports", "Enable debuginfod", "Debuginfod has been", "To make this setting")
    lines = [line for line in text.splitlines(True) if not line.startswith(noise)]
    text = re.sub(r", '\\000' <repeats \d+ times>", "", "".join(lines))
    return re.sub(r"(?m)^(\d+)\t\.\./.*\n", "", text)


@session("tcpdump")
def packets():
    """One line and a half-close on the wire, against examples/halfclose."""
    server = Server(BUILD / "halfclose", port=EXAMPLE_PORT)
    tcpdump = subprocess.Popen(["tcpdump", "-i", "lo", "-n", "-t", "-l", "--immediate-mode",
                                f"tcp port {EXAMPLE_PORT}"], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    for line in tcpdump.stderr:
        if "listening on" in line:
            break
    client = server.connect(port=40006)
    client.sendall(b"hello\n")
    receive(client, 6)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    lines, ends = [], 0
    for line in tcpdump.stdout:
        lines.append(re.sub(r" options \[.*?\],", "", line))
        if ends == 2:  # this is the answer to the second FIN
            break
        ends += "Flags [F" in line
    tcpdump.terminate()
    tcpdump.wait()
    server.stop()
    client.close()
    return f"$ tcpdump -i lo -n -t 'tcp port {EXAMPLE_PORT}'\n" + "".join(lines)


def make(name):
    """A session; what it has left running if it failed would stand in the way of the next one."""
    try:
        return MADE[name][0]()
    finally:
        for server in [*Server.running]:
            server.stop()


def main():
    if not programs.enter_namespace():
        sys.exit("record.py: needs root, for a network namespace")
    programs.build()
    SESSIONS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or MADE:
        reason = missing(name)
        if reason:
            print(f"{name}: left as it is ({reason})")
            continue
        path = SESSIONS / f"{name}.txt"
        text = make(name)
        if path.exists() and structure(name, path.read_text()) == structure(name, text):
            print(f"{name}: unchanged")
            continue
        path.write_text(text)
        print(f"{name}: recorded")


if __name__ == "__main__":
    main()
