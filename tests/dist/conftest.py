"""What `make dist` and `make image` make, in a copy of the tree."""

import functools
import os
import platform
import shutil
import subprocess
import tempfile
from typing import NamedTuple

import pytest

from harness.figures import figure, pytest_configure, pytest_terminal_summary  # noqa: F401
from harness.tree import ROOT, copy_tree, make

LONG = os.environ.get("DIST_LONG")
PATIENCE = 3000  # seconds for seven libraries and seven times two programs on a busy machine


class Architecture(NamedTuple):
    name: str
    triple: str
    image: str
    qemu: str


ROWS = [line.split() for line in (ROOT / "packaging/architectures").read_text().splitlines() if line[0] != "#"]
ARCHITECTURES = {row[0]: Architecture(*row[:4]) for row in ROWS}
# This machine's processor runs them itself.
NATIVE = {"x86_64": ("amd64", "i386"), "aarch64": ("arm64",)}.get(platform.machine(), ())


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: make setup-long")


@functools.cache
def kernel_runs(triple):
    """Which may leave out what the processor can: i386."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([f"{triple}-gcc", "-static", "-xc", "-o", f"{folder}/true", "-"],
                       input=b"int main(void) { return 0; }", check=True)
        try:
            return subprocess.run([f"{folder}/true"], check=False).returncode == 0
        except OSError:
            return False


def under(architecture):
    """The words before a program that run it here."""
    if architecture.name in NATIVE and kernel_runs(architecture.triple):
        return []
    need(f"qemu-{architecture.qemu}")
    return [f"qemu-{architecture.qemu}"]


def build(tree, target, *words, **environment):
    """`make TARGET`, with the musl that an earlier run has made, which takes most of the time."""
    shared = ROOT / "build/musl"
    shared.mkdir(parents=True, exist_ok=True)
    (tree / "build").mkdir(exist_ok=True)
    if not (tree / "build/musl").exists():
        (tree / "build/musl").symlink_to(shared)
    return make(target, *words, tree=tree, patience=PATIENCE, **environment)


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Where the tarballs and images of all architectures are in dist/."""
    need(*(f"{architecture.triple}-gcc" for architecture in ARCHITECTURES.values()))
    tree = copy_tree(tmp_path_factory.mktemp("dist") / "tree")
    (tree / "told").write_text(build(tree, "image"))
    return tree


@pytest.fixture(scope="session")
def version():
    return make("--no-print-directory", "version").strip()


@pytest.fixture(scope="session")
def unpacked(tree, version, tmp_path_factory):
    """unpacked(name): the directory that the tarball of an architecture makes."""
    where = tmp_path_factory.mktemp("unpacked")

    def unpacked(name):
        folder = where / f"epoll-echo-{version}-linux-{name}"
        if not folder.exists():
            shutil.unpack_archive(tree / f"dist/{folder.name}.tar.gz", where)
        return folder

    return unpacked
