"""What stops at which size: limits that are set low, in a network namespace."""

from harness.daemon import BINARY, all_descriptors
from harness.figures import figure, pytest_configure, pytest_terminal_summary  # noqa: F401
from harness.fixtures import dial, namespace, need, start, strace  # noqa: F401
from harness.tree import ROOT


def pytest_sessionstart(session):
    all_descriptors()
    need("scale-programs", BINARY, ROOT / "build/hold", ROOT / "echo-bench")
