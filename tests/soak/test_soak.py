# SPDX-License-Identifier: MIT
"""A short soak, and two that have to go wrong; all at once, in networks of their own. The long one
is `make soak`."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.daemon import ROOT
from harness.fixtures import need

SOAKS = {
    "as it is": ["--seconds=20"],
    "lose": ["--seconds=6", f"--preload={ROOT}/build/impaired/lose.so"],
    "leak": ["--seconds=6", f"--preload={ROOT}/build/soak/leak.so"],
}
SEEN = {"lose": "what comes is not what was sent", "leak": "descriptors as before"}


@pytest.fixture(scope="session")
def runs():
    programs = ("epoll-echo", "build/systemd/epoll-echo", "build/alloc/epoll-echo", "build/soak/leak.so")
    need("soak-programs", *(ROOT / name for name in programs))
    if subprocess.run([ROOT / "tests/netns", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a network namespace")
    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(subprocess.run, [ROOT / "tests/netns", ROOT / "tests/soak/soak", *options],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True)
               for name, options in SOAKS.items()}


def test_nothing_is_lost_and_nothing_grows(runs):
    done = runs["as it is"].result()
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mistake", SEEN)
def test_a_mistake_is_seen(runs, mistake):
    """Else the other would prove nothing."""
    done = runs[mistake].result()
    assert done.returncode == 1 and SEEN[mistake] in done.stdout, done.stdout
