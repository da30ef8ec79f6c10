"""The Debian packages, built by `make deb` in a copy of the tree, and a booted systemd to install them in."""

import contextlib
import shutil

import pytest

from harness.figures import figure, pytest_configure, pytest_terminal_summary  # noqa: F401
from harness.guest import Guest, Impossible
from harness.network import own_network
from harness.tree import copy_tree, make



@pytest.fixture(scope="session", autouse=True)
def network():
    """Fixed ports and other people's traffic stay outside."""
    with contextlib.suppress(OSError):
        own_network()


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Where the packages were built: in dist/, and with dpkg's .changes in build/deb/."""
    for tool in ("dpkg-buildpackage", "dh"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: make setup")
    tree = copy_tree(tmp_path_factory.mktemp("packages") / "tree")
    make("deb", tree=tree)
    return tree


@pytest.fixture(scope="session")
def guest(tree, tmp_path_factory):
    """A booted systemd that finds the packages in /packages/dist."""
    stage = tmp_path_factory.mktemp("stage")
    shutil.copytree(tree / "dist", stage / "packages/dist")
    with contextlib.ExitStack() as stack:
        try:
            guest = stack.enter_context(Guest(stage))
        except Impossible as reason:
            pytest.skip(f"no systemd can be booted here: {reason}")
        # Where this machine is a container, packages are told to leave services alone.
        # And an index of all its manual pages takes half a minute.
        guest.run("rm", "-f", "/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update")
        yield guest
