# SPDX-License-Identifier: MIT
"""The table: every system call that the daemon makes, and the errors of its man page that can come,
the most telling first; beside them what was seen in the field (EPERM and ENOBUFS of a firewall,
ECONNABORTED of `ss -K`)."""

import os
from collections import Counter
from dataclasses import dataclass

ALL = os.environ.get("FAULTS") == "all"

ERRORS = {
    "accept4": "EMFILE ECONNABORTED EINTR ENFILE ENOBUFS ENOMEM EPERM EPROTO ENETDOWN ENOPROTOOPT "
    "EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH ETIMEDOUT",
    "bind": "EADDRINUSE EACCES EADDRNOTAVAIL EINVAL ENOMEM",
    "dup2": "EBUSY EINTR",
    "epoll_create1": "EMFILE ENFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "epoll_wait": "EINTR EBADF",
    "fstat": "ENOMEM EIO",
    "getpeername": "ENOTCONN ENOBUFS",
    "capget": "EPERM",
    "capset": "EPERM",
    "getrandom": "ENOSYS EINTR",
    "getsockname": "ENOBUFS",
    "getsockopt": "EINVAL ENOBUFS",
    "ioctl": "EINVAL",
    "landlock_add_rule": "EINVAL ENOMEM",
    "landlock_create_ruleset": "ENOSYS EOPNOTSUPP ENOMEM",
    "landlock_restrict_self": "EPERM E2BIG",
    "listen": "EADDRINUSE EOPNOTSUPP",
    "lseek": "EINVAL",
    "madvise": "EINVAL ENOMEM",
    "newfstatat": "ENOMEM EIO",
    "openat": "EMFILE EACCES EINTR ENFILE ENOMEM ELOOP",
    "prctl": "EINVAL EPERM",
    "prlimit64": "EPERM EINVAL",
    "read": "EINTR EIO EAGAIN",
    "readlink": "EACCES EIO",
    "recvfrom": "ECONNRESET EINTR ECONNABORTED ETIMEDOUT ENOMEM EHOSTUNREACH ECONNREFUSED EAGAIN",
    "recvmmsg": "ENOMEM EINTR EAGAIN ECONNREFUSED ENETDOWN ENOBUFS",
    "seccomp": "EINVAL ENOSYS",
    "sendmmsg": "EPERM ENOBUFS EINTR EAGAIN ENOMEM EACCES ENETUNREACH EHOSTUNREACH ENETDOWN "
    "EMSGSIZE EINVAL ECONNREFUSED EADDRNOTAVAIL",
    "sendto": "EPIPE EAGAIN EINTR ECONNRESET ENOBUFS ENOMEM EPERM EHOSTUNREACH ETIMEDOUT",
    "setsockopt": "ENOMEM ENOPROTOOPT EINVAL EPERM",
    "shutdown": "ENOTCONN ENOBUFS",
    "signalfd4": "EMFILE ENFILE ENOMEM ENODEV",
    "socket": "EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM EACCES EPERM",
    "timerfd_create": "EMFILE ENFILE ENOMEM ENODEV",
    "timerfd_settime": "EINVAL",
    "write": "EAGAIN EPIPE EINTR EIO ENOSPC",
}

# Made by the daemon, and not made to fail.
LEFT_OUT = {
    "brk": "says that it failed by the address it returns and not by an error, which strace cannot "
    "imitate; each allocation is made to fail instead",
    "close": "an injected error skips the call, and a descriptor would be left; Linux never does",
    "exit_group": "cannot fail",
    "fcntl": "F_GETFD fails only for a closed descriptor; tests/outside closes them",
    "getegid": "cannot fail",
    "geteuid": "cannot fail",
    "getpid": "cannot fail; a build that counts coverage asks it at its end",
    "rt_sigaction": "fails only for signals that there are not",
    "rt_sigprocmask": "fails only for wrong arguments",
}

# These pass; no connection may be lost.
PASSING = {"EINTR", "EAGAIN"}
# Whatever they say, it is not about one connection.
HARMLESS = {
    "accept4": "the client stays in the queue",
    "getpeername": "it costs a name",
    "getsockname": "it costs a name",
    "write": "it costs a line of log",
    "read": "it is read again, or the token stays",
    "openat": "the token stays, the time is UTC",
    "newfstatat": "the token stays, the time is UTC",
    "lseek": "the time is UTC",
    "recvmmsg": "UDP",
    "sendmmsg": "UDP",
    "madvise": "memory stays the daemon's",
}
# Without these nothing goes on: status 1, with a message.
FATAL = {("epoll_wait", "EBADF"), ("timerfd_settime", "EINVAL")}


@dataclass(frozen=True)
class Case:
    call: str
    error: str
    when: str  # the call's number, counted from the daemon's first step on; or several of them
    strace_when: str  # the same, counted from the process's first
    at_start: bool

    @property
    def name(self):
        return "-".join((self.call, self.error, self.when))

    @property
    def inject(self):
        return f"{self.call}:error={self.error}:when={self.strace_when}"


class Baseline:
    """How often each call is made, learned from a run without faults."""

    def __init__(self, calls):
        first = calls.index("rt_sigprocmask")
        self.before = {name: calls[:first].count(name) for name in set(calls)}
        self.count = {name: calls[first:].count(name) for name in set(calls)}
        asleep = calls.index("epoll_wait")
        self.at_start = {name: calls[first:asleep].count(name) for name in set(calls)}
        self.own = sorted(name for name, count in self.count.items() if count > 0)
        self.total = len(calls)


def _places(count):
    """First, second, a middle and a late one; the first and a late one in the short form. What
    comes last may not come at all where something else is lost before."""
    late = max(1, count * 4 // 5)
    wanted = {1, 2, (count + 1) // 2, late, count} if ALL else {1, late}
    return sorted(place for place in wanted if place <= count)


def _errors(call):
    errors = ERRORS[call].split()
    return errors if ALL else errors[:2]


def cases_of(baseline):
    for call in baseline.own:
        for place in _places(baseline.count[call]) if call not in LEFT_OUT else ():
            at_start = place <= baseline.at_start.get(call, 0)
            for error in _errors(call):
                yield Case(call, error, str(place), str(place + baseline.before[call]), at_start)
    # Again and again: no descriptors for a second.
    first = baseline.before["accept4"] + 2
    yield Case("accept4", "EMFILE", "2-5", f"{first}..{first + 3}", False)


def problems(case, result, total):
    """What is wrong with the outcome, as texts; nothing if it is as it has to be."""
    if not result["injected"]:
        return []
    found = _status_problems(case, result)
    if (case.call, case.error) in FATAL:
        return found  # it ends in the midst of everything
    found += result["wrong"]
    if len(result["lost"]) > 1:
        found.append(f"more than one connection is lost: {result['lost']}")
    if result["lost"] and (case.error in PASSING or case.call in HARMLESS):
        found.append(f"lost for no reason: {result['lost']}")
    if len(result["calls"]) > 4 * total + 1000:
        most = Counter(result["calls"]).most_common(5)
        found.append(f"{len(result['calls'])} system calls, {total} without the fault: it spins: {most}")
    return found


def _status_problems(case, result):
    status = result["status"]
    if status == 0:
        return ["it goes on as if nothing were"] if (case.call, case.error) in FATAL else []
    if status != 1:
        return [f"status {status}"]
    if not case.at_start and (case.call, case.error) not in FATAL:
        return ["it ends with status 1"]
    if "level=error" not in result["log"] and case.call != "write":
        return ["status 1 without a message"]
    return []


def outcome(result):
    """One phrase for the report."""
    return ended(result) if result["injected"] else "not reached"


def ended(result):
    if result["status"] == 1:
        message = next((l for l in result["log"].splitlines() if "level=error" in l), "no message")
        message = message.partition("level=error ")[2] or message
        return ("does not start: " if not result["started"] else "ends: ") + f"`{message}`"
    if result["lost"]:
        return "served, but for " + "; ".join(result["lost"])
    if result["udp_lost"]:
        return "served, but for one datagram" if result["udp_lost"] == 1 else "served, UDP late"
    return "served" if result["status"] == 0 else f"status {result['status']}"
