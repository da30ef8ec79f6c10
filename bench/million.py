#!/usr/bin/python3
"""A million idle connections: what they cost, and that each of them still answers.

    bench/million.py [--connections=N] [--processes=N] [--wait=S] [--rest=S] [--limit=S] [--keep-queue]
                     [--output=DIR]

Daemons that share a port hold them on a loopback, in a network namespace of their own. There have to
be several, for the system bounds the descriptors of a process; so have those who hold the other ends.
On the way up and on the way down it measures what a message of 50 active connections costs the first
daemon, on a port that it alone has: so the 50 are served as they are without idle ones, where each of
54 daemons would have one of them, and wake up for each message. In between it counts context switches
at rest, weighs processes and kernel, and, after --wait seconds, sends a line on each connection.

Results go to DIR/results.csv and DIR/machine.json; bench/results/million has those that the documents
quote. The exit status is 0 if all were answered and no daemon woke up. The kernel sends keepalive
probes in bursts, which a loopback drops beyond net.core.netdev_max_backlog: where that is too little
for so many, it is raised, for the whole machine, until the end, or left with --keep-queue.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import figures
import matrix
import report
import run
from fleet import DAEMON, OTHERS, OWN_PORT, Crowd, Fleet, descriptors, end
from holder import PROGRAM, Failed

ROOT = Path(__file__).resolve().parent.parent
BACKLOG = Path("/proc/sys/net/core/netdev_max_backlog")  # not to be seen in another namespace than the first
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
STEPS = [0, 1_000, 10_000, 100_000, 1_000_000]
ACTIVE = 50
RUNS = 3  # at each step, on the way up and again on the way down
# Of the kernel for both ends and of the process for one, rounded up, and of a process without connections.
CONNECTION_BYTES, PROCESS_BYTES = 10_000, 4_000_000
SPREAD = 1.06  # the fullest of 54 daemons has 3 % more than the mean
# Probes of 60 different seconds go out in steps of two, and their answers meet them in the queue.
BURST = 1 / 10
TRIM_SECONDS = 2.5  # by then a daemon has given back what it needed for a while
PAGE_BYTES, GIB = 4096, 2**30
SMALL = 0.1  # objects of a kind per connection: what grows by less has other reasons
# One for each connection at the end that waits by epoll, and at the other none. What else a kernel keeps
# in one place with them is what an end that has connected keeps of its port. Of all others both have the same.
WAITING = ["eventpoll_epi", "eventpoll_pwq", "ep_head"]
# Whoever looks through /proc, such as an agent, leaves an inode there for each descriptor, with one of each of these.
PROC, WITH_INODE = "proc_inode_cache", ("dentry", "lsm_inode_cache")
SLABS = Path("/sys/kernel/slab")
CACHES = Path("/proc/sys/vm/drop_caches")


class Say:
    """Progress: on a terminal one line that changes, else one in five seconds."""

    def __init__(self):
        self.began, self.told, self.live = time.monotonic(), 0, sys.stdout.isatty()

    def __call__(self, text, last=False):
        now = time.monotonic()
        if self.live:
            print(f"\r\033[K{now - self.began:4.0f} s  {text}", end="\n" if last else "", flush=True)
        elif last or now - self.told > 5:
            self.told = now
            print(f"{now - self.began:4.0f} s  {text}", flush=True)

    def result(self, text):
        self(text, last=True)


# -- what has to be there


def available():
    return 1024 * int(re.search(r"MemAvailable:\s*(\d+)", Path("/proc/meminfo").read_text())[1])


def free_files():
    used, _, most = (int(word) for word in Path("/proc/sys/fs/file-nr").read_text().split())
    return most - used


def lacking(options):
    """What keeps it from being done here, a sentence each."""
    hard, share = descriptors(), options.connections / options.processes * SPREAD
    memory = options.connections * CONNECTION_BYTES + 2 * options.processes * PROCESS_BYTES
    if memory > available():
        yield f"memory: {memory / 1e9:.1f} GB are needed, and {available() / 1e9:.1f} GB available"
    if share + OTHERS > hard:
        yield (f"descriptors: a process would need {share + OTHERS:,.0f}, and its limit is {hard:,}: "
               f"--processes={needed_processes(options.connections)}")
    if 2 * options.connections > free_files():
        yield f"files: both ends need {2 * options.connections:,}, and fs.file-max leaves {free_files():,}"
    if needed_backlog(options) > backlog() and not os.access(BACKLOG, os.W_OK):
        yield f"a net.core.netdev_max_backlog of {needed_backlog(options)}, or the right to set it"
    yield from (f"{path}: run make million-programs" for path in (DAEMON, PROGRAM, ROOT / "echo-bench")
                if not os.access(path, os.X_OK))
    yield from (f"the program {name}" for name in ("setpriv", "unshare", "ip") if not shutil.which(name))
    if subprocess.run([ROOT / "tests/netns", "true"], capture_output=True, check=False).returncode != 0:
        yield "a network namespace"


def needed_processes(connections):
    return max(2, -int(-connections * SPREAD // (descriptors() - OTHERS)))


def needed_backlog(options):
    """0: what every machine has is enough."""
    return int(options.connections * BURST) if options.connections > 20_000 and not options.keep_queue else 0


def backlog():
    """0 where it is not to be seen."""
    return int(BACKLOG.read_text()) if BACKLOG.exists() else 0


@contextlib.contextmanager
def long_queue(options):
    before, wanted = backlog(), needed_backlog(options)
    if before >= wanted:
        yield
        return
    print(f"net.core.netdev_max_backlog is {wanted} instead of {before} until the end", flush=True)
    BACKLOG.write_text(str(wanted))
    try:
        yield
    finally:
        BACKLOG.write_text(str(before))


# -- what is measured


def slabs():
    """Of each kind of the kernel's objects, how many there are and how many bytes one takes, its share of pages
    included; of files as little as possible that is only cached."""
    found = {}
    with contextlib.suppress(OSError):
        CACHES.write_text("2")
        for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
            name, objects, _, _, per_slab, pages = line.split()[:6]
            found[name] = int(objects), int(pages) * PAGE_BYTES / int(per_slab)
    return found


def place_of(name):
    """Where the kernel keeps objects of that kind, alone or with others of the same size."""
    return os.path.realpath(SLABS / name)


class Bench:
    def __init__(self, options, fleet, crowd, say):
        self.options, self.fleet, self.crowd, self.say = options, fleet, crowd, say
        self.cores = run.choose_cores()
        self.runs = figures.Runs()
        self.steps = [step for step in STEPS if step < options.connections] + [options.connections]

    def note(self, server, load, metric, value, number=0):
        self.runs.add(server, load, number, {metric: value})

    def one_message(self, step, number):
        """What a message costs beside STEP idle connections, and what disturbed that."""
        probe, cpu, began = run.Probe(), self.fleet.cpu_seconds(), time.monotonic()
        command = [str(ROOT / "echo-bench"), "--json", f"--connections={ACTIVE}", f"--pid={self.fleet.pids[0]}",
                   f"--duration={self.options.seconds}", "--warmup=0.15", "--rest=0", f"127.0.0.1:{OWN_PORT}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              preexec_fn=run.pinned(self.cores[1]))
        if done.returncode != 0:
            raise Failed(f"echo-bench: {done.stderr.strip() or done.stdout[:400]}")
        ours = 100 * (self.fleet.cpu_seconds() - cpu) / ((time.monotonic() - began) * os.cpu_count())
        noise = probe.finish()
        noise["foreign_percent"] = max(0.0, noise["foreign_percent"] - ours)
        values = run.values_of(json.loads(done.stdout))
        for metric in ("cpu_us", "p50_us", "p99_us", "rate"):
            self.note(matrix.SUBJECT, f"idle-{step}", metric, values[metric], number)
        self.runs.add("machine", "all", (step, number), noise)
        return values["cpu_us"]

    def visit(self, step, first):
        self.crowd.reach(step)
        self.fleet.settle()
        costs = [self.one_message(step, first + number) for number in range(RUNS)]
        self.say.result(f"{step:>9,} idle: " + ", ".join(f"{cost:.2f}" for cost in costs) + " µs a message")

    def rest(self):
        self.fleet.settle()
        time.sleep(TRIM_SECONDS)
        before, until = self.fleet.switches(), time.monotonic() + self.options.rest
        while (left := until - time.monotonic()) > 0:
            self.say(f"at rest, {left:.0f} s to go")
            time.sleep(min(1, left))
        switches = self.fleet.switches() - before
        self.note(matrix.SUBJECT, "rest", "switches", switches)
        self.note(matrix.SUBJECT, "rest", "seconds", self.options.rest)
        self.say.result(f"at rest for {self.options.rest:g} s: {switches} context switches of {len(self.fleet.pids)} "
                        "daemons")
        return switches

    def weigh(self):
        return self.fleet.memory(), slabs()

    def weights(self, before, after):
        """Bytes per connection: of the processes, and of the kernel for both ends."""
        count = self.crowd.held
        for name, bytes_ in after[0].items():
            self.note(matrix.SUBJECT, "memory", name, (bytes_ - before[0][name]) / count)
        kernel = self.kernel_weights(before[1], after[1])
        pss = self.runs.values[(matrix.SUBJECT, "memory", "pss_bytes")][0]
        self.note(matrix.SUBJECT, "memory", "per_gib", GIB / (pss + kernel["server"]) if after[1] else None)
        self.say.result(f"memory: {pss:.1f} bytes of the daemons "
                        f"for each connection, {kernel['server']:,.0f} of the kernel for their end of it, and "
                        f"{kernel['client']:,.0f} for the other")

    def kernel_weights(self, before, after):
        waiting = {place_of(name) for name in WAITING}
        ends = {"server": 0, "client": 0}
        more = {name: (now - before.get(name, (0, 0))[0]) / self.crowd.held for name, (now, _) in after.items()}
        looked = max(more.pop(PROC, 0), 0)
        for name, objects in more.items():
            objects, size = objects - looked * (name in WITH_INODE), after[name][1]
            if objects < SMALL:
                continue
            self.note("kernel", name, "objects", objects)
            self.note("kernel", name, "bytes", objects * size)
            servers = min(objects, 1) if place_of(name) in waiting else objects / 2
            ends["server"] += servers * size
            ends["client"] += (objects - servers) * size
        for end, grown in ends.items():
            self.note("kernel", end, "bytes", grown if after else None)
        return ends

    def ask(self):
        cpu = self.fleet.cpu_seconds()
        found = self.crowd.every("ask")
        spent = self.fleet.cpu_seconds() - cpu
        for word, count in found.items():
            self.note(matrix.SUBJECT, "answers", word, count)
        if found["answered"]:
            self.note(matrix.SUBJECT, "answers", "cpu_us", 1e6 * spent / found["answered"])
        self.say.result(f"{found['answered']:,} of {self.crowd.held:,} answered {self.note_waited():.0f} s after the last "
                        f"came, {found['closed']:,} closed; {1e6 * spent / max(found['answered'], 1):.1f} µs each")
        return found["answered"]

    def note_waited(self):
        waited = time.monotonic() - self.opened
        self.note(matrix.SUBJECT, "answers", "after_seconds", waited)
        return waited

    def all(self):
        """True if no daemon woke up at rest and every connection was answered."""
        self.call_ns = self.crowd.call_ns()
        self.visit(0, 0)
        before = self.weigh()
        for step in self.steps[1:]:
            self.visit(step, 0)
        self.opened = time.monotonic()
        self.weights(before, self.weigh())
        switches = self.rest()
        while (left := self.opened + self.options.wait - time.monotonic()) > 0:
            self.say(f"asked in {left:.0f} s")
            time.sleep(min(1, left))
        answered = self.ask()
        for step in reversed(self.steps):
            self.visit(step, RUNS)
        return switches == 0 and answered == self.options.connections

    def figures(self):
        for step in self.steps[1:]:
            for number, value in self.runs.ratio((matrix.SUBJECT, f"idle-{step}", "cpu_us"),
                                                 (matrix.SUBJECT, "idle-0", "cpu_us")).items():
                self.note(matrix.SUBJECT, f"idle-{step}/idle-0", "cpu_us", value, number)
        return {key: figures.figure(list(values.values())) for key, values in self.runs.values.items()}

    def machine(self, found):
        noise = found[("machine", "all", "foreign_percent")]
        return {**run.about(), "server_core": self.cores[0], "load_core": self.cores[1],
                "connections": self.options.connections, "processes": self.options.processes,
                "empty_call_ns": self.call_ns, "quiet": noise.median <= report.NOISE["foreign_percent"], "rounds": 2 * RUNS}


def inside(options):
    """What is done in the namespace."""
    PORTS.write_text("1024 65535")
    say, cores = Say(), run.choose_cores()
    with contextlib.ExitStack() as stack:
        fleet = Fleet(options.processes, run.pinned(cores[0]))
        crowd = Crowd(-(-options.connections // options.processes), say)
        stack.callback(end, fleet, crowd)
        bench = Bench(options, fleet, crowd, say)
        good = bench.all()
        found = bench.figures()
    options.output.mkdir(parents=True, exist_ok=True)
    figures.write(options.output / "results.csv", found)
    (options.output / "machine.json").write_text(json.dumps(bench.machine(found), indent=1) + "\n")
    print(f"see {options.output / 'results.csv'}")
    return 0 if good else 1


def stopped(number, _):
    raise SystemExit("out of time" if number == signal.SIGALRM else f"stopped by {signal.Signals(number).name}")


def outside(options, words):
    if found := list(lacking(options)):
        sys.exit("bench/million.py: this machine lacks\n" + "\n".join(f"  {what}" for what in found))
    with long_queue(options):
        command = ["setpriv", "--pdeathsig=TERM", ROOT / "tests/netns", sys.executable, __file__, "--inside",
                   f"--processes={options.processes}", *words]
        with subprocess.Popen(command, process_group=0) as process:
            try:
                return process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, help="as many as their descriptors ask for")
    for name, default, what in (("wait", 300, "from the last connection to the lines"),
                                ("rest", 60, "in which context switches are counted"),
                                ("seconds", 0.6, "that a run of active connections takes")):
        parser.add_argument(f"--{name}", type=float, default=default, metavar="S", help=f"{what} ({default})")
    parser.add_argument("--limit", type=int, default=1200, metavar="S", help="after which it gives up (1200)")
    parser.add_argument("--keep-queue", action="store_true", help="leave net.core.netdev_max_backlog as it is")
    parser.add_argument("--output", type=Path, default=ROOT / "build/million/results", metavar="DIR")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.processes = options.processes or needed_processes(options.connections)
    return options


def main(words):
    options = arguments(words)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, stopped)
    if not options.inside:
        sys.exit(outside(options, words))
    signal.alarm(options.limit)
    try:
        sys.exit(inside(options))
    except Failed as failed:
        sys.exit(f"bench/million.py: {failed}")


if __name__ == "__main__":
    main(sys.argv[1:])
