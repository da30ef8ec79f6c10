"""deploy/haproxy before three servers, of which one after the other is ended, and killed."""

import contextlib
import re
import shutil
import signal
import subprocess

import pytest

from harness.clients import Client
from harness.daemon import Daemon
from harness.load import TCP_THREADS, Load
from harness.tree import ROOT
from harness.wait import wait_until

SERVERS = {"e1": "127.0.1.11", "e2": "127.0.1.12", "e3": "127.0.1.13"}
PROXIED = 12346
ADMIN = 12399
AGENT = 12344


def launch(name):
    return Daemon(f"--name={name}", f"--bind={SERVERS[name]}", f"--listen=echo+proxy:{SERVERS[name]}:{PROXIED}/tcp",
                  "--drain-delay=5", listening=3, port=AGENT)


@pytest.fixture
def servers():
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(launch(name)) for name in SERVERS}
        yield servers
        for server in servers.values():
            server.kill()  # rather than wait for three delays


class HAProxy:
    def __init__(self, folder):
        text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
        for number, name in enumerate(SERVERS, 11):
            assert f"192.0.2.{number}:" in text
            text = text.replace(f"192.0.2.{number}:", f"{SERVERS[name]}:")
        assert "agent-port 12345 " in text  # which is the frontend's here
        text = text.replace("agent-port 12345 ", f"agent-port {AGENT} ")
        self.config = folder / "haproxy.cfg"
        admin = f"    stats socket ipv4@127.0.0.1:{ADMIN} level admin\n"
        self.config.write_text(text.replace("global\n", f"global\n{admin}"))
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(["haproxy", "-db", "-f", self.config], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def up(self, status="UP"):
        """The servers that it calls up, or DRAIN, or DOWN."""
        if self.process.poll() is not None:
            raise AssertionError(self.process.stdout.read())
        try:
            with Client("127.0.0.1", ADMIN) as admin:
                told = admin.ask_all(b"show stat\n").decode()
        except ConnectionRefusedError:
            return set()  # not yet
        rows = [line.split(",") for line in told.splitlines()]
        return {row[1] for row in rows if row[0] == "echo" and row[1] in SERVERS and row[17].startswith(status)}


@pytest.fixture
def haproxy(servers, tmp_path):
    if not shutil.which("haproxy"):
        pytest.skip("haproxy is not installed: make setup")
    with HAProxy(tmp_path) as haproxy:
        wait_until(lambda: haproxy.up() == set(SERVERS), "three servers that are up")
        yield haproxy


def test_each_server_is_told_who_the_client_is(haproxy):
    seen = set()
    for _ in range(9):
        with Client("127.0.0.1", 12345, source="127.0.0.7") as client:
            answer = client.ask(b"/whoami\n").decode()
            assert re.match(rf"proto=tcp peer=127\.0\.0\.7:{client.port} local=127\.0\.0\.1:12345 ", answer), answer
            seen |= set(re.findall(r" name=(\w+)", answer))
            assert " via=" in answer
    assert seen == set(SERVERS)


def test_whoever_ends_loses_nobody(haproxy, servers, figure):
    """One after the other is ended, and comes back: it says so, and is left alone before it ends."""
    with contextlib.ExitStack() as stack, Load(12345, udp=False) as load:
        for name in SERVERS:
            servers[name].signal(signal.SIGTERM)
            wait_until(lambda: haproxy.up("DRAIN") == {name}, f"{name} to be left alone")
            load.await_more()
            servers[name].ended()
            servers[name] = stack.enter_context(launch(name))
            wait_until(lambda: haproxy.up() == set(SERVERS), f"{name} to be up")
    figure(f"HAProxy, three servers ended one after the other: {load}")
    assert load.failed() == {} and load.counts["ended"] == 0


def test_whoever_dies_loses_no_newcomer(haproxy, servers, figure):
    with Load(12345, udp=False) as load:
        servers["e1"].kill()
        load.await_more()
        wait_until(lambda: haproxy.up() == {"e2", "e3"}, "e1 to be down")
        load.await_more()
    figure(f"HAProxy, one of three servers killed: {load}")
    # Who was connected to it at that moment: at most one for each thread of clients.
    assert sum(load.failed().values()) + load.counts["ended"] <= TCP_THREADS
