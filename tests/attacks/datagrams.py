"""Attacks by UDP, where whoever sends can say that he is somebody else."""

import contextlib
import socket
import subprocess
import time

from ground import PROGRAMS, Cores, connect, flooding, pinned, resident, serving
from harness import network
from harness.clients import Peer
from harness.lines import TRUNCATED, UNKNOWN

# An address that the kernel does not keep apart as it does loopback ones, and a way out for the
# answers to sources that do not exist: a cable whose other end is not plugged in.
HERE, SINK = "198.51.100.1", "sink"
SO_RCVBUFFORCE = 33
PEERS_MOST = 32768
LONGER_PER_SECOND, LONGER_TO_A_SOURCE = 100, 10
HELP = "/help"
HELP_ANSWER = len("/stats /time /whoami /help /shutdown TOKEN\n")


@contextlib.contextmanager
def forging():
    """Lets forged datagrams in and the answers to them out, within this network namespace."""
    assert network.own_namespace(), "to be run in a network namespace of its own: tests/netns"
    network.ip("addr", "add", f"{HERE}/32", "dev", "lo")
    network.ip("link", "add", SINK, "arp", "off", "type", "veth", "peer", "name", "unplugged")
    network.ip("link", "set", SINK, "up")
    network.ip("route", "add", "default", "dev", SINK)
    try:
        yield
    finally:
        network.ip("link", "del", SINK)
        network.ip("addr", "del", f"{HERE}/32", "dev", "lo")


class Forger:
    """Sends datagrams to PORT, no two of them from the same source."""

    def __init__(self, port, text):
        self.port, self.text = port, text
        self.sent = 0

    def start(self, count):
        words = [PROGRAMS / "forge", HERE, self.port, self.sent, count, self.text]
        self.sent += count
        return subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL,
                                preexec_fn=pinned(Cores.rest, idle=True))

    @staticmethod
    def finish(process):
        assert process.wait(600) == 0


def forged_sources(polite, heard):
    """Until the daemon has heard from HEARD sources."""
    with forging(), serving() as server, connect(server) as control:
        polite.begin(server, control)
        forger = Forger(server.udp_port, "x")
        # The table is touched from end to end.
        while control.stats()["active_udp_peers"] < PEERS_MOST:
            forger.finish(forger.start(10_000))
        first = resident(server)
        before, begun = control.stats()["total_clients"], time.monotonic()
        flood = forger.start(heard)
        figures = polite.end()
        forger.finish(flood)
        while (now := control.stats())["total_clients"] - before < heard:
            forger.finish(forger.start(min(500_000, heard)))
        seconds = time.monotonic() - begun
        grown = resident(server) - first
        assert now["active_udp_peers"] <= PEERS_MOST
        assert grown <= 64 * 1024, grown  # a few pages, of code for instance, not needed before
        return {**figures, "sent": forger.sent, "heard": now["total_clients"] - before, "seconds": seconds,
                "rss_before_kb": first / 1024, "rss_grown_kb": grown / 1024, "peers": now["active_udp_peers"]}


def amplification(polite, heard):
    """Short questions with long answers, each from another source, until the daemon has had HEARD."""
    with forging(), serving() as server, connect(server) as control:

        def answered_and_dropped():
            now = control.stats()
            return now["udp_answered"], now["udp_dropped"]

        polite.begin(server, control)
        forger = Forger(server.udp_port, HELP)
        begun = time.monotonic()
        flood = forger.start(heard)
        figures = polite.end()
        forger.finish(flood)
        while sum(answered_and_dropped()) < heard:
            forger.finish(forger.start(min(500_000, heard)))
        (answered, dropped), seconds = answered_and_dropped(), time.monotonic() - begun
        assert 0 < answered <= LONGER_PER_SECOND * (seconds + 2)
        return {**figures, "asked": forger.sent, "heard": answered + dropped, "answered": answered, "seconds": seconds,
                "factor": answered * HELP_ANSWER / ((answered + dropped) * len(HELP))}


def trains(polite, text):
    """One who sends without end, 64 datagrams of TEXT as one message."""
    with serving() as server, connect(server) as control:
        polite.begin(server, control)
        before, cpu, begun = control.stats(), server.cpu_seconds(), time.monotonic()
        with flooding(server.udp_port, text, program="trains") as flood:
            figures = polite.end()
        after, seconds = control.stats(), time.monotonic() - begun
        answered, dropped = (after[name] - before[name] for name in ("udp_answered", "udp_dropped"))
        assert 0 < answered and answered + dropped <= flood["sent"]
        return {**figures, "answered_per_second": answered / seconds, "dropped_per_second": dropped / seconds,
                "cpu_percent": 100 * (server.cpu_seconds() - cpu) / seconds}


# Reflected and looped

SERVICES = [0, 7, 13, 17, 19, 37, 53, 69, 111, 123, 161, 389, 520, 1023]
NO_HOSTS = ["255.255.255.255", "127.255.255.255", "224.0.0.1", "239.255.255.250"]
PADDING = b" " * 200
COMMANDS = [b"/stats", b"/time", b"/whoami", b"/help", b"/shutdown", b"/shutdown guess", b"/", b"/nonsense"]
STRANGER = {"127.0.0.1": "127.0.0.66", "::1": "::1"}
STRANGER_PORT = 5000


def questions():
    """One of every kind; the long forms have answers that are not longer."""
    yield from (b"", b"x", b"line\n", b"\0" * 1000, b"ERR ", UNKNOWN, TRUNCATED)
    for command in COMMANDS:
        yield from (command, command + b"\n", command + PADDING)


def own_answers(server, host):
    """What the daemon says to each of them, which another one might be made to say to it."""
    with Peer(host, server.udp_port) as peer:
        for command in COMMANDS:
            yield peer.ask(command + PADDING)


class Watched(network.Sniffer):
    """Daemons whose every word is seen."""

    def __init__(self, host, *servers):
        super().__init__(*(server.udp_port for server in servers))
        self.host, self.servers = host, servers
        self.markers = [Peer(host, server.udp_port) for server in servers]
        for sniffing in self.sockets:  # a whole exchange may wait to be looked at
            sniffing.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)

    def close(self):
        super().close()
        for marker in self.markers:
            marker.close()

    def forge(self, source, question, hops=64, rounds=1):
        """What the daemons say to it. In each round, every one has answered all that came before."""
        ours = {marker.port for marker in self.markers}
        network.forge(source, (self.host, self.servers[0].udp_port), question, hops, device="lo")
        seen = []
        for _ in range(rounds):
            for marker in self.markers:
                marker.ask(b"marker")
                seen += self.until(lambda packet, port=marker.port: packet.target[1] == port)
        said = [packet for packet in seen if not ours & {packet.source[1], packet.target[1]}]
        assert said[0].data == question, (source, question, seen)  # the forged one itself
        return said[1:]


def reflection(polite, hosts):
    """Forged datagrams of every kind, from where an answer would do harm and from elsewhere."""
    count = {"asked": 0, "from_harm": 0, "answered": 0, "longer": 0, "most": 0}
    with serving() as server, connect(server) as control:
        polite.begin(server, control)
        begun = time.monotonic()
        for host in hosts:
            harmful = [(address, port) for address in {host, STRANGER[host]} for port in (*SERVICES, server.udp_port)]
            harmful += [(address, STRANGER_PORT) for address in NO_HOSTS if ":" not in host]
            kinds = {*questions(), *own_answers(server, host)}
            with Watched(host, server) as watched:
                for question in kinds:
                    for source in harmful:
                        count["from_harm"] += len(watched.forge(source, question))
                    answers = watched.forge((STRANGER[host], STRANGER_PORT), question)
                    assert not (answers and question.startswith(b"ERR ")), question
                    count["asked"] += len(harmful) + 1
                    count["answered"] += len(answers)
                    count["most"] = max(count["most"], len(answers))
                    count["longer"] += sum(len(answer.data) for answer in answers) > len(question)
        seconds = time.monotonic() - begun
        figures = polite.end()
    assert count["from_harm"] == 0 and count["most"] == 1
    assert count["longer"] <= len(hosts) * LONGER_TO_A_SOURCE * (seconds + 2)
    return {**figures, **count}


def loops(polite, hosts, hops):
    """Each kind of datagram is forged to come from a second daemon, so that the two go on talking."""
    longest = tried = 0
    with serving() as server, serving() as other, connect(server) as control:
        polite.begin(server, control)
        for host in hosts:
            kinds = {*questions(), *own_answers(server, host)}
            with Watched(host, server, other) as watched:
                for question in kinds:
                    said = watched.forge((host, other.udp_port), question, hops, rounds=hops // 2 + 2)
                    longest, tried = max(longest, len(said)), tried + 1
        figures = polite.end()
    assert 0 < longest < hops
    return {**figures, "kinds": tried, "hops": hops, "longest": longest}
