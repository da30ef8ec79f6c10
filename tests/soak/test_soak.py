# SPDX-License-Identifier: MIT
"""A short soak, and two that have to go wrong; all at once, in networks of their own. The long one
is `make soak`."""

import subprocess
import tempfile

import pytest

from harness.daemon import ROOT
from harness.fixtures import need

SOAKS = {
    "as it is": ["--seconds=20"],
    "lose": ["--seconds=6", f"--preload={ROOT}/build/impaired/lose.so"],
    "leak": ["--seconds=6", f"--preload={ROOT}/build/soak/leak.so"],
}
SEEN = {"lose": "what comes is not what was sent", "leak": "descriptors as before"}


class Run:
    """One soak, whose output is kept in a file, for nobody reads it meanwhile."""

    def __init__(self, options):
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([ROOT / "tests/netns", ROOT / "tests/soak/soak", *options],
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)

    def result(self):
        """The exit status and what was printed."""
        status = self.process.wait()
        self.output.seek(0)
        return status, self.output.read()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.output.close()


@pytest.fixture(scope="session")
def runs():
    programs = ("epoll-echo", "build/systemd/epoll-echo", "build/alloc/epoll-echo", "build/soak/leak.so")
    need("soak-programs", *(ROOT / name for name in programs))
    if subprocess.run([ROOT / "tests/netns", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a network namespace")
    runs = {name: Run(options) for name, options in SOAKS.items()}
    yield runs
    for run in runs.values():
        run.close()


def test_nothing_is_lost_and_nothing_grows(runs):
    status, output = runs["as it is"].result()
    assert status == 0, output


@pytest.mark.parametrize("mistake", SEEN)
def test_a_mistake_is_seen(runs, mistake):
    """Else the other would prove nothing."""
    status, output = runs[mistake].result()
    assert status == 1 and SEEN[mistake] in output, output
