"""UDP answers find their way back also where a link is narrow and nobody says so."""

import socket

import pytest

from harness import network
from harness.wait import PATIENCE

pytestmark = pytest.mark.usefixtures("namespace")

NARROW = 1400
# By IPv6, Linux sends what fits its own link in one packet, whatever it is told: too much for the narrow
# one is what lies between the two.
SIZES = {"ipv4": (100, 1300, 1372, 1440, 1472, 3000, 100, 20_000, 1440), "ipv6": (100, 1352, 3000, 100, 20_000, 1500)}
SERVER = {"ipv4": "10.77.8.1", "ipv6": "fd00:77:8::1"}
UNREACHABLE = "icmp type destination-unreachable", "icmpv6 type packet-too-big"


@pytest.fixture(scope="module")
def beyond(namespace):
    """A client behind a router whose second link is narrow, and which keeps that to itself."""
    with network.Namespace("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1") as router:
        with network.Namespace() as client:
            network.ip("link", "add", "wide", "type", "veth", "peer", "name", "in")
            network.ip("link", "set", "in", "netns", str(router.holder.pid))
            router.run("ip", "link", "add", "out", "type", "veth", "peer", "name", "narrow")
            router.run("ip", "link", "set", "narrow", "netns", str(client.holder.pid))
            for run, device, mtu, number in ((network.ip, "wide", 1500, "8::1"), (router.run, "in", 1500, "8::2"),
                                             (router.run, "out", NARROW, "9::1"), (client.run, "narrow", NARROW, "9::2")):
                words = () if run == network.ip else ("ip",)
                run(*words, "link", "set", device, "mtu", str(mtu), "up")
                run(*words, "addr", "add", f"10.77.{number.replace('::', '.')}/24", "dev", device)
                run(*words, "addr", "add", f"fd00:77:{number}/64", "dev", device, "nodad")
            network.ip("route", "add", "10.77.9.0/24", "via", "10.77.8.2")
            network.ip("route", "add", "fd00:77:9::/64", "via", "fd00:77:8::2")
            client.run("ip", "route", "add", "default", "via", "10.77.9.1")
            client.run("ip", "-6", "route", "add", "default", "via", "fd00:77:9::1")
            router.run("nft", "add table inet quiet")
            router.run("nft", "add chain inet quiet said { type filter hook output priority 0; }")
            for what in UNREACHABLE:
                router.run("nft", f"add rule inet quiet said {what} drop")
            yield client
        network.ip("link", "del", "wide")


@pytest.fixture(params=["ipv4", "ipv6"])
def version(request):
    return request.param


@pytest.mark.parametrize("bind", [[], ["--bind=0.0.0.0", "--bind=::"]], ids=["dual", "separate"])
def test_an_answer_crosses_a_link_that_its_question_has_crossed(start, beyond, version, bind):
    server = start(*bind, listening=4 if bind else 2)
    family = socket.AF_INET6 if version == "ipv6" else socket.AF_INET
    with beyond.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((SERVER[version], server.udp_port))
        for size in SIZES[version]:
            question = bytes(n % 251 for n in range(size))
            client.send(question)
            assert client.recv(65536) == question
