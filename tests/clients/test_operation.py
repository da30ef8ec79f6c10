"""README's part for operators: its commands do what it says, and its files are taken by who reads them."""

import contextlib
import os
import re
import subprocess

from harness.daemon import ROOT
from harness.network import Namespace
from harness.wait import PATIENCE, wait_until
from programs import need, output

PART = re.search(r"^## In operation\n(.*?)^##", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
SESSION = re.search(r"^```\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)[1]
MARK = "== done"


def quoted(language):
    """The text of a block within a list."""
    block = re.search(rf"^  ```{language}\n(.*?)^  ```$", PART, re.MULTILINE | re.DOTALL)[1]
    return re.sub(r"^  ", "", block, flags=re.MULTILINE)


class Shell:
    """One bash that runs a command after the other, where all ports are free."""

    def __init__(self, place, network):
        (place / "epoll-echo").symlink_to(os.environ.get("EPOLL_ECHO", ROOT / "epoll-echo"))
        self.process = subprocess.Popen([*network.enter(), "bash"], cwd=place, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def run(self, command):
        """What COMMAND writes."""
        self.process.stdin.write(f"{command}\necho '{MARK}'\n")
        self.process.stdin.flush()
        return "".join(iter(self.process.stdout.readline, f"{MARK}\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.run("kill -KILL %1 2>/dev/null")
        self.process.stdin.close()
        self.process.wait(PATIENCE)


def test_the_session_goes_as_it_is_shown(tmp_path):
    for program in ("curl", "nc"):
        need(program)
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", SESSION, re.MULTILINE)
    assert len(steps) == 9
    log = tmp_path / "log"  # which the shell has to make first
    with Namespace() as network, Shell(tmp_path, network) as shell:
        for command, shown in steps:
            answer = shell.run(command)
            assert answer == shown, command
            if command.endswith("&"):
                wait_until(lambda: log.exists() and "msg=started" in log.read_text(), "the daemon")
            elif command == "kill %1":
                wait_until(lambda: "msg=stopping" in log.read_text(), "the signal to be taken")


def test_haproxy_takes_its_lines(tmp_path):
    need("/usr/sbin/haproxy")
    (tmp_path / "configuration").write_text(quoted("haproxy"))
    status, text = output(["/usr/sbin/haproxy", "-c", "-f", str(tmp_path / "configuration")])
    assert status == 0 and b"[WARNING]" not in text, text


def test_promtool_takes_its_lines(tmp_path):
    (tmp_path / "contrib").symlink_to(ROOT / "contrib")
    (tmp_path / "prometheus.yml").write_text(quoted("yaml"))
    status, text = output(["promtool", "check", "config", str(tmp_path / "prometheus.yml")])
    assert status == 0, text
