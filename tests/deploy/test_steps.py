"""README.md's first steps from the source. Those of packages and containers are run where these are tested."""

import os
import signal
import subprocess

from harness.clients import serves
from harness.steps import steps
from harness.tree import ROOT
from harness.wait import wait_until


def test_make_run_serves(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(["sh", "-ec", steps("source")], cwd=ROOT, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
    try:
        wait_until(lambda: log.read_text().count("msg=listening") == 2, "both sockets")
        assert serves(12345, 12345) and serves(12345, 12345, host="::1")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
