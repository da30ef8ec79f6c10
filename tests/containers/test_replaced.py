"""A program that a container has from the host, replaced there, and SIGUSR2: its clients go on with the new one."""

import re
import shutil

import pytest

from conftest import NATIVE
from harness.clients import Client
from harness.conversations import Conversations, Datagrams
from harness.tree import make
from harness.wait import wait_until

PORTS = {"echo": 12345, "raw": 2346, "faulty": 2347, "echo+proxy": 2348}
OPTIONS = ["--listen=raw:2346", "--listen=faulty:2347", "--listen=echo+proxy:2348/tcp", "--socket-buffer=16384"]
PUBLISHED = [f"-p={port}:{port}/{proto}" for port in PORTS.values() for proto in ("tcp", "udp")]
CONFINED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--no-healthcheck"]
FOLDER = "/opt/epoll-echo"


@pytest.fixture(scope="module")
def programs(tree, version):
    """The program of the image, and a version of it that comes after, by their versions."""
    words = [f"CC=build/musl/{NATIVE}/bin/musl-gcc", "LDFLAGS=-static", f"VERSION={version}+next", "B=build/next"]
    make(*words, "build/next/epoll-echo", tree=tree)
    return {version: tree / f"build/dist/{NATIVE}/epoll-echo-{version}-linux-{NATIVE}/bin/epoll-echo",
            f"{version}+next": tree / "build/next/epoll-echo"}


def put(program, folder):
    """As install(1) and package managers do: under another name first, for the old one runs."""
    shutil.copy(program, folder / "new")
    (folder / "new").rename(folder / "epoll-echo")


def told_version(client):
    return re.search(rb" version=(\S+)", client.ask(b"/stats\n")).group(1).decode()


@pytest.mark.parametrize("program", ["podman", "docker"])
def test_conversations_go_on_under_the_new_program(request, programs, folder, program, figure):
    """Three times, once back to the version before."""
    engine = request.getfixturevalue(program)
    host = folder / f"opt-{program}"
    host.mkdir()
    old, new = programs
    put(programs[old], host)
    mount = ["-v", f"{host}:{FOLDER}:ro", f"--entrypoint={FOLDER}/epoll-echo"]
    with engine.running(*PUBLISHED, *CONFINED, *mount, "epoll-echo", *OPTIONS, name="replaced"):
        wait_until(lambda: engine("logs", "replaced").count("msg=listening") == 7, "all sockets")
        pid = engine.show("replaced", ".State.Pid")
        with Client("127.0.0.1", PORTS["echo"]) as client, Conversations("127.0.0.1", PORTS, 24) as conversations:
            conversations.all.append(Datagrams("127.0.0.1", PORTS["echo"], PORTS["faulty"]))

            def replace(version, times):
                put(programs[version], host)
                engine("kill", "--signal=USR2", "replaced")
                wait_until(lambda: engine("logs", "replaced").count("msg=started") == times, "the new program")

            assert told_version(client) == old
            for times, version in enumerate([new, old, new], 2):
                conversations.through(lambda version=version, times=times: replace(version, times))
                assert told_version(client) == version
            conversations.all.pop().close()
            conversations.end()
        assert engine.show("replaced", ".State.Pid") == pid
        assert engine("logs", "replaced").count('msg="connections taken over" count=25 ended=0 lost=0') == 3
    figure(f"3 programs, {program}: 24 conversations of each role, 0 bytes lost or doubled, 0 resets")
