#!/usr/bin/python3
"""Three servers as one: what each way to spread clients over them costs, and what the loss of one does.

    bench/balancers.py [--quick] [--output=DIR] [WAY...]

Clients, balancer and servers have a namespace each, with the same two cables between them for every
way: clients on one core, balancer and servers on another. Ways are `direct` (to one of the servers, by
the balancer's place as a router), `reuseport` (three processes on one port, as systemd's template units
have it), `haproxy` and `nftables` (as deploy/ has them) and `nginx`. Run it in a network of its own:
tests/netns bench/balancers.py. Results go to DIR/results.csv and DIR/machine.json.

Of each way: how many per cent of 3,000 connections the servers get (least and most of three); CPU time of
balancer and servers for a message and for a connection with one message; latency at 2,000 messages a second;
and, for one server that is ended with a delay (planned) and one that is killed, what became of 300 idle
connections and of those that came meanwhile, 200 a second. After a loss somebody has to act: systemd starts
what was killed half a second later, on its socket; nftables' rules are loaded without the server before it is
ended, and two seconds after it was killed; the others are left alone. The status is 1 if one that came
while a server was ended got no answer.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import figures  # noqa: E402
import fleet  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
from harness.clients import Client  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.network import Namespace, own_namespace  # noqa: E402
from harness.wait import wait_until  # noqa: E402
from holder import Holder  # noqa: E402

CLIENT, ROUTER, SHARED = "10.1.0.2", "10.1.0.1", "10.1.1.10"
SERVERS = {"e1": "10.1.1.11", "e2": "10.1.1.12", "e3": "10.1.1.13"}
PORT, PROXIED = 12345, 12346
DELAY = 5  # seconds: --drain-delay
MANY, IDLE = 3000, 300
RESTART_SECONDS, NOTICED_SECONDS, AFTER_SECONDS = 0.5, 2, 3
PAUSE_SECONDS = 0.005  # between two newcomers
NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; pid {place}/pid; error_log stderr notice;
events {{ worker_connections 16000; }}
stream {{
    upstream echo {{ least_conn; server 10.1.1.11:12346; server 10.1.1.12:12346; server 10.1.1.13:12346; }}
    server {{ listen 12345; proxy_pass echo; proxy_protocol on; proxy_connect_timeout 2s; proxy_timeout 24h; }}
}}
"""


def connect(one, other, number, addresses):
    subprocess.run(["ip", "link", "add", f"c{number}", "netns", str(one.holder.pid), "type", "veth", "peer", "name",
                    f"c{number}", "netns", str(other.holder.pid)], check=True)
    for namespace, own in ((one, [f"10.1.{number}.1"]), (other, addresses)):
        for address in own:
            namespace.run("ip", "addr", "add", f"{address}/24", "dev", f"c{number}")
        namespace.run("ip", "link", "set", f"c{number}", "up")
    other.run("ip", "route", "add", "default", "via", f"10.1.{number}.1")


class Network:
    def __init__(self, stack):
        self.cores = run.choose_cores()
        self.router, self.client, self.servers = (stack.enter_context(Namespace()) for _ in range(3))
        connect(self.router, self.client, 0, [CLIENT])
        connect(self.router, self.servers, 1, [SHARED, *SERVERS.values()])
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.client.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")


class Way:
    """Three daemons with an address each, and nothing before them."""

    target = SERVERS["e1"]
    proxied = False

    def __init__(self, network, stack, place):
        self.network, self.stack, self.place = network, stack, place
        self.daemons = {name: self.launch(name) for name in SERVERS}
        self.balancer = None
        self.begin()

    def launch(self, name):
        daemon = self.stack.enter_context(Daemon(
            f"--name={name}", f"--bind={SERVERS[name]}", f"--listen=echo+proxy:{SERVERS[name]}:{PROXIED}/tcp",
            f"--drain-delay={DELAY}", "--max-tcp=9000", listening=3, port=PORT, wrapper=self.network.servers.enter(),
            preexec_fn=run.pinned(self.network.cores[0])))
        self.stack.callback(lambda: daemon.process.poll() is None and daemon.kill())
        return daemon

    def begin(self):
        """Has the clients spread."""

    def program(self, *command):
        process = self.stack.enter_context(subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", *self.network.router.enter(), *command], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=run.pinned(self.network.cores[0])))
        self.stack.callback(process.terminate)  # nginx's workers would outlive a kill
        self.balancer = process.pid

    def family(self):
        """The balancer and its children."""
        if not self.balancer:
            return []
        children = Path(f"/proc/{self.balancer}/task/{self.balancer}/children").read_text().split()
        return [self.balancer, *map(int, children)]

    def cpu_seconds(self):
        pids = [daemon.pid for daemon in self.daemons.values() if daemon.process.poll() is None] + self.family()
        return sum(fleet.listed(pid, "task/" + task + "/schedstat", r"\A(\d+)") for pid in pids
                   for task in os.listdir(f"/proc/{pid}/task")) / 1e9

    def open_of(self, name):
        """Its clients."""
        with self.network.servers.inside(), Client(SERVERS[name], PORT) as client:
            return int(re.search(rb"connected_tcp=(\d+)", client.ask(b"/stats\n"))[1])

    def plan(self, name):
        """Ends it, and returns when it has ended."""
        self.daemons[name].signal(signal.SIGTERM)
        self.daemons[name].process.wait()

    def kill(self, name):
        self.daemons[name].kill()


class HAProxy(Way):
    target = ROUTER

    def begin(self):
        text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
        for number in (11, 12, 13):
            text = text.replace(f"192.0.2.{number}:", f"10.1.1.{number}:")
        (self.place / "haproxy.cfg").write_text(text)
        self.program("haproxy", "-db", "-f", self.place / "haproxy.cfg")
        time.sleep(AFTER_SECONDS)  # its checks have passed


class Nginx(Way):
    target = ROUTER

    def begin(self):
        (self.place / "nginx.conf").write_text(NGINX.format(place=self.place))
        self.program("nginx", "-p", self.place, "-c", self.place / "nginx.conf")
        time.sleep(1)


class Nftables(Way):
    target = ROUTER

    def begin(self):
        for _ in range(2):  # the second time it replaces itself
            self.spread(list(SERVERS.values()))

    def spread(self, addresses):
        text = (ROOT / "deploy/nftables/epoll-echo.nft").read_text()
        for number, place in enumerate(("first", "second", "third")):
            text = re.sub(rf"define {place} = .*", f"define {place} = {addresses[number % len(addresses)]}", text)
        subprocess.run([*self.network.router.enter(), "nft", "-f", "-"], input=text, text=True, check=True)

    def others(self, name):
        self.spread([address for other, address in SERVERS.items() if other != name])

    def plan(self, name):
        self.daemons[name].signal(signal.SIGTERM)
        self.others(name)
        self.daemons[name].process.wait()

    def kill(self, name):
        self.daemons[name].kill()
        time.sleep(NOTICED_SECONDS)
        self.others(name)


class Passed:
    """A daemon on a socket that somebody else keeps, as systemd does."""

    def __init__(self, listeners, pinned):
        self.process = fleet.launch(listeners, 9000, pinned, f"--drain-delay={DELAY}")
        self.pid = self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()


class ReusePort(Way):
    target = SHARED

    def __init__(self, network, stack, place):
        self.sockets = {}
        with network.servers.inside():
            for number, name in enumerate(SERVERS):
                own = stack.enter_context(fleet.listener(15000 + number, SHARED))
                self.sockets[name] = [stack.enter_context(fleet.listener(PORT, SHARED)), own]
        super().__init__(network, stack, place)

    def launch(self, name):
        daemon = Passed(self.sockets[name], run.pinned(self.network.cores[0]))
        self.stack.callback(daemon.kill)
        return daemon

    def open_of(self, name):
        with self.network.servers.inside(), Client(SHARED, 15000 + list(SERVERS).index(name)) as client:
            return int(re.search(rb"connected_tcp=(\d+)", client.ask(b"/stats\n"))[1])

    def plan(self, name):
        self.daemons[name].process.send_signal(signal.SIGTERM)
        self.daemons[name].process.wait()
        self.daemons[name] = self.launch(name)  # the next client has systemd start it

    def kill(self, name):
        self.daemons[name].kill()
        time.sleep(RESTART_SECONDS)
        self.daemons[name] = self.launch(name)


WAYS = {"direct": Way, "reuseport": ReusePort, "haproxy": HAProxy, "nginx": Nginx, "nftables": Nftables}
PROGRAMS = {"haproxy": "haproxy", "nginx": "nginx", "nftables": "nft"}


class Newcomers(threading.Thread):
    """One after the other connects, asks and leaves, until it is over."""

    def __init__(self, network, target):
        super().__init__(daemon=True)
        self.network, self.target = network, target
        self.counts, self.worst, self.over = collections.Counter(), 0, False

    def one(self):
        with Client(self.target, PORT) as client:
            return "answered" if client.ask(b"here\n") == b"here\n" else "ended"

    def run(self):
        with self.network.client.inside():
            while not self.over:
                begun = time.monotonic()
                try:
                    self.counts[self.one()] += 1
                except OSError as error:
                    self.counts[type(error).__name__] += 1
                self.worst = max(self.worst, time.monotonic() - begun)
                time.sleep(PAUSE_SECONDS)


class Measurement:
    def __init__(self, network, runs, quick):
        self.network, self.runs, self.quick = network, runs, quick

    @contextlib.contextmanager
    def way(self, name):
        with contextlib.ExitStack() as stack:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            yield WAYS[name](self.network, stack, place)
            self.network.router.run("nft", "flush", "ruleset")

    def bench(self, way, *options):
        """Its result, and microseconds of balancer and servers for each of its messages."""
        before = way.cpu_seconds()
        done = subprocess.run([*self.network.client.enter(), ROOT / "echo-bench", "--json", "--warmup=0", *options,
                               f"{way.target}:{PORT}"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, preexec_fn=run.pinned(self.network.cores[1]))
        result = json.loads(done.stdout)
        return result, 1e6 * (way.cpu_seconds() - before) / result["messages"]

    def held(self, way, count):
        holder = Holder(way.target, PORT, CLIENT, self.network.client.enter())
        holder.open(count)
        return holder

    def spread(self, way):
        before = {name: way.open_of(name) for name in SERVERS}
        holder = self.held(way, MANY)
        wait_until(lambda: holder.look()["open"] == MANY, "all to be open")
        time.sleep(AFTER_SECONDS)
        shares = [100 * (way.open_of(name) - before[name]) / MANY for name in SERVERS]
        holder.end()
        return {"least_percent": min(shares), "most_percent": max(shares)}

    def cost(self, way, name, number):
        seconds = 0.5 if self.quick else 2
        result, cpu = self.bench(way, f"--duration={seconds}")
        self.runs.add(name, "message", number, {"cpu_us": cpu, "rate": result["messages_per_second"]})
        _, cpu = self.bench(way, "--churn", "--connections=10", f"--duration={seconds}")
        self.runs.add(name, "connection", number, {"cpu_us": cpu})
        result, _ = self.bench(way, "--rate=2000", f"--duration={seconds}")
        self.runs.add(name, "latency", number, {f"{p}_us": result["latency_us"][p] for p in ("p50", "p99")})

    def loss(self, way, act):
        """What became of those who were there, and of those who came."""
        idle, newcomers = self.held(way, IDLE), Newcomers(self.network, way.target)
        time.sleep(1)
        newcomers.start()
        time.sleep(1)
        act("e1")
        time.sleep(AFTER_SECONDS)
        newcomers.over = True
        newcomers.join()
        fates = idle.look()
        idle.end()
        came = sum(newcomers.counts.values())
        print(f"    idle {fates}, newcomers {dict(newcomers.counts)}, at most {1000 * newcomers.worst:.0f} ms", flush=True)
        return {"idle": IDLE, "idle_ended": fates["ended"], "idle_reset": fates["reset"] + fates["lost"], "came": came,
                "came_failed": came - newcomers.counts["answered"], "worst_ms": 1000 * newcomers.worst}

    def losses(self, name):
        for kind in ("planned", "killed"):
            print(f"  {name}, {kind}:", flush=True)
            with self.way(name) as way:
                self.runs.add(name, kind, 0, self.loss(way, way.plan if kind == "planned" else way.kill))


def installed(names):
    for name in names:
        if name in PROGRAMS and not shutil.which(PROGRAMS[name]):
            print(f"{name} is left out: it is not installed", flush=True)
        else:
            yield name


def measure_all(names, rounds, quick):
    runs = figures.Runs()
    with contextlib.ExitStack() as stack:
        measurement = Measurement(Network(stack), runs, quick)
        for number in range(rounds):
            for name in names:
                with measurement.way(name) as way:
                    measurement.cost(way, name, number)
                    if number == 0 and name != "direct":
                        runs.add(name, "spread", 0, measurement.spread(way))
                print(f"round {number + 1}, {name}: " + ", ".join(
                    f"{load} {metric} {values[number]:.2f}" for (who, load, metric), values in runs.values.items()
                    if who == name and number in values), flush=True)
        for name in names:
            if name != "direct":
                measurement.losses(name)
    return runs


def keep(folder, runs, about):
    folder.mkdir(parents=True, exist_ok=True)
    figures.write(folder / "results.csv", {key: figures.figure(list(values.values()))
                                           for key, values in runs.values.items()})
    (folder / "machine.json").write_text(json.dumps(about, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=ROOT / "build/balancers")
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], metavar="WAY")
    options = parser.parse_args()
    if not own_namespace():
        sys.exit("bench/balancers.py: needs root and a network namespace of its own: tests/netns bench/balancers.py")
    fleet.descriptors()
    probe, rounds = run.Probe(), 1 if options.quick else 3
    runs = measure_all(list(installed(options.ways or WAYS)), rounds, options.quick)
    noise = probe.finish()  # everything that was started has been waited for
    keep(options.output, runs, {**run.about(), "rounds": rounds, **noise,
                                "quiet": noise["foreign_percent"] <= report.NOISE["foreign_percent"]})
    sys.exit(any(values[0] for (_, load, metric), values in runs.values.items()
                 if (load, metric) == ("planned", "came_failed")))


if __name__ == "__main__":
    main()
