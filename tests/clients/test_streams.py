"""Netcats, socat and curl: what goes in comes out, from any file, and by UDP."""

import os
import subprocess

import pytest

from harness.daemon import ROOT
from programs import exchange, need, output

SOURCES = sorted((ROOT / "src").rglob("*.[ch]"))  # some of their lines begin with a slash
SOURCE = (ROOT / "src/transport/conn.c").read_bytes()
MIB = int(os.environ.get("CLIENTS_MIB", "64"))

TCP = {
    "openbsd": ["nc.openbsd", "-N", "::1", "{port}"],
    "traditional": ["nc.traditional", "127.0.0.1", "{port}"],
    "ncat": ["ncat", "::1", "{port}"],
    "socat": ["socat", "-", "TCP6:[::1]:{port}"],
    "curl": ["curl", "--silent", "--no-buffer", "telnet://127.0.0.1:{port}"],
}
UDP = {
    "openbsd": ["nc.openbsd", "-u", "127.0.0.1", "{port}"],
    "traditional": ["nc.traditional", "-u", "127.0.0.1", "{port}"],
    "ncat": ["ncat", "-u", "127.0.0.1", "{port}"],
    "socat": ["socat", "-", "UDP6:[::1]:{port}"],
}
# Those that end their side with their input, and wait for ours.
TO_THE_END = {
    "openbsd": ["nc.openbsd", "-N", "::1", "7"],
    "ncat": ["ncat", "::1", "7"],
    "socat": ["socat", "-t30", "-", "TCP6:[::1]:7"],
}


def at(command, port):
    return [word.format(port=port) for word in command]


@pytest.mark.parametrize("command", TCP.values(), ids=TCP)
def test_lines_and_commands(command):
    answer = exchange(at(command, 12345), b"hello\n/whoami\n", lambda answer: answer.count(b"\n") == 2)
    assert answer.startswith(b"hello\nproto=tcp peer=") and answer.endswith(b":12345 name=box\n")


@pytest.mark.parametrize("command", TCP.values(), ids=TCP)
def test_a_source_file_through_raw(command):
    assert exchange(at(command, 7), SOURCE, lambda answer: len(answer) >= len(SOURCE)) == SOURCE


@pytest.mark.parametrize("command", UDP.values(), ids=UDP)
@pytest.mark.parametrize("sent", [b"/stats\n", b"ERR hello\n"])
def test_datagrams_through_raw(command, sent):
    assert exchange(at(command, 7), sent, lambda answer: len(answer) >= len(sent)) == sent


@pytest.mark.parametrize("command", TO_THE_END.values(), ids=TO_THE_END)
def test_all_comes_back_before_the_end(command):
    assert output(command, input=SOURCE * 50) == (0, SOURCE * 50)


def pipe(path):
    """The status of what people type to see whether a file comes back as it was."""
    need("nc.openbsd")
    line = 'set -o pipefail; cat "$1" | nc.openbsd -N ::1 7 | cmp - "$1"'
    return subprocess.run(["bash", "-c", line, "bash", path], timeout=180, check=False).returncode


def test_every_source_file_survives():
    assert [path for path in SOURCES if pipe(path) != 0] == []


def test_many_random_bytes_survive(tmp_path):
    path = tmp_path / "random"
    with open(path, "wb") as file:
        for _ in range(MIB):
            file.write(os.urandom(1 << 20))
    assert pipe(path) == 0
    path.unlink()


def test_discard_answers_an_end_and_nothing_else():
    assert output(["nc.openbsd", "-N", "::1", "9"], input=SOURCE * 50) == (0, b"")
