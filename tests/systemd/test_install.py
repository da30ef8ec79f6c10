# SPDX-License-Identifier: MIT
"""`make install` and `make uninstall`, and what the standard build does not contain."""
import re
import subprocess
from pathlib import Path

import pytest

from build import MAKE, ROOT, SYSTEMD, make
from harness.clients import serves
from harness.daemon import Daemon
from manager import listener, port_of, timer_armed

UNITS = {f"epoll-echo{unit}" for unit in (".socket", ".service", "-standalone.service", "@.socket", "@.service")}
STANDARD = [*MAKE, "B=build/standard"]


@pytest.fixture(scope="session")
def standard():
    make(*STANDARD, "build/standard/epoll-echo")
    return ROOT / "build/standard/epoll-echo"


def files(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def test_what_is_installed(stage):
    installed = files(stage / "usr/local")
    assert "bin/epoll-echo" in installed
    assert {Path(f).name for f in installed if f.startswith("lib/systemd/system/")} == UNITS
    for page in (ROOT / "man").glob("*.[18]"):
        assert f"share/man/man{page.suffix[1]}/{page.name}" in installed
    for unit in (stage / "usr/local/lib/systemd/system").iterdir():
        assert "@bindir@" not in unit.read_text() and "@service@" not in unit.read_text()
        assert unit.stat().st_mode & 0o777 == 0o644


def test_another_prefix_and_uninstall(binary, tmp_path):
    where = [f"DESTDIR={tmp_path}", "PREFIX=/opt/echo"]
    make(*SYSTEMD, "install", *where)
    units = tmp_path / "opt/echo/lib/systemd/system"
    assert "ExecStart=/opt/echo/bin/epoll-echo " in (units / "epoll-echo.service").read_text()
    make(*SYSTEMD, "uninstall", *where)
    assert files(tmp_path) == set()


def test_standard_build_contains_nothing_of_it(standard, binary, tmp_path):
    make(*STANDARD, "install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    installed = files(tmp_path)
    assert "usr/bin/epoll-echo" in installed and not any("systemd" in name for name in installed)
    words = rb"NOTIFY_SOCKET|LISTEN_FDS|JOURNAL_STREAM|WATCHDOG_USEC|journal/socket"
    assert re.search(words, binary.read_bytes())
    assert not re.search(words, standard.read_bytes())
    assert b"systemd_" not in output("nm", standard)


def test_standard_build_ignores_the_environment(standard, manager):
    """It opens its own sockets, whatever is passed."""
    s = listener()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "500000"}
    with Daemon("--port=0", binary=standard, sockets=[s], environment=environment) as server:
        assert server.tcp_port != port_of(s) and serves(server.tcp_port)
        assert not timer_armed(server)
    assert manager.rest() == []


def needed(path):
    return re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", path).decode())


def test_no_library_more(standard, binary, figure, tmp_path):
    if "libasan" not in " ".join(needed(binary)):
        assert needed(binary) == needed(standard)
    for path in (standard, binary):
        stripped = tmp_path / "stripped"
        output("strip", "-o", stripped, path)
        figure(f"{path.parent.name}: {stripped.stat().st_size} bytes stripped, needs {needed(path)}")
