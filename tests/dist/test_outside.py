"""What is asked of the daemon from outside, asked of other architectures' under qemu-user. The long form."""

import os
import subprocess

import pytest

from conftest import ARCHITECTURES, LONG, under
from harness.tree import ROOT

MODULES = ["framing", "commands", "shutdown", "udp"]
# What qemu-user 7.2 itself breaks: it makes recvmsg(2) of recvmmsg(2), in which strace(1) is to put a fault;
# and for s390x there is no answer by UDP, see BREAKS in test_tarballs.py.
ALWAYS = ["test_what_cannot_be_received_for_a_while_waits"]
OTHERS = {"s390x": ["udp", "datagram", "test_whoami_names_both_ends_of_this_very_conversation",
                    "test_neither_token_nor_guesses_reach_the_log"]}


@pytest.mark.skipif(not LONG, reason="the long form")
@pytest.mark.parametrize("name", ["arm64", "armhf", "i386", "s390x"])
def test_the_outside_tests_pass(unpacked, tmp_path, name, figure):
    wrapper = under(ARCHITECTURES[name])
    # Signed addresses are slow to emulate as the architecture has them.
    quick = ["-cpu", "max,pauth-impdef=on"] if wrapper and name == "arm64" else []
    program = tmp_path / "epoll-echo"
    program.write_text(f'#!/bin/sh\nexec {" ".join([*wrapper, *quick])} {unpacked(name)}/bin/epoll-echo "$@"\n')
    program.chmod(0o755)
    without = " or ".join(ALWAYS + OTHERS.get(name, []))
    done = subprocess.run([ROOT / "tests/netns", "/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "-p",
                           "no:cacheprovider", "--reruns=1", f"-k=not ({without})",
                           *(f"tests/outside/test_{module}.py" for module in MODULES)],
                          cwd=ROOT, env={**os.environ, "EPOLL_ECHO": str(program)}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=1800, check=False)
    figure(f"outside tests, {name}: {done.stdout.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout[-5000:]
