"""The table of roles in README.md: what it has its reader try does what it says."""

import re
import subprocess

import pytest

from harness.daemon import ROOT
from harness.wait import PATIENCE
from programs import LISTEN, need

README = (ROOT / "README.md").read_text()
ROWS = re.findall(r"^\| [^|]+ \| `([a-z+]+)` \| `([^`]+)` \|$", README, re.MULTILINE)

ANSWERS = {
    "echo": rb"hello\n",
    "raw": re.escape(README.encode()),
    "discard": rb"",
    "echo+proxy": rb"proto=tcp peer=192\.0\.2\.1:56324 local=198\.51\.100\.7:12345 via=\[::1\]:\d+ name=box\n",
    "faulty": rb"hello\n",
    "http": rb"ready\n",
}


def test_every_role_is_there():
    assert dict(ROWS).keys() == ANSWERS.keys()


@pytest.mark.parametrize("role, line", ROWS)
def test_what_the_reader_is_to_try(role, line):
    need(line.split()[0])
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
    assert re.fullmatch(ANSWERS[role], done.stdout), done.stdout


def test_the_command_that_opens_them_is_one():
    """The server of these tests has their ports open, and two more."""
    options = re.search(r"`\./epoll-echo ((?:--listen=\S+ ?)+)`", README)[1].split()
    assert {option.removesuffix("/tcp") for option in LISTEN} > set(options)
