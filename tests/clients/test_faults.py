"""docs/testing-with-faults.md: each recipe is run, and what it writes is what is shown."""

import os
import re
import subprocess
import time

import pytest

from harness import network
from harness.daemon import BINARY, ROOT
from harness.wait import PATIENCE, wait_until
from programs import need

PAGE = (ROOT / "docs/testing-with-faults.md").read_text()
FILES = dict(re.findall(r"^<!-- file (\S+) -->\n```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SESSIONS = {name: re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
            for name, text in re.findall(r"^<!-- session (\w+) -->\n```console\n(.*?)^```$", PAGE,
                                         re.MULTILINE | re.DOTALL)}
NEEDED = {"haproxy": ["/usr/sbin/haproxy"], "nginx": ["/usr/sbin/nginx"], "retry": ["curl"], "drop": []}
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
LOGS = ("cat ", "grep ", "curl -s ")  # what these show may come a little later
MARK = "== done"


class Shell:
    """One bash within a network namespace, that runs a command after the other."""

    def __init__(self, network, place):
        self.network = network
        self.jobs = []
        self.process = subprocess.Popen([*network.enter(), "bash"], cwd=place, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.run('PATH="$PATH:/usr/sbin"')

    def run(self, command):
        """What COMMAND writes."""
        self.process.stdin.write(f"{command}\necho '{MARK}'\n")
        self.process.stdin.flush()
        return "".join(iter(self.process.stdout.readline, f"{MARK}\n"))

    def listening(self):
        return self.run("ss --listening --numeric --no-header --tcp | wc --lines")

    def step(self, command, shown):
        """Runs a line of the page, and has it write what is shown there."""
        if command.endswith("&"):
            before = self.listening()
            assert self.run(command) == shown
            self.jobs.append(self.run("echo $!").strip())
            wait_until(lambda: self.listening() != before, command)
            return
        deadline = time.monotonic() + PATIENCE
        while (written := self.run(command)) != shown and command.startswith(LOGS) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert written == shown, command

    def go_through(self, name):
        for command, shown in SESSIONS[name]:
            self.step(command, shown)

    def end(self, jobs):
        """Ends what was started in the background, by its numbers."""
        for job in jobs:
            self.run(f"kill {job}; wait {job}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(self.jobs)
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with all that the page names."""
    place = tmp_path_factory.mktemp("faults")
    for name, text in FILES.items():
        (place / name).write_text(text)
    (place / "epoll-echo").symlink_to(BINARY)
    (place / "examples").symlink_to(ROOT / "examples")
    return place


@pytest.fixture(scope="module")
def shell(namespace, place):
    for program in ("nft", "nc", "ss"):
        need(program)
    with network.Namespace() as lab, Shell(lab, place) as shell:
        shell.go_through("start")
        yield shell


def test_every_session_is_run():
    assert SESSIONS.keys() == {"start", "nat", *NEEDED}


@pytest.mark.parametrize("name", NEEDED)
def test_what_the_page_shows(shell, name):
    for program in NEEDED[name]:
        need(program)
    if name == "nginx" and not os.path.exists(STREAM_MODULE):
        pytest.skip(f"there is no {STREAM_MODULE} (Debian: libnginx-mod-stream)")
    try:
        shell.go_through(name)
    finally:
        shell.end(shell.jobs[1:])  # the first is the daemon
        del shell.jobs[1:]


def join(left, right, names, addresses):
    """A cable between two namespaces."""
    left.run("ip", "link", "add", names[0], "type", "veth", "peer", "name", "cable")
    left.run("ip", "link", "set", "cable", "netns", str(right.holder.pid))
    right.run("ip", "link", "set", "cable", "name", names[1])
    for end, name, address in zip((left, right), names, addresses):
        end.run("ip", "address", "add", f"{address}/24", "dev", name)
        end.run("ip", "link", "set", name, "up")


def test_the_timeout_of_a_nat_is_found(shell, place):
    with network.Namespace("sysctl -qw net.ipv4.ip_forward=1") as router, network.Namespace() as client:
        join(shell.network, router, ("box", "wan"), ("192.0.2.1", "192.0.2.2"))
        join(router, client, ("home", "pc"), ("10.77.7.1", "10.77.7.2"))
        client.run("ip", "route", "add", "default", "via", "10.77.7.1")
        done = subprocess.run([*router.enter(), "sh", "-e", "router.sh"], cwd=place, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no NAT or no connection tracking here: {done.stderr}")
        with Shell(client, place) as behind:
            behind.go_through("nat")
