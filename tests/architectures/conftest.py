"""Builds by make in directories of their own, for this machine's architecture and for others."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/architectures"
PATIENCE = 600
# What the make that runs these tests was told is not for those that they run.
TOLD = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CPPFLAGS", "CFLAGS", "LDFLAGS", "WERROR", "B")


def make(*words, directory=None):
    """Runs make with WORDS, in DIRECTORY below build/ if one is given; what it did and printed."""
    words = [f"B={directory}"] * bool(directory) + list(words)
    environment = {name: value for name, value in os.environ.items() if name not in TOLD}
    return subprocess.run(["make", "-s", "-j2", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed: make setup-long")


def elf(path):
    return subprocess.run(["readelf", "-hlW", path], capture_output=True, text=True, timeout=PATIENCE,
                          check=True).stdout


@pytest.fixture(scope="session")
def cmocka():
    """The directory of cmocka's source: Debian has no library of it that a cross compiler could link."""
    home = BUILD / "cmocka"
    if not any(home.glob("cmocka-*/src/cmocka.c")):
        shutil.rmtree(home, ignore_errors=True)
        done = subprocess.run([ROOT / "packaging/fetch", "cmocka", home], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            pytest.skip(f"cmocka's source cannot be had: {done.stdout.strip()[-200:]}")
    return next(home.glob("cmocka-*"))
