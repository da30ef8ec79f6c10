# SPDX-License-Identifier: MIT
"""The daemon's systemd build, a manager to listen to it, and a guest with its units installed."""
import contextlib
import os
import shutil
from pathlib import Path

import pytest

from build import ROOT, SYSTEMD, make
from harness.figures import figure, pytest_configure, pytest_terminal_summary  # noqa: F401
from harness.guest import Guest, Impossible
from harness.daemon import Daemon
from harness.fixtures import strace, token_file  # noqa: F401
from harness.network import own_network
from manager import Manager



@pytest.fixture(scope="session", autouse=True)
def network():
    """Fixed ports and other people's traffic stay outside."""
    with contextlib.suppress(OSError):
        own_network()


@pytest.fixture(scope="session")
def binary():
    """The program under test."""
    given = os.environ.get("EPOLL_ECHO_SYSTEMD")
    if not given:
        make(*SYSTEMD, "build/systemd/epoll-echo")
    return Path(given).resolve() if given else ROOT / "build/systemd/epoll-echo"


@pytest.fixture
def start(binary):
    """start(*options, sockets=[…], **environment) runs the program, without systemd, and does not wait
    until it listens."""
    with contextlib.ExitStack() as stack:

        def start(*options, sockets=(), wrapper=(), **environment):
            return stack.enter_context(Daemon(*options, binary=binary, listening=0, sockets=sockets,
                                              wrapper=wrapper, environment=environment))

        yield start


@pytest.fixture
def manager():
    """Takes what the program tells its service manager."""
    with Manager() as manager:
        yield manager


@pytest.fixture(scope="session")
def stage(binary, tmp_path_factory):
    """What `make ENABLE_SYSTEMD=1 install` installs."""
    stage = tmp_path_factory.mktemp("stage")
    make(*SYSTEMD, "install", f"DESTDIR={stage}", "PREFIX=/usr/local")
    shutil.copy(binary, stage / "usr/local/bin/epoll-echo")
    return stage


@pytest.fixture(scope="session")
def guest(stage):
    """A booted systemd in which `systemctl enable --now epoll-echo.socket` was all that was done."""
    with contextlib.ExitStack() as stack:
        try:
            guest = stack.enter_context(Guest(stage))
        except Impossible as reason:
            pytest.skip(f"no systemd can be booted here: {reason}")
        guest.run("systemctl", "enable", "--now", "epoll-echo.socket")
        yield guest
