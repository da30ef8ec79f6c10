"""What the kernel does not let an ordinary socket do: forging, sniffing, network namespaces."""

import contextlib
import ctypes
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from harness.wait import PATIENCE

IP_HEADER = struct.Struct("!BBHHHBBH4s4s")
IP6_HEADER = struct.Struct("!IHBB16s16s")
UDP_HEADER = struct.Struct("!HHHH")
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
IPV6_HDRINCL = 36
CLONE_NEWNET = 0x40000000


class Packet(NamedTuple):
    """One UDP packet as seen on the wire."""

    source: tuple
    target: tuple
    hops: int
    data: bytes


def forge(source, target, data, hops=64, device=None):
    """Sends one UDP datagram with whatever (address, port) as its source."""
    if ":" in target[0]:
        family, level, option = socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_HDRINCL
        build = _packet6
    else:
        family, level, option = socket.AF_INET, socket.IPPROTO_IP, socket.IP_HDRINCL
        build = _packet4
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(level, option, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if device:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        raw.sendto(build(source, target, data, hops), (target[0], 0))


def _packet4(source, target, data, hops):
    datagram = UDP_HEADER.pack(source[1], target[1], UDP_HEADER.size + len(data), 0) + data
    ends = [socket.inet_aton(end[0]) for end in (source, target)]
    return IP_HEADER.pack(0x45, 0, IP_HEADER.size + len(datagram), 0, 0, hops, socket.IPPROTO_UDP, 0, *ends) + datagram


def _packet6(source, target, data, hops):
    ends = [socket.inet_pton(socket.AF_INET6, end[0]) for end in (source, target)]
    length = UDP_HEADER.size + len(data)
    pseudo = b"".join(ends) + struct.pack("!II", length, socket.IPPROTO_UDP)
    checksum = _checksum(pseudo + UDP_HEADER.pack(source[1], target[1], length, 0) + data)
    datagram = UDP_HEADER.pack(source[1], target[1], length, checksum) + data
    return IP6_HEADER.pack(6 << 28, length, socket.IPPROTO_UDP, hops, *ends) + datagram


def _checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF) or 0xFFFF


class Sniffer:
    """The UDP packets from or to some ports that one device receives, from now on."""

    def __init__(self, *ports, device="lo", sockets=socket.socket):
        self.ports = set(ports)
        self.sockets = [sockets(socket.AF_PACKET, socket.SOCK_DGRAM) for _ in range(2)]
        for sniffing, protocol in zip(self.sockets, (ETH_P_IP, ETH_P_IPV6)):
            sniffing.bind((device, protocol))

    def until(self, condition):
        """The packets up to and with the first that fulfils the condition."""
        seen = []
        deadline = time.monotonic() + PATIENCE
        while not (seen and condition(seen[-1])):
            ready, _, _ = select.select(self.sockets, [], [], max(0, deadline - time.monotonic()))
            assert ready, f"the awaited packet did not come, only {seen}"
            packet = _parse(ready[0].recv(65600))
            if packet and self.ports & {packet.source[1], packet.target[1]}:
                seen.append(packet)
        return seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for sniffing in self.sockets:
            sniffing.close()


def _parse(data):
    if data[0] >> 4 == 4:
        header = IP_HEADER.unpack_from(data)
        size, hops, protocol = (data[0] & 15) * 4, header[5], header[6]
        ends = [socket.inet_ntoa(end) for end in header[8:]]
    else:
        header = IP6_HEADER.unpack_from(data)
        size, hops, protocol = IP6_HEADER.size, header[3], header[2]
        ends = [socket.inet_ntop(socket.AF_INET6, end) for end in header[4:]]
    if protocol != socket.IPPROTO_UDP:
        return None
    source_port, target_port, length, _ = UDP_HEADER.unpack_from(data, size)
    payload = data[size + UDP_HEADER.size : size + length]
    return Packet((ends[0], source_port), (ends[1], target_port), hops, payload)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def own_network():
    """Moves this thread, and those it starts, into a network of nothing but a loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")


def own_namespace():
    """True for root where nothing but loopback is up: what `unshare -n` makes."""
    shown = subprocess.run(["ip", "-o", "link", "show", "up"], capture_output=True, text=True)
    return os.geteuid() == 0 and [line.split()[1] for line in shown.stdout.splitlines()] == ["lo:"]


class Namespace:
    """A second network namespace, which ends when this object is closed."""

    def __init__(self, *setup):
        """`setup`: silent shell commands that are run inside before it counts as ready."""
        script = " && ".join(["ip link set lo up", *setup, "echo ready", "exec cat"])
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", script], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"

    def run(self, *command):
        subprocess.run([*self.enter(), *command], check=True, capture_output=True)

    def enter(self):
        """A command prefix."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    @contextlib.contextmanager
    def inside(self):
        """Sockets opened meanwhile belong to this namespace for ever."""
        with open("/proc/thread-self/ns/net") as here:
            with open(f"/proc/{self.holder.pid}/ns/net") as there:
                _setns(there)
            try:
                yield
            finally:
                _setns(here)

    def socket(self, *arguments):
        with self.inside():
            return socket.socket(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(PATIENCE)
        self.holder.stdout.close()


def _setns(file):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def set_sysctl(name, value):
    Path("/proc/sys", *name.split(".")).write_text(str(value))
