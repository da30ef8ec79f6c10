#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Finds how long a NAT or a firewall on the way keeps a binding of UDP without traffic.

    nat-timeout.py HOST PORT LOWEST HIGHEST PRECISION

HOST and PORT are a port of epoll-echo's role faulty, by IPv4; the others are milliseconds. The time
between LOWEST and HIGHEST is halved until it is known to PRECISION. Each time is asked for from new
ports, for every packet through a binding would keep it longer.
"""
import select
import socket
import sys
import time

AT_ONCE = 3  # one answer shows that the binding was kept; that all are lost on the way is unlikely
GRACE = 1.0  # seconds that an answer may be late


def answered(address, milliseconds):
    """Whether an answer comes through that was sent MILLISECONDS after the question."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(AT_ONCE)]
    for asking in sockets:
        asking.connect(address)
        asking.send(f"/delay {milliseconds} x".encode())
    until = time.monotonic() + milliseconds / 1000 + GRACE
    came = False
    while not came and (left := until - time.monotonic()) > 0:
        came = any(ready.recv(16) == b"x\n" for ready in select.select(sockets, [], [], left)[0])
    for asking in sockets:
        asking.close()
    return came


def tried(address, milliseconds):
    came = answered(address, milliseconds)
    print(f"{milliseconds} ms: {'answered' if came else 'silent'}", flush=True)
    return came


def main(host, port, *times):
    address, (low, high, precision) = (host, int(port)), map(int, times)
    if not tried(address, low):
        sys.exit(f"No answer after {low} ms: a lower LOWEST may have one, if HOST is faulty at all.")
    if tried(address, high):
        sys.exit(f"An answer even after {high} ms: the time is longer.")
    while high - low > precision:
        middle = (low + high) // 2
        low, high = (middle, high) if tried(address, middle) else (low, middle)
    print(f"kept for {low} ms, and not for {high} ms")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit("usage: nat-timeout.py HOST PORT LOWEST HIGHEST PRECISION")
    main(*sys.argv[1:])
