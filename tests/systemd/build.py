# SPDX-License-Identifier: MIT
"""The project's own make."""
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKE = ["make", "-C", str(ROOT), "--no-print-directory", "-j2"]
SYSTEMD = [*MAKE, "ENABLE_SYSTEMD=1", "SANDBOX_KILL=1", "B=build/systemd"]


def make(*arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
