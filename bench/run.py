#!/usr/bin/python3
"""Runs the matrix of servers and loads, and writes the report: see bench/README.md.

The servers run on one core and the loads on another. All servers that are given a load are started with
it, and it goes from one to the next in turns of 30 ms, in an order drawn anew each time: what changes on
the machine meets all alike. All of that is done several times, with fresh servers.
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import platform
import random
import re
import resource
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import matrix
import report

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 150  # seconds until a run is given up: 18,000 threads take their time
DAEMON_MOST = 19000  # --max-tcp
COUNTED_SECONDS = 0.1  # of a run in which calls are counted


class Trouble(Exception):
    """A server or a run that did not work; the report names it."""


class Plan:
    def __init__(self, quick, calm=None, minutes=None, seed=0, names=(), builds=()):
        self.quick = quick
        self.names = names  # of the loads, if not all are wanted
        self.servers = [*matrix.SERVERS, *builds]
        self.seed = seed  # of the order of servers
        self.order = random.Random(seed)  # of turns
        self.disturbed = 0  # runs that were thrown away
        self.made = self.wanted = 0  # runs
        self.calm = calm  # per cent of CPU time that other programs may take; None: whatever they take
        self.rounds = 4  # even: see cores_of
        self.seconds = 0.3 if quick else 0.6
        self.warmup = 0.1 if quick else 0.15
        self.rest = 0.5 if quick else 1
        # No run begins after so many seconds.
        self.began = time.monotonic()
        self.budget = minutes * 60 if minutes else 90 if quick else 1200

    def loads(self):
        return [load for load in matrix.LOADS if (load.quick or not self.quick)
                and (not self.names or load.name in self.names)]

    def turns(self, load):
        """How many turns a run has."""
        return max(1, round(self.seconds / load.turn)) if load.turn else 1


def command_of(server, models):
    if server.program:
        return [server.program, *matrix.OWN[matrix.SUBJECT], f"--max-tcp={DAEMON_MOST}"]
    if server.name in matrix.OWN:
        return [str(ROOT / "epoll-echo"), *matrix.OWN[server.name], f"--max-tcp={DAEMON_MOST}"]
    return [str(models / server.name), "0"]


def pinned(core):
    """For preexec: the program runs on that core alone."""
    return lambda: os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def running(server, models, core):
    """A server on its core: yields its pid and port."""
    # What it writes goes to a file: a pipe that nobody reads would stop it.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command_of(server, models), stdin=subprocess.DEVNULL, stdout=said,
                                   stderr=subprocess.STDOUT, preexec_fn=pinned(core))
        try:
            yield process.pid, wait_for_port(process, server, said)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_port(process, server, said):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        said.seek(0)
        text = said.read()
        found = re.search(rf"listening (?:.*proto={server.protocol} addr=\S+:)?(\d+)", text)
        if found:
            return int(found[1])
        if process.poll() is not None:
            raise Trouble(f"does not start: {text.strip()[:200] or process.returncode}")
        time.sleep(0.005)
    raise Trouble("does not say that it listens")


@contextlib.contextmanager
def beside(load, port, core):
    """The load's other echo-bench, at work before it is measured."""
    if not load.beside:
        yield
        return
    process = subprocess.Popen([str(ROOT / "echo-bench"), "--interval=0.25", *load.beside.split(), f"127.0.0.1:{port}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=pinned(core))
    try:
        process.stdout.readline(), process.stdout.readline()  # the head, and the first quarter of a second
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def prompt(core):
    """For preexec: pinned, and ahead of the other echo-bench on that core, if the system allows that."""
    def prepare():
        os.sched_setaffinity(0, {core})
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return prepare


class Loading:
    """An echo-bench that has connected to a server, and loads it in turns: see --turns in echo-bench(1)."""

    def __init__(self, load, options, pid, port, core):
        self.load, self.pid, self.port, self.core = load, pid, port, core
        self.answered = 0  # messages
        self.costs = []  # of each turn: µs of the server's CPU per message
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(ROOT / "echo-bench"), "--json", "--turns", f"--pid={pid}", *options, *load.options.split(), f"127.0.0.1:{port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, bufsize=0,
            preexec_fn=(prompt if load.prompt else pinned)(core))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.errors):
            file.close()

    def wait(self):
        """Until it is ready for the next turn."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise Trouble(f"{self.load.name}: no end within {PATIENCE} s")
        said = self.process.stdout.read(64)
        if not re.fullmatch(rb"ready \d+\n", said):
            raise Trouble(f"{self.load.name}: {self._error(said + self.process.stdout.read())}")
        self.answered = int(said.split()[1])

    def turn(self):
        with beside(self.load, self.port, self.core):
            spent, answered = cpu_time(self.pid), self.answered
            with contextlib.suppress(BrokenPipeError):  # its end is found next
                self.process.stdin.write(b"\n")
            self.wait()
            if self.answered > answered:
                self.costs.append((cpu_time(self.pid) - spent) / 1000 / (self.answered - answered))

    def result(self):
        """Ends it."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        if self.process.returncode != 0:
            raise Trouble(f"{self.load.name}: {self._error(said)}")
        # A turn in which something else had the core's caches is one of many: the median does not see it.
        return values_of(json.loads(said)) | {"cpu_us": statistics.median(self.costs)}

    def _error(self, said):
        self.process.wait(PATIENCE)
        try:
            result = json.loads(said)
            return result["first_error"] or "; ".join(result["warnings"])
        except ValueError:
            self.errors.seek(0)
            return self.errors.read().strip()[:200] or f"exit status {self.process.returncode}"


def values_of(result):
    values = {}
    for metric, (_, path) in matrix.METRICS.items():
        value = result
        for key in path:
            value = value.get(key) if value is not None else None
        values[metric] = value
    return values


def cpu_time(pid):
    """Nanoseconds that a process has taken, all threads: its clock, as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def cpu_times():
    """Jiffies of the machine: busy ones, and those that the host took away."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return sum(fields[:3]) + sum(fields[5:7]), fields[7]


class Probe:
    """How fast the machine is, and who else uses it while a run lasts."""

    BYTES = bytes(8_000_000)

    def __init__(self):
        self.began = time.monotonic()
        self.before = cpu_times()
        self.own = self._own()

    @staticmethod
    def _own():
        """CPU seconds of this program and of all that it has started and waited for."""
        times = os.times()
        return sum(times[:4])

    def finish(self):
        begin = time.perf_counter()
        hashlib.sha256(self.BYTES).digest()
        speed = (time.perf_counter() - begin) * 1000
        wall = (time.monotonic() - self.began) * os.cpu_count()
        busy, stolen = ((after - before) / os.sysconf("SC_CLK_TCK")
                        for after, before in zip(cpu_times(), self.before))
        own = self._own() - self.own
        return {"probe_ms": speed, "foreign_percent": max(0.0, 100 * (busy - own) / wall),
                "steal_percent": 100 * stolen / wall}


def wait_for_calm(percent, until):
    """Until other programs leave the machine alone."""
    while time.monotonic() < until:
        before, begin = cpu_times(), time.monotonic()
        time.sleep(0.5)
        wall = (time.monotonic() - begin) * os.cpu_count()
        busy, _ = ((after - first) / os.sysconf("SC_CLK_TCK") for after, first in zip(cpu_times(), before))
        if 100 * busy / wall <= percent:
            return


def calm_run(servers, load, plan, models, cores, until):
    """A run, made again if others disturbed it: what decides is their CPU time, never the result."""
    disturbed = 0
    while True:
        if plan.calm is not None:
            wait_for_calm(plan.calm, until)
        results, noise = one_run(servers, load, plan, models, cores)
        if plan.calm is None or noise.get("foreign_percent", 0) <= plan.calm or time.monotonic() > until:
            return results, noise, disturbed
        disturbed += 1


def set_up(servers, load, plan, models, cores, stack):
    """Starts all servers and their loads: a Loading of each, or a Trouble."""
    loadings = {}
    for server in servers:
        try:
            pid, port = stack.enter_context(running(server, models, cores[0]))
            options = [f"--duration={plan.seconds / plan.turns(load)}", f"--warmup={plan.warmup}",
                       f"--rest={plan.rest if load.rest else 0}"]
            loadings[server] = stack.enter_context(Loading(load, options, pid, port, cores[1]))
            loadings[server].wait()
        except Trouble as trouble:
            loadings[server] = trouble
    return loadings


def attempt(loadings, server, act):
    """What ACT does with a server's Loading; None, and from then on a Trouble in its place, where that fails."""
    if isinstance(loadings[server], Trouble):
        return None
    try:
        return act(loadings[server])
    except (Trouble, subprocess.TimeoutExpired) as trouble:
        loadings[server] = Trouble(str(trouble))
        return None


def one_run(servers, load, plan, models, cores):
    """One load, on all servers in turns: values, or a Trouble, of each, and what the machine was like."""
    probe = Probe()
    with contextlib.ExitStack() as stack:
        loadings = set_up(servers, load, plan, models, cores, stack)
        for _ in range(plan.turns(load)):
            # Drawn anew each time: after whom one comes, or whether after itself, tells in the caches.
            for server in plan.order.sample(servers, len(servers)):
                attempt(loadings, server, Loading.turn)
        results = {server: attempt(loadings, server, Loading.result) or loadings[server] for server in servers}
    return results, probe.finish()


def count_calls(server, load, plan, models, cores):
    """System calls of SERVER for a message of LOAD: counted in a run of its own, for it takes time."""
    with running(server, models, cores[0]) as (pid, port), subprocess.Popen(
            [str(models.parent / "calls"), "count", str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True) as counter:
        def counted():
            counter.stdin.write("\n")
            counter.stdin.flush()
            return int(counter.stdout.readline())

        try:
            counted()  # from now on; then the threads that its clients get are counted too
            with Loading(load, [f"--duration={COUNTED_SECONDS}", f"--warmup={plan.warmup}", "--rest=0"], pid, port,
                         cores[1]) as loading:
                loading.wait()
                before = counted()
                loading.turn()
                calls = counted() - before
        except (BrokenPipeError, ValueError):
            raise Trouble(f"calls are not counted: {counter.communicate()[1].strip()}") from None
        counter.stdin.close()
    return calls / loading.answered


def call_cost(models, core):
    """Nanoseconds of a system call that does nothing."""
    done = subprocess.run([str(models.parent / "calls"), "cost"], capture_output=True, text=True, check=True,
                          preexec_fn=pinned(core))
    return float(done.stdout)


class Progress:
    def __init__(self, total):
        self.total, self.done = total, 0
        self.began = time.monotonic()
        self.live = sys.stdout.isatty()

    def step(self, text):
        self.done += 1
        spent = time.monotonic() - self.began
        left = spent / self.done * (self.total - self.done)
        line = f"{self.done:4}/{self.total}  {spent:4.0f} s, {left:4.0f} s to go  {text}"
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)

    def end(self):
        if self.live:
            print()


def work(plan, left_out):
    """Every run of the matrix, as round, load and servers. Who comes first finds another machine than who
    comes later: each time it is somebody else, drawn by the seed."""
    order = random.Random(plan.seed)
    for round_ in range(plan.rounds):
        for load in plan.loads():
            servers = [server for server in plan.servers
                       if matrix.fits(server, load, plan.quick) and server.name not in left_out]
            order.shuffle(servers)
            yield round_, load, servers


def cores_of(round_, cores):
    """The server's core and the load's. They change places from round to round, for where a host is
    shared, one core is often slower than the other."""
    return cores if round_ % 2 == 0 else cores[::-1]


def keep(runs, plan, troubles, load, round_, results):
    """The values of a run, under the load's second name too."""
    for server, result in results.items():
        if isinstance(result, Trouble):
            troubles.append(f"{server.name}: {result}")
            continue
        runs.add(server.name, load.name, round_, result)
        if load.name in matrix.ALIASES:
            runs.add(server.name, matrix.ALIASES[load.name], round_, result)
        plan.made += 1


def run_matrix(plan, models, cores, left_out, troubles):
    runs = figures.Runs(plan.loads(), plan.servers)
    all_ = list(work(plan, left_out))
    plan.wanted = sum(len(servers) for _, _, servers in all_)
    progress = Progress(len(all_))
    for number, (round_, load, servers) in enumerate(all_):
        if time.monotonic() - plan.began > plan.budget:
            troubles.append(f"out of time: {plan.wanted - plan.made} of {plan.wanted} runs were not made")
            break
        places = cores_of(round_, cores)
        runs.add("machine", "all", number, {"call_ns": call_cost(models, places[0])})
        results, noise, disturbed = calm_run(servers, load, plan, models, places, plan.began + plan.budget)
        keep(runs, plan, troubles, load, round_, results)
        runs.add("machine", "all", number, noise)
        plan.disturbed += disturbed
        progress.step(f"{load.name}, {len(servers)} servers")
    progress.end()
    return runs


def count_all_calls(plan, models, cores, left_out, troubles, runs):
    """Of every server and load of which the report tells them, once: it hardly ever differs."""
    for load in plan.loads():
        for server in plan.servers:
            if not load.calls or not matrix.fits(server, load, plan.quick) or server.name in left_out:
                continue
            if time.monotonic() - plan.began > plan.budget:
                troubles.append("out of time: not all calls were counted")
                return
            try:
                runs.add(server.name, load.name, 0, {"calls": count_calls(server, load, plan, models, cores)})
            except (Trouble, subprocess.TimeoutExpired) as trouble:
                troubles.append(f"{server.name}: {trouble}")


def find_left_out(plan, models):
    """Models that could not be built, with the compiler's first complaint."""
    left_out = {}
    for server in plan.servers:
        binary = Path(command_of(server, models)[0])
        if not os.access(binary, os.X_OK):
            log = binary.with_suffix(".log")
            errors = [line for line in log.read_text().splitlines() if "error" in line] if log.exists() else []
            left_out[server.name] = errors[0] if errors else "could not be built"
    return left_out


def binary_sizes(plan, models, runs):
    """Stripped, as a distribution would ship them."""
    with tempfile.TemporaryDirectory() as place:
        for server in plan.servers:
            binary, copy = command_of(server, models)[0], os.path.join(place, "stripped")
            if shutil.which("strip") and os.access(binary, os.X_OK):
                subprocess.run(["strip", "-o", copy, binary], check=True)
                runs.add(server.name, "binary", 0, {"bytes": os.path.getsize(copy)})


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def about():
    """What is known of the machine itself, and of what was built on it."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in info,
        "memory_gb": round(int(memory[1]) / 1e6, 1) if memory else 0,
        "kernel": platform.release(),
        "compiler": first_line(os.environ.get("CC", "cc"), "--version"),
        "commit": first_line("git", "describe", "--always", "--dirty"),
    }


def machine(plan, left_out, troubles, cores):
    return {
        **about(),
        "server_core": cores[0], "load_core": cores[1],
        "turns": True, "quick": plan.quick, "seconds_per_run": plan.seconds, "rounds": plan.rounds, "seed": plan.seed,
        "runs_wanted": plan.wanted, "runs_made": plan.made,
        "powercap": os.path.isdir("/sys/class/powercap") and bool(os.listdir("/sys/class/powercap")),
        "calm_percent": plan.calm, "disturbed": plan.disturbed, "left_out": left_out, "troubles": sorted(set(troubles)),
    }


def choose_cores():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("bench/run.py: server and load need a core each, and there is only one")
    return cores[0], cores[1]


def read_build(word):
    name, _, program = word.partition("=")
    if not re.fullmatch(r"[\w.-]+", name) or name in {server.name for server in matrix.SERVERS} or not program:
        raise argparse.ArgumentTypeError(f"'{word}' is not NAME=PROGRAM, or the name is taken")
    return name, os.path.abspath(program)


def main():
    parser = argparse.ArgumentParser(description="Runs the benchmark and writes the report.")
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")),
                        help="less than two minutes, for a first impression (also QUICK=1)")
    parser.add_argument("--calm", type=float, metavar="PERCENT",
                        help="make a run again if other programs took more than that of the CPU time meanwhile")
    parser.add_argument("--seed", type=int, default=random.randrange(1000000),
                        help="of the order in which servers take their turns (any)")
    parser.add_argument("--minutes", type=float, help="how long it may take (20, with --quick 1.5)")
    parser.add_argument("--loads", type=lambda words: words.split(","), default=[], metavar="NAME,...",
                        help="some of the loads in matrix.py alone")
    parser.add_argument("--models", type=Path, default=ROOT / "build/models", help="where the model servers are")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/report")
    parser.add_argument("--build", action="append", default=[], metavar="NAME=PROGRAM", type=read_build,
                        help="measure that epoll-echo beside, another build or an older one; may be repeated")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if unknown := set(options.loads) - {load.name for load in matrix.LOADS}:
        parser.error(f"no load {', '.join(sorted(unknown))} in matrix.py")
    plan = Plan(options.quick, options.calm, options.minutes, options.seed, options.loads,
                matrix.builds(dict(options.build)))
    cores, troubles = choose_cores(), []
    left_out = find_left_out(plan, options.models)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    runs = run_matrix(plan, options.models, cores, left_out, troubles)
    count_all_calls(plan, options.models, cores, left_out, troubles, runs)
    binary_sizes(plan, options.models, runs)
    options.output.mkdir(parents=True, exist_ok=True)
    figures.write(options.output / "results.csv", runs.figures())
    (options.output / "machine.json").write_text(
        json.dumps(machine(plan, left_out, troubles, cores) | {"builds": dict(options.build)}, indent=1) + "\n")
    report.write(options.output)
    print(f"see {options.output / 'index.html'}")


if __name__ == "__main__":
    main()
