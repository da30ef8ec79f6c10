#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The real daemon and its clients in two network namespaces, with a bad line between them.

By hand: universe.py SEED [MISTAKE] runs one and says what became of it. The seed decides what
the clients send and what the line does to each packet, in the order of the packets; when a packet
comes is the kernel's affair, so a rare failure may need a few runs.
"""

import contextlib
import random
import re
import select
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from harness import network  # noqa: E402
from harness.clients import Client, Peer  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from streams import Asker, Talk  # noqa: E402

RELAY = ROOT / "build/impaired/relay"
# Made on purpose: in the line, and in the daemon.
MISTAKES = {
    "damage": None,
    "lose": ROOT / "build/impaired/lose.so",
    "twice": ROOT / "build/impaired/twice.so",
}
PORT, RAW = 12345, 12346  # the relay knows the first
SERVER = {"IPv4": "10.9.0.1", "IPv6": "fd09::1"}
CLIENTS = {"IPv4": "10.9.0.2", "IPv6": "fd09::2"}
BUFFERS = (16_384, 32_768)  # in less, TCP stands still by itself where much is lost
# Numbers of datagrams, of which the relay knows 4096: at most so many of each asker, and from there
# on those that are asked at the end.
DATAGRAMS = 1000
PAUSE_SECONDS = 0.01  # between two of them, if none is answered
LAST_NUMBERS = (2000, 3000)

# Losses shall cost milliseconds, and a hop that is silently too narrow shall be found out, soon. What
# a kernel does not have is left as it is: everything then takes longer. tcp_rto_max_ms is no less: an
# orphaned socket that has come to it, and has heard of an ICMP error, is given up at once.
SYSCTLS = {
    "net.ipv4.tcp_rto_min_us": 10_000,
    "net.ipv4.tcp_rto_max_ms": 5_000,
    "net.ipv4.tcp_mtu_probing": 1,
    "net.ipv4.tcp_retries1": 1,
    "net.ipv4.tcp_no_metrics_save": 1,
    "net.ipv4.icmp_ratelimit": 0,
}


class Impossible(Exception):
    """This machine has no namespaces or no tun devices; the reason is the text."""


def _setup(addresses):
    """Shell commands for the namespace that they are run in."""
    writes = [
        f"{{ echo {value} >/proc/sys/{name.replace('.', '/')}; }} 2>/dev/null || true"
        for name, value in SYSCTLS.items()
    ]
    batch = "\\n".join([
        "link set wire addrgenmode none",
        "link set wire txqueuelen 10000 up",
        f"address add {addresses['IPv4']}/24 dev wire",
        f"address add {addresses['IPv6']}/64 dev wire nodad",
        f"route replace 10.9.0.0/24 dev wire src {addresses['IPv4']} rto_min 10ms",
        f"route replace fd09::/64 dev wire src {addresses['IPv6']} rto_min 10ms",
    ])
    return " && ".join([*writes, f"printf '{batch}\\n' | ip -batch -"])


class Relay:
    def __init__(self, seed, namespace, *words):
        self.process = subprocess.Popen([RELAY, str(seed), namespace, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        if self.process.stdout.readline() != "ready\n":
            raise Impossible(self.process.communicate()[1].strip())

    def tell(self, command):
        self.process.stdin.write(f"{command}\n")
        return self.process.stdout.readline()

    def counts(self):
        """Ends it."""
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", self.process.communicate()[0])}

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def _datagrams_lost(pid):
    """Those that the kernel had no room for."""
    text = Path(f"/proc/{pid}/net/snmp6").read_text() + Path(f"/proc/{pid}/net/snmp").read_text()
    values = [int(value) for value in re.findall(r"^Udp6RcvbufErrors\s+(\d+)", text, re.MULTILINE)]
    names, numbers = re.findall(r"^Udp: (.*)$", text, re.MULTILINE)
    values.append(int(dict(zip(names.split(), numbers.split()))["RcvbufErrors"]))
    return sum(values)


class Universe:
    def __init__(self, seed, mistake=None):
        self.seed = seed
        self.mistake = mistake
        self.rng = random.Random(seed)
        self.problems = []
        self.counts = {}
        self.bytes = self.datagrams = 0

    def run(self):
        with contextlib.ExitStack() as stack:
            self._build(stack)
            self._talk()
            self._calm_down(stack)
            self._end()
        return self

    def _build(self, stack):
        try:
            network.own_network()
            there = stack.enter_context(network.Namespace())
        except (OSError, AssertionError) as error:
            raise Impossible(f"no network namespace: {error}") from error
        path = f"/proc/{there.holder.pid}/ns/net"
        damage = ["damage"] if self.mistake == "damage" else []
        self.relay = stack.enter_context(contextlib.closing(Relay(self.seed, path, *damage)))
        there.run("sh", "-c", _setup(SERVER))
        subprocess.run(["sh", "-c", _setup(CLIENTS)], check=True)
        # The time for a line is not what is tested, and losses take some.
        options = ["--line-timeout=120", f"--listen=raw:{RAW}", f"--trigger={self.rng.choice(['level', 'edge'])}"]
        options += [f"--socket-buffer={self.rng.choice(BUFFERS)}"] * self.rng.randrange(2)
        preload = MISTAKES.get(self.mistake)
        environment = {"LD_PRELOAD": str(preload)} if preload else None
        self.server = Daemon(*options, port=PORT, wrapper=there.enter(), environment=environment)
        stack.callback(self.server.kill)
        self.descriptors = self.server.descriptors()

    def _talk(self):
        """Everything at once, while the line is bad."""
        self.askers = [Asker(version, SERVER[version], PORT, random.Random(self.rng.random())) for version in SERVER]
        for first, asker in zip((0, DATAGRAMS), self.askers):
            asker.numbers = iter(range(first, first + self.rng.randrange(DATAGRAMS)))
        talks = [Talk(f"{version} {'raw ' * raw}stream {i}", SERVER[version], RAW if raw else PORT,
                      random.Random(self.rng.random()), raw)
                 for version in SERVER for raw in (False, True) for i in range(self.rng.randrange(1 - raw, 5 - raw))]
        asking = True
        while asking or any(talk.thread.is_alive() for talk in talks):
            for asker in select.select(self.askers, [], [], PAUSE_SECONDS)[0]:
                with contextlib.suppress(BlockingIOError):  # what came was damaged
                    asker.receive()
            asking = any([asker.ask() for asker in self.askers])
        self.problems += [talk.problem for talk in talks if talk.problem]
        self.bytes = sum(talk.got for talk in talks)

    def _calm_down(self, stack):
        """From now on nothing is lost. Each datagram that has arrived is answered by then."""
        self.relay.tell("calm")
        for first, asker in zip(LAST_NUMBERS, self.askers):
            asker.numbers = iter(range(first, first + DATAGRAMS))
            asker.await_last()
        self.problems += [asker.problem for asker in self.askers if asker.problem]
        self.datagrams = sum(asker.answered for asker in self.askers)
        idle = [stack.enter_context(Client(address, PORT)) for address in SERVER.values()]
        peers = [stack.enter_context(Peer(address, PORT)) for address in SERVER.values()]
        self._suffer_errors(idle, peers)
        stats = idle[0].stats()
        if stats["connected_tcp"] != len(idle):
            self.problems.append(f"{stats['connected_tcp']} connections are open, not {len(idle)}")
        for client in idle:
            if client.ask_all(b"") != b"":
                self.problems.append("something comes after the end")

    def _suffer_errors(self, idle, peers):
        """A thousand errors about connections and datagrams: they end nothing, and wake nobody."""
        for peer in peers:
            assert peer.ask(b"hello") == b"hello"
        # The server's last packet acknowledges half a line. Errors about bytes that are acknowledged
        # themselves would be ignored.
        for client in idle:
            client.send(b"hel")
        self.server.settle()
        before = int(self.server.status("voluntary_ctxt_switches"))
        told = int(self.relay.tell("errors").split()[1])
        self.server.settle()
        woken = int(self.server.status("voluntary_ctxt_switches")) - before
        if told < 500 or woken > told // 10:
            self.problems.append(f"{told} ICMP errors wake it {woken} times")
        for client in idle:
            assert client.ask(b"lo\n") == b"hello\n", "an ICMP error has ended a connection"
        for peer in peers:
            assert peer.ask(b"hello") == b"hello"

    def _end(self):
        self.server.settle()
        if self.server.descriptors() != self.descriptors:
            self.problems.append(f"{self.server.descriptors()} descriptors, {self.descriptors} before")
        full = _datagrams_lost(self.server.pid)
        warnings = self.server.find(level="warning") + self.server.find(level="error")
        self.problems += [f"it logs {warning}" for warning in warnings]
        self.server.stop()
        self.counts = self.relay.counts()
        if self.counts["excess"]:
            self.problems.append(f"{self.counts['excess']} datagrams are answered that did not arrive")
        if self.counts["missing"] > full:
            self.problems.append(f"{self.counts['missing']} datagrams are not answered; {full} had no room")


def run_once(seed, mistake=None):
    """One universe from start to end: a dict that can be handed between processes."""
    universe = Universe(seed, mistake)
    result = {"seed": seed, "impossible": None}
    try:
        universe.run()
    except Impossible as error:
        result["impossible"] = str(error)
    except Exception as error:  # whatever it is, it belongs into the report
        universe.problems.append(f"{type(error).__name__}: {error}")
    return {**result, "problems": universe.problems, "counts": universe.counts, "bytes": universe.bytes,
            "datagrams": universe.datagrams}


def main(words):
    if len(words) not in (1, 2) or not words[0].isdigit() or not MISTAKES.keys() >= set(words[1:]):
        print(f"usage: universe.py SEED [{'|'.join(MISTAKES)}]", file=sys.stderr)
        return 2
    result = run_once(int(words[0]), *words[1:])
    print(result)
    return 77 if result["impossible"] else 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
