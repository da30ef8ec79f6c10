"""A browser without a screen."""

import os
import shutil
import subprocess
import tempfile

import pytest


def browse(url, *options):
    """Opens URL by chromium with OPTIONS, and returns what came of it once it has ended."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    with tempfile.TemporaryDirectory() as home:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                   "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
                   "--disable-sync", f"--user-data-dir={home}", *options, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": home},
                              check=False)
