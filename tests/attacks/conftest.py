"""What the attacks need before they begin."""

import ground
import pytest
from harness import network
from harness.daemon import all_descriptors
from harness.fixtures import need


def pytest_sessionstart(session):
    all_descriptors()
    need("attacks-programs", *(ground.PROGRAMS / program for program in ("forge", "flood", "constant")))
    if not network.own_namespace():
        pytest.exit("needs root and a network namespace of its own: tests/netns", returncode=2)
