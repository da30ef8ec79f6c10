"""The packages' life in a booted systemd, from the installation to the purge, in the order of this file."""

import contextlib
import itertools
import re
import shutil

import pytest

from harness.clients import refused, serves
from harness.conversations import Conversations, Datagrams
from harness.load import Load
from harness.steps import steps
from harness.wait import wait_until

PORT = 12345
SERVICE = "epoll-echo.service"
STANDALONE = "epoll-echo-standalone.service"
NUMBERS = itertools.count(1)
# What package managers and the journal write anyway.
ELSEWHERE = r"/var/(lib/dpkg|log|cache)/|/etc/ld\.so\.cache"


def files(guest):
    found = guest.run("find", "/etc", "/lib/systemd", "/usr", "/var", "/run/systemd/system", "-xdev").stdout
    return {path for path in found.splitlines() if not re.match(ELSEWHERE, path)}


def install(guest, *names):
    return guest.run("sh", "-ec", "DEBIAN_FRONTEND=noninteractive dpkg -i "
                     + " ".join(f"/packages/dist/{name}_[0-9]*.deb" for name in names)).stdout


def main_pid(guest, unit=SERVICE):
    return guest.show(unit, "MainPID")


@pytest.fixture(scope="module")
def installed(guest):
    """The files that were there before."""
    before = files(guest)
    install(guest, "epoll-echo", "echo-bench")
    return before


def test_nothing_listens_until_it_is_enabled(guest, installed):
    assert refused("127.0.0.1", PORT)
    for unit in ("epoll-echo.socket", SERVICE, STANDALONE):
        assert guest.run("systemctl", "is-enabled", unit, check=False).stdout.strip() in ("disabled", "indirect")
        assert guest.show(unit, "ActiveState") == "inactive"
    assert "systemctl enable --now epoll-echo.socket" in guest.run(
        "cat", "/usr/share/doc/epoll-echo/README.Debian").stdout


def test_the_smoke_test_passes(guest, installed, tree):
    shutil.copy(tree / "debian/tests/smoke", guest.path("/packages/smoke"))
    assert guest.run("/packages/smoke").stdout == ""


def test_the_test_of_the_units_passes(guest, installed, tree):
    shutil.copy(tree / "debian/tests/units", guest.path("/packages/units"))
    guest.run("/packages/units")


def test_the_first_steps_make_it_serve(guest, installed):
    """Without the first line, which has made the packages."""
    build, rest = steps("package", root=True).split("\n", 1)
    assert build == "make deb"
    guest.run("sh", "-ec", f"cd /packages\n{rest}")
    assert guest.show(SERVICE, "ActiveState") == "inactive"
    serves(PORT, PORT)
    serves(PORT, PORT, host="::1")


def newer(guest):
    """Makes the package again, as a version that comes after all before; returns what is new in that."""
    version = f"+next{next(NUMBERS)}"
    guest.run("sh", "-ec", f"""
        cd /packages/dist && rm -rf newer && dpkg-deb -R epoll-echo_[0-9]*.deb newer
        sed -i 's/^Version: .*/&{version}/' newer/DEBIAN/control
        dpkg-deb --root-owner-group -b newer newer_0.deb""")
    return version


def test_an_upgrade_under_load_refuses_nobody(guest, installed, figure):
    serves(PORT, PORT)
    version = newer(guest)
    pid = main_pid(guest)
    with Load(PORT) as load:
        told = install(guest, "newer")
        load.await_more()
    assert f"{version}) over" in told
    assert main_pid(guest) not in (pid, "0")
    figure(f"upgrade: {load}")
    assert load.failed() == {}
    assert guest.run("systemctl", "is-enabled", "epoll-echo.socket").stdout.strip() == "enabled"


def test_an_upgrade_starts_nothing_that_does_not_run(guest, installed):
    guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
    install(guest, "newer")
    assert refused("127.0.0.1", PORT)
    guest.run("systemctl", "start", "epoll-echo.socket")


def test_instances_are_upgraded_too(guest, installed):
    guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
    instances = ["epoll-echo@1.socket", "epoll-echo@2.socket"]
    guest.run("systemctl", "enable", "--now", *instances)
    services = ["epoll-echo@1.service", "epoll-echo@2.service"]
    with Load(PORT) as load:
        wait_until(lambda: all(main_pid(guest, unit) != "0" for unit in services), "both processes")
        before = [main_pid(guest, unit) for unit in services]
        install(guest, "newer")
        load.await_more()
    assert load.failed() == {}
    assert not set(before) & {main_pid(guest, unit) for unit in services}


# A port for each role that conversations are of: opened by the service, or passed to it by systemd.
PORTS = {"echo": PORT, "raw": 2346, "faulty": 2347, "echo+proxy": 2348}
LISTENING = "--listen=raw:2346 --listen=faulty:2347 --listen=echo+proxy:2348/tcp"
BUFFERS = "--socket-buffer=16384"  # so that little clogs them


@contextlib.contextmanager
def running(guest, line, *units):
    """UNITS, with LINE for options, as an administrator would leave them."""
    file = guest.path("/etc/default/epoll-echo")
    before = file.read_text()
    file.write_text(f"{before}EPOLL_ECHO_OPTIONS={line}\n")
    guest.run("systemctl", "start", *units)
    try:
        yield
        assert line in file.read_text()  # an upgrade leaves it alone
    finally:
        guest.run("systemctl", "stop", SERVICE, *units)
        file.write_text(before)


@contextlib.contextmanager
def ports_opened(guest):
    with running(guest, f"{LISTENING} {BUFFERS}", STANDALONE):
        yield STANDALONE


@contextlib.contextmanager
def ports_passed(guest):
    """By a socket unit for each role, as README.md shows it."""
    units = {"epoll-echo.socket"}
    for role, port in PORTS.items() - {("echo", PORT)}:
        units.add(f"epoll-echo-{port}.socket")
        datagrams = "" if "+" in role else f"ListenDatagram={port}\n"
        guest.path(f"/run/systemd/system/epoll-echo-{port}.socket").write_text(
            f"[Socket]\nService={SERVICE}\nFileDescriptorName={role}\nListenStream={port}\n{datagrams}")
    guest.run("systemctl", "daemon-reload")
    try:
        with running(guest, BUFFERS, *units):
            yield SERVICE
    finally:
        guest.run("sh", "-ec", "rm /run/systemd/system/epoll-echo-*.socket; systemctl daemon-reload")


@pytest.mark.parametrize("ports", [ports_opened, ports_passed])
def test_conversations_go_on_under_the_new_program(guest, installed, figure, ports):
    """Three upgrades, each to a higher version, with conversations of every role in the midst of something."""
    guest.run("systemctl", "stop", "epoll-echo*")
    with ports(guest) as unit, Conversations("127.0.0.1", PORTS, 24) as conversations:
        conversations.all.append(Datagrams("127.0.0.1", PORTS["echo"], PORTS["faulty"]))
        conversations.through(lambda: None)
        pids, told = {main_pid(guest, unit)}, []
        for _ in range(3):
            version = newer(guest)
            conversations.through(lambda: told.append(install(guest, "newer")))
            assert f"{version}) over" in told[-1]
            pids.add(main_pid(guest, unit))
            assert guest.run("readlink", f"/proc/{main_pid(guest, unit)}/exe").stdout == "/usr/bin/epoll-echo\n"
        conversations.all.pop().close()
        conversations.end()
        assert len(pids) == 4 and "0" not in pids
        taken_over = guest.journal("ECHO_EVENT=connections taken over", f"_SYSTEMD_UNIT={unit}")
        assert [entry["ECHO_COUNT"] for entry in taken_over[-3:]] == ["24"] * 3
    kind = ports.__name__.replace("_", " ")
    figure(f"3 upgrades, {kind}: 24 conversations of each role, 0 bytes lost or doubled, 0 resets")


def test_a_removal_stops_it_and_keeps_what_is_configured(guest, installed):
    guest.run("systemctl", "start", STANDALONE, check=False)
    guest.run("dpkg", "-r", "epoll-echo", "echo-bench")
    assert refused("127.0.0.1", PORT)
    assert guest.run("pgrep", "-x", "epoll-echo", check=False).stdout == ""
    assert guest.path("/etc/default/epoll-echo").exists()


def test_a_purge_leaves_nothing(guest, installed):
    guest.run("dpkg", "-P", "epoll-echo", "echo-bench")
    assert files(guest) - installed == set()
    assert installed - files(guest) == set()
    assert guest.run("systemctl", "list-unit-files", "--no-legend", "epoll-echo*", check=False).stdout == ""
    assert guest.run("systemctl", "list-units", "--no-legend", "epoll-echo*").stdout == ""
