# SPDX-License-Identifier: MIT
"""Each mistake is seen to happen, and its cure is seen to end it."""
import re

import pytest

import programs

# What each program says when it is broken, and when it is cured. A number in braces is a counter:
# {spin} is at least 1000, {calm} at most 20. Between them lie two orders of magnitude at least.
SEEN = {
    "blocking": ("the loop slept in recv(); meanwhile the other client waited with 4 bytes",
                 "both clients served"),
    "closed-dup": ("an event for the closed descriptor; removing it now: Bad file descriptor",
                   "no event for the closed descriptor in 300 ms"),
    "edge-accept": ("1 of 5 clients accepted",
                    "5 of 5 clients accepted"),
    "edge-fin": ("end of file there, and not seen: nobody closes this socket",
                 "end of file seen"),
    "edge-stall": ("1 event, and no further one in 300 ms: 2976 of 4000 bytes were never read",
                   "1 event, and no further one in 300 ms: 0 of 4000 bytes were never read"),
    "edge-starve": ("the modest client still waits after 10000 reads from the greedy one",
                    "the modest client was served after 16 reads from the greedy one"),
    "eintr-exit": ("epoll_wait: Interrupted system call; the server exits",
                   "interrupted 3 times, and the client was served"),
    "emfile-spin": ("Too many open files: wakeups in 200 ms: {spin}",
                    "Too many open files: wakeups in 200 ms: {calm}"),
    "eof-ignored": ("wakeups in 200 ms: {spin}; the client still waits for its end of file",
                    "wakeups in 200 ms: {calm}; the client got its end of file"),
    "herd": ("one client woke 4 of 4 workers",
             "one client woke {calm} of 4 workers"),  # usually 1; the exit status says fewer than 4
    "hup-spin": ("interest 0, yet EPOLLHUP EPOLLERR: wakeups in 200 ms: {spin}",
                 "interest 0, yet EPOLLHUP EPOLLERR: wakeups in 200 ms: {calm}"),
    "leak": ("1000 clients came and went: more than 8 MB larger",
             "1000 clients came and went: no larger than before"),
    "oneshot-forgotten": ("1 of 2 lines served, 5 bytes unread",
                          "2 of 2 lines served, 0 bytes unread"),
    "out-spin": ("an idle connection: wakeups in 200 ms: {spin}",
                 "an idle connection: wakeups in 200 ms: {calm}"),
    "rdhup-spin": ("half-close seen, wakeups in 200 ms: {spin}",
                   "half-close seen, wakeups in 200 ms: {calm}"),
    "reset-goodbye": ("the goodbye can be read, then: Connection reset by peer",
                      "the goodbye can be read, then: end of file"),
    "short-write": ("the server sent 16777216 bytes, the client received only a part of them",
                    "the server sent 16777216 bytes, the client received all of them"),
    "sigpipe": ("the server was ended by signal 13 (Broken pipe)",
                "send: Broken pipe; the server goes on"),
    "stale-event": ("2 events; the new client, with the old number, was closed",
                    "2 events; the new client, with the old number, is connected"),
    "text-echo": ("8 bytes sent, 3 came back",
                  "8 bytes sent, 8 came back"),
}


def test_every_mistake_is_listed():
    names = {path.stem for path in programs.sources() if path.parent.name == "mistakes"}
    assert names == set(SEEN)


def check(expected, output):
    pattern = re.escape(expected).replace(r"\{spin\}", r"(?P<spin>\d+)")
    pattern = pattern.replace(r"\{calm\}", r"(?P<calm>\d+)")
    match = re.fullmatch(pattern + "\n", output)
    assert match, output
    counts = match.groupdict()
    assert int(counts.get("spin", 1000)) >= 1000
    assert int(counts.get("calm", 0)) <= 20


@pytest.mark.parametrize("name", SEEN)
def test_fails_when_broken(name):
    result = programs.run_mistake(name, "broken")
    check(SEEN[name][0], result.stdout)
    assert result.returncode == 1


@pytest.mark.parametrize("name", SEEN)
def test_works_when_cured(name):
    result = programs.run_mistake(name, "cured")
    check(SEEN[name][1], result.stdout)
    assert result.returncode == 0


def test_wrong_usage_is_refused():
    assert programs.run_mistake("leak", "mended").returncode == 2
