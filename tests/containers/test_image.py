"""The image in podman and in dockerd, as its users run it: nobody's user, nothing writable, no rights."""

import json
import re
import subprocess

import pytest

from conftest import NATIVE
from harness.clients import Client, Peer, serves
from harness.daemon import parse_logfmt
from harness.pages import get
from harness.steps import steps
from harness.wait import wait_until

PORT = 12345
PUBLISHED = ["-p", f"{PORT}:{PORT}/tcp", "-p", f"{PORT}:{PORT}/udp"]
CONFINED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
OFTEN = ["--health-interval=1s", "--health-timeout=2s", "--health-retries=1"]
IMAGE = "epoll-echo"


@pytest.fixture(scope="module", params=["podman", "docker"])
def engine(request):
    return request.getfixturevalue(request.param)


def checked(engine):
    """Options that have the image's check run often."""
    return ["--health-interval=disable"] if engine.program == "podman" else OFTEN


@pytest.fixture
def container(engine):
    with engine.running(*PUBLISHED, *CONFINED, *checked(engine), IMAGE, "-vv", name="echo") as name:
        wait_until(lambda: engine("logs", name).count("msg=listening") == 2, "both sockets")
        yield name


def records(engine, name):
    return [parse_logfmt(line.encode()) for line in engine("logs", name).splitlines()]


def test_it_runs_as_nobody_with_no_rights(engine, container):
    status = engine.status(container)
    assert status["Uid"].split() == ["65532"] * 4 and status["Gid"].split() == ["65532"] * 4
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    wait_until(lambda: "msg=sandbox" in engine("logs", container), "its own sandbox")
    (sandbox,) = [record for record in records(engine, container) if record["msg"] == "sandbox"]
    assert (sandbox["privileges"], sandbox["calls"]) == ("dropped", "filtered")


def test_published_ports_serve(engine, container):
    serves(PORT, PORT)
    with Client("127.0.0.1", PORT) as client:
        assert re.match(rb"proto=tcp peer=\S+ local=\S+:12345", client.ask(b"/whoami\n"))
    with Peer("127.0.0.1", PORT) as peer:
        assert peer.ask(bytes(60_000)) == bytes(60_000)


def test_a_stop_ends_it_with_status_0_and_cuts_nothing_off(engine, container):
    with Client("127.0.0.1", PORT) as client:
        client.send(b"line\n" * 1000 + b"unfinished")
        client.delivered()
        assert client.read(5000) == b"line\n" * 1000
        stopping = subprocess.Popen([engine.program, "stop", "-t", "20", container], env=engine.environment,
                                    stdout=subprocess.DEVNULL)
        assert client.rest() in (b"", b"unfinished")
        assert stopping.wait(60) == 0
    assert engine.show(container, ".State.ExitCode") == "0"
    log = records(engine, container)
    assert "stopping" in {record["msg"] for record in log} and log[-1]["msg"] == "stopped"
    assert {record["proto"] for record in log if record["msg"] == "listening"} == {"tcp", "udp"}


class Health:
    """What the image's check finds. podman's timers are systemd's: without one, it is asked by hand."""

    def __init__(self, engine, container):
        self.engine, self.container = engine, container

    def _ask(self):
        if self.engine.program == "podman":
            self.engine("healthcheck", "run", self.container, check=False)

    def status(self):
        self._ask()
        return self.engine.show(self.container, ".State.Health.Status")

    def _checks(self):
        """Exit statuses of the last checks, by when each ended."""
        self._ask()
        log = self.engine.show(self.container, "json .State.Health.Log")
        return {check["End"]: check["ExitCode"] for check in json.loads(log) or []}

    def found(self):
        """The exit statuses of two further checks: the second one begins after this was called."""
        earlier = self._checks().keys()
        wait_until(lambda: len(self._checks().keys() - earlier) >= 2, "two checks")
        return {status for end, status in self._checks().items() if end not in earlier}


def test_what_is_stuck_is_unhealthy(engine, container):
    health = Health(engine, container)
    wait_until(lambda: health.status() == "healthy", "healthy")
    engine("kill", "-s", "STOP", container)
    try:
        wait_until(lambda: health.status() == "unhealthy", "unhealthy")
    finally:
        engine("kill", "-s", "CONT", container)
    wait_until(lambda: health.status() == "healthy", "healthy again")


def test_what_is_full_or_drains_is_healthy(engine):
    """Who replaces what is unhealthy would end all connections of a server that has many."""
    options = ["--max-tcp=1", "--drain-delay=600", "--listen=http:8080"]
    with engine.running(*PUBLISHED, "-p", "8080:8080", *CONFINED, *checked(engine), IMAGE, *options, name="full"):
        wait_until(lambda: engine("logs", "full").count("msg=listening") == 3, "all sockets")
        health = Health(engine, "full")
        with Client("127.0.0.1", PORT) as only:
            assert only.ask(b"line\n") == b"line\n"  # a proxy that publishes ports keeps no order
            with Client("127.0.0.1", PORT) as further:
                assert further.rest() == b"Server Busy\n"
            assert health.found() == {0}
            assert get(8080, "/livez").status == 200 == get(8080, "/readyz").status
            engine("kill", "-s", "TERM", "full")
            wait_until(lambda: get(8080, "/readyz").status == 503, "the end to be asked for")
            assert health.found() == {0}
            assert get(8080, "/livez").status == 200
            assert only.ask(b"line\n") == b"line\n"


def test_options_follow_the_image(engine):
    assert "epoll-echo " in engine("run", "--rm", IMAGE, "--version")
    assert "--nonsense" in engine("run", "--rm", IMAGE, "--nonsense", check=False)


def test_containers_find_each_other_by_name(engine):
    engine("network", "create", "echoes")
    try:
        with engine.running("--network=echoes", *CONFINED, IMAGE, name="server"):
            for kind in ([], ["--udp"]):
                engine("run", "--rm", "--network=echoes", *CONFINED, "--entrypoint=/echo-bench", IMAGE, *kind, "-c2",
                       "-n100", f"server:{PORT}")
    finally:
        engine("network", "rm", "echoes", check=False)


def test_the_tags_are_the_version_and_latest(engine, version):
    told = engine("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert {line.removeprefix("localhost/") for line in told.splitlines() if "epoll-echo" in line} == {
        f"epoll-echo:{version}", "epoll-echo:latest"}


def test_the_first_steps_make_it_serve(engine, tree):
    lines = steps("container").replace("ARCHITECTURES=amd64", f"ARCHITECTURES={NATIVE}").replace(
        "image-amd64", f"image-{NATIVE}").replace("podman", engine.program)
    try:
        engine.script(lines, tree)
        wait_until(lambda: engine("logs", "echo").count("msg=listening") == 2, "both sockets")
        serves(PORT, PORT)
    finally:
        engine("rm", "-f", "echo", check=False)
