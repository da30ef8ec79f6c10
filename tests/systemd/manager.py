# SPDX-License-Identifier: MIT
"""What a service manager would hand to the daemon, and such a manager."""
import os
import re
import socket

from harness.clients import new_socket
from harness.wait import PATIENCE


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address=None):
        self.address = address or f"@epoll-echo-manager-{os.getpid()}-{id(self)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        self.told = []  # one dictionary for each message

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def next(self):
        lines = self.socket.recv(4096).decode().splitlines()
        self.told.append(dict(line.split("=", 1) for line in lines))
        return self.told[-1]

    def await_key(self, key, value=None):
        """The next message that has KEY, with VALUE if that is given."""
        while True:
            message = self.next()
            if key in message and value in (None, message[key]):
                return message

    def rest(self):
        """What was told so far, and what waits to be taken."""
        self.socket.setblocking(False)
        while True:
            try:
                self.next()
            except BlockingIOError:
                self.socket.settimeout(PATIENCE)
                return self.told


def bound(address="127.0.0.1", dual=False, kind=socket.SOCK_DGRAM):
    s = new_socket(address, kind)
    if ":" in address:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
    s.bind((address, 0))
    return s


def listener(address="127.0.0.1", dual=False):
    s = bound(address, dual, socket.SOCK_STREAM)
    s.listen()
    return s


def port_of(s):
    return s.getsockname()[1]


def inodes(server):
    """What its descriptors are: the inode numbers of sockets, pipes and files."""
    directory = f"/proc/{server.pid}/fd"
    return {os.stat(f"{directory}/{fd}").st_ino for fd in os.listdir(directory)}


def timer_armed(server):
    """Whether its timer will wake it."""
    for fd in os.listdir(f"/proc/{server.pid}/fd"):
        with open(f"/proc/{server.pid}/fdinfo/{fd}", encoding="ascii") as info:
            if left := re.search(r"it_value: \((\d+), (\d+)\)", info.read()):
                return left.groups() != ("0", "0")
    raise AssertionError("there is no timer")
